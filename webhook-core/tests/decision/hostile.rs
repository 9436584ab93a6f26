//! Bodies that are made to cost more than they weigh.
#![expect(unsafe_code, reason = "an allocator that counts wraps the system's")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use webhook_core::{Decision, Doubt, NamespaceFacts, Outcome, decide};

use crate::support::facts;

thread_local! {
    /// Bytes that this thread holds, and the most it held.
    static HELD: Cell<(isize, isize)> = const { Cell::new((0, 0)) };
}

#[global_allocator]
static COUNTING: Counting = Counting;

struct Counting;

fn count(bytes: isize) {
    HELD.with(|it| {
        let (held, most) = it.get();
        it.set((held + bytes, most.max(held + bytes)));
    });
}

// SAFETY: the system's allocator does the work; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size().cast_signed());
        // SAFETY: the caller keeps the contract of `alloc`, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-layout.size().cast_signed());
        // SAFETY: the pointer came from `alloc` above, so from the system.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// Far above what any review may take, unoptimised and on a busy machine; what these bodies once
/// took is minutes and gigabytes.
const TIME: Duration = Duration::from_secs(10);
const MEMORY: isize = 16 << 20;

fn review(annotations: &Value, containers: &str) -> Vec<u8> {
    review_in("agents", annotations, containers)
}

fn review_in(namespace: &str, annotations: &Value, containers: &str) -> Vec<u8> {
    format!(
        r#"{{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{{"uid":"1",
        "kind":{{"group":"","version":"v1","kind":"Pod"}},"operation":"CREATE",
        "namespace":"{namespace}","object":{{"metadata":{{"labels":
        {{"telemetry.kaos.tools/component":"mcpserver"}},"annotations":{annotations}}},
        "spec":{{"containers":[{containers}]}}}}}}}}"#
    )
    .into_bytes()
}

/// Decides within bounds.
fn bounded(body: &[u8]) -> Decision {
    bounded_with(body, &facts())
}

fn bounded_with(body: &[u8], facts: &webhook_core::Facts) -> Decision {
    let start = Instant::now();
    HELD.set((0, 0));
    let decision = decide(body, facts).unwrap();
    let (_, most) = HELD.get();
    assert!(most < MEMORY, "{most} bytes");
    assert!(start.elapsed() < TIME, "{:?}", start.elapsed());
    decision
}

fn containers(count: usize) -> String {
    let all: Vec<_> = (0..count)
        .map(|i| format!(r#"{{"name":"c{i}"}}"#))
        .collect();
    all.join(",")
}

fn warned(decision: &Decision, of: &str) {
    let warnings = decision.warnings();
    assert!(warnings.iter().any(|it| it.contains(of)), "{warnings:?}");
}

#[test]
fn endless_annotations_are_ignored_with_a_warning_unless_they_keep_something_out() {
    let keys: Vec<_> = (0..40_000).map(|i| format!("k{i}=v")).collect();
    let all = [
        ("resource-attributes", keys.join(",")),
        ("exclude-containers", "a,".repeat(500_000)),
        ("containers", "c,".repeat(500_000)),
        ("never-inject", "A,".repeat(2040)),
        ("service-name", "x".repeat(200 << 10)),
    ];
    for (name, value) in all {
        let unread = Outcome::FailOpen(Doubt::LongAnnotation);
        let keeps_out = name.ends_with("containers") || name == "never-inject";
        let name = format!("telemetry.kaos.tools/{name}");
        let mut annotations = json!({});
        annotations[&name] = value.as_str().into();
        let decision = bounded(&review(&annotations, &containers(100)));
        if keeps_out {
            assert_eq!(decision.outcome(), unread, "{name}");
        } else if value.len() < 256 << 10 {
            assert_eq!(decision.outcome(), Outcome::Patched, "{name}");
            warned(&decision, &name);
        }
        let namespace = NamespaceFacts::new(
            [("telemetry.kaos.tools/inject", "enabled")],
            [(name.as_str(), value.as_str())],
        );
        let facts = facts().with_namespace("long", namespace);
        let body = review_in("long", &json!({}), &containers(100));
        let decision = bounded_with(&body, &facts);
        // Two of them no namespace has.
        let pods_only = name.ends_with("/containers") || name.ends_with("/service-name");
        if keeps_out && !pods_only {
            assert_eq!(decision.outcome(), unread, "{name}");
            continue;
        }
        assert_eq!(decision.outcome(), Outcome::Patched, "{name}");
        if !pods_only {
            warned(&decision, &name);
        }
    }
}

#[test]
fn an_endless_status_is_not_read() {
    let names = vec!["OTEL_SERVICE_NAME"; 50_000];
    let status = json!({"containers": {"c0": names}}).to_string();
    let annotations = json!({"telemetry.kaos.tools/status": status});
    bounded(&review(&annotations, &containers(256)));
    let names: Vec<_> = (0..9_000).map(|i| format!("X{i}")).collect();
    let status = json!({"containers": {"c0": names}}).to_string();
    let annotations = json!({"telemetry.kaos.tools/status": status});
    let decision = bounded(&review(&annotations, &containers(100)));
    assert_eq!(decision.outcome(), Outcome::Patched);
    let patch = String::from_utf8_lossy(decision.patch()).into_owned();
    assert!(!patch.contains("X8999"), "what is not ours is not kept");
}

#[test]
fn a_pod_of_too_many_parts_is_left_alone() {
    let doubt = |containers: &str| bounded(&review(&json!({}), containers)).outcome();
    let unreadable = Outcome::FailOpen(Doubt::UnreadablePod);
    assert_eq!(doubt(&vec!["{}"; 500_000].join(",")), unreadable);
    assert_eq!(doubt(&containers(257)), unreadable);
    assert_eq!(doubt(&containers(256)), Outcome::Patched);
    let parts = |field: &str| {
        let parts = vec!["{}"; 1025].join(",");
        doubt(&format!(r#"{{"name":"c","{field}":[{parts}]}}"#))
    };
    for field in ["env", "envFrom", "ports"] {
        assert_eq!(parts(field), unreadable, "{field}");
    }
    let long = format!(r#"{{"name":"{}"}}"#, "x".repeat(1 << 20));
    assert_eq!(doubt(&long), unreadable);
    let annotations: serde_json::Map<_, _> =
        (0..1025).map(|i| (format!("a{i}"), "".into())).collect();
    let many = bounded(&review(&annotations.into(), "{}"));
    assert_eq!(many.outcome(), unreadable);
}

/// All that fits into a body: each list within its limit, and each container.
#[test]
fn lists_are_bounded_together_too() {
    let entries = |each: usize| {
        let env = vec!["{}"; each].join(",");
        let all: Vec<_> = (0..250)
            .map(|i| format!(r#"{{"name":"c{i}","env":[{env}]}}"#))
            .collect();
        let all = all.join(",");
        let both = format!(r#"{all}],"initContainers":[{all}"#);
        bounded(&review(&json!({}), &both)).outcome()
    };
    assert_eq!(entries(32), Outcome::Patched);
    let unreadable = Outcome::FailOpen(Doubt::UnreadablePod);
    assert_eq!(entries(33), unreadable);
    assert_eq!(entries(1000), unreadable);
}

#[test]
fn what_is_too_large_is_refused_before_it_is_read() {
    let body = review(&json!({}), &vec!["{}"; 1_500_000].join(","));
    HELD.set((0, 0));
    let decision = decide(&body, &facts()).unwrap();
    let (_, most) = HELD.get();
    assert_eq!(decision.outcome(), Outcome::FailOpen(Doubt::PodTooLarge));
    assert!(most < 1 << 16, "{most} bytes");
}

#[test]
fn no_value_grows_beyond_what_starts() {
    let own = |length: usize| {
        let value = format!("a={}", "x".repeat(length));
        let env = json!({"name": "OTEL_RESOURCE_ATTRIBUTES", "value": value});
        bounded(&review(
            &json!({}),
            &json!({"name": "c", "env": [env]}).to_string(),
        ))
    };
    let touched = |decision: &Decision| {
        let patch = String::from_utf8_lossy(decision.patch()).into_owned();
        assert_eq!(decision.outcome(), Outcome::Patched);
        patch.contains("/env/0/value") || patch.contains("OTEL_RESOURCE_ATTRIBUTES\",\"value")
    };
    assert!(touched(&own(1000)));
    let long = own(130_902);
    assert!(!touched(&long));
    warned(&long, "OTEL_RESOURCE_ATTRIBUTES would be too long");

    // By the configuration: nothing else says so much.
    let mut settings = facts().settings().clone();
    settings
        .resource_attributes
        .insert("a".to_owned(), "x".repeat(33 << 10));
    settings.propagators = "b3,".repeat(11 << 10);
    let facts = facts().with_settings(settings);
    let decision = bounded_with(&review(&json!({}), &containers(1)), &facts);
    assert!(!touched(&decision));
    warned(&decision, "OTEL_RESOURCE_ATTRIBUTES would be too long");
    warned(&decision, "OTEL_PROPAGATORS would be too long");
}
