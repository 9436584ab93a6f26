//! What a review costs, from its bytes to the bytes of the answer, in process.
//!
//! `cargo xtask bench webhook` runs it over a grid of sizes, alone for time and allocations and
//! under callgrind for instructions.
#![expect(unsafe_code, reason = "an allocator that counts wraps the system's")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};
use webhook_core::{Doubt, Facts, NamespaceFacts, Outcome, Settings, decide};

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);
static BYTES: AtomicU64 = AtomicU64::new(0);

#[global_allocator]
static COUNTING: Counting = Counting;

struct Counting;

// SAFETY: the system's allocator does the work; counting changes nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        BYTES.fetch_add(layout.size() as u64, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `alloc`, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the pointer came from `alloc` above, so from the system.
        unsafe { System.dealloc(pointer, layout) }
    }
}

fn main() {
    let number = |name: &str, default: usize| {
        let value = std::env::var(name).ok();
        value
            .and_then(|value| value.parse().ok())
            .unwrap_or(default)
    };
    let (containers, env) = (number("CONTAINERS", 1), number("ENV", 40));
    let (unknown, rounds) = (number("UNKNOWN", 0), number("ROUNDS", 1000));
    let body = review(containers, env, unknown);
    let facts = facts();
    let decision = decide(&body, &facts).expect("the review is one");
    let outcome = decision.outcome();
    assert!(
        // The largest pod of the grid would be more than etcd takes with them.
        matches!(
            outcome,
            Outcome::Patched | Outcome::FailOpen(Doubt::PodTooLarge)
        ),
        "the pod gets its variables: {outcome:?}"
    );
    answer(&body, &facts);
    let allocated = (
        ALLOCATIONS.load(Ordering::Relaxed),
        BYTES.load(Ordering::Relaxed),
    );
    let start = cpu_nanos();
    for _ in 0..rounds {
        answer(black_box(&body), &facts);
    }
    let seconds = (cpu_nanos() - start) as f64 / 1e9;
    let per =
        |counter: &AtomicU64, before| (counter.load(Ordering::Relaxed) - before) / rounds as u64;
    println!(
        "body={} rounds={rounds} seconds={seconds:.6} allocations={} bytes={} patch={} operations={}",
        body.len(),
        per(&ALLOCATIONS, allocated.0),
        per(&BYTES, allocated.1),
        decision.patch().len(),
        decision.patch_operations(),
    );
}

/// What callgrind counts. Never inlined, to be found by its name.
#[inline(never)]
fn answer(body: &[u8], facts: &Facts) {
    let decision = decide(body, facts).expect("the review is one");
    black_box(decision.response());
}

fn facts() -> Facts {
    let endpoint = "http://collector.telemetry:4317".to_owned();
    let settings = Settings {
        endpoint: Some(endpoint.clone()),
        content_stripped: vec![endpoint],
        ..Settings::default()
    };
    let opted_in = [("telemetry.kaos.tools/inject", "enabled")];
    let annotated = [("telemetry.kaos.tools/sampler", "always_on")];
    Facts::new(settings).with_namespace("agents", NamespaceFacts::new(opted_in, annotated))
}

/// A golden review, with as many containers, variables and bytes of unknown fields.
fn review(containers: usize, env: usize, unknown: usize) -> Vec<u8> {
    let golden = include_str!("../tests/golden/agent.json");
    let mut review: Value = serde_json::from_str(golden).expect("a golden review is JSON");
    let object = &mut review["request"]["object"];
    // A label of another product: all containers are its own.
    object["metadata"]["labels"] = json!({"telemetry.kaos.tools/component": "agent"});
    let one = object["spec"]["containers"][0].clone();
    let variables: Vec<_> = (0..env)
        .map(
            |i| json!({"name": format!("VARIABLE_{i}"), "value": format!("some value, the {i}th")}),
        )
        .collect();
    let all = (0..containers).map(|i| {
        let mut container = one.clone();
        container["name"] = format!("agent-{i}").into();
        container["env"] = variables.clone().into();
        container
    });
    object["spec"]["containers"] = all.collect();
    let item = json!({"name": "of a newer Kubernetes", "limits": [1, 2.5, null], "on": true});
    let items = unknown / item.to_string().len();
    if items > 0 {
        object["spec"]["future"] = vec![item; items].into();
    }
    serde_json::to_vec(&review).expect("a tree is JSON")
}

/// Time that this thread has had a processor; others that share it do not count.
fn cpu_nanos() -> u64 {
    let said = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux tells it");
    let first = said
        .split_whitespace()
        .next()
        .and_then(|word| word.parse().ok());
    first.expect("the first number is the time in nanoseconds")
}
