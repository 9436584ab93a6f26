use proptest::prelude::*;

use super::*;

const GOOD: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn with_state(states: &[&str]) -> String {
    TraceContext::parse(GOOD, states.iter().copied())
        .unwrap()
        .state
}

#[test]
fn reads_and_shows_ids() {
    let context = TraceContext::parse(GOOD, []).unwrap();
    assert_eq!(
        context.trace.to_string(),
        "0af7651916cd43dd8448eb211c80319c"
    );
    assert_eq!(context.parent.to_string(), "b7ad6b7169203331");
    assert!(context.sampled());
    assert_eq!(context.state, "");
}

#[test]
fn judges_the_parent_strictly() {
    let id = "0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331";
    let flags = |value: String| TraceContext::parse(&value, []).map(|c| c.flags);
    let cases = [
        (format!("00-{id}-00"), Some(0)),
        (format!(" \t00-{id}-01 \t"), Some(1)),
        (format!("00-{id}-ff"), Some(3)),
        (format!("00-{id}-01-"), None),
        (format!("00-{id}-01-more"), None),
        (format!("00-{id}-0"), None),
        (format!("00-{id}-0G"), None),
        (format!("00-{id}-0A"), None),
        (format!("01-{id}-03"), Some(1)),
        (format!("cc-{id}-01-what-the-future-brings"), Some(1)),
        (format!("cc-{id}-01.what"), None),
        (format!("ff-{id}-01"), None),
        (format!("0x-{id}-01"), None),
        (format!("0-{id}-01"), None),
        (format!("00-{}-01", id.to_uppercase()), None),
        (format!("00_{id}-01"), None),
        (format!("00-{id}_01"), None),
        (
            "00-00000000000000000000000000000000-b7ad6b7169203331-01".to_owned(),
            None,
        ),
        (
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01".to_owned(),
            None,
        ),
        (String::new(), None),
        ("\u{e9}".repeat(40), None),
    ];
    for (value, wanted) in cases {
        assert_eq!(flags(value.clone()), wanted, "{value:?}");
    }
}

#[test]
fn combines_the_state() {
    assert_eq!(
        with_state(&["a=1, b=2 ", "", "c=3,,\td=4"]),
        "a=1,b=2,c=3,d=4"
    );
    assert_eq!(with_state(&["t@s=x y", "0k_-*/=!"]), "t@s=x y,0k_-*/=!");
}

#[test]
fn drops_a_bad_state_alone() {
    for bad in [
        "a", "=1", "a=", "A=1", "a=1,a=2", "a=b=c", "_a=1", "a=\u{e9}", "a =1", "a=\0",
    ] {
        assert_eq!(with_state(&["ok=1", bad]), "", "{bad:?}");
    }
    let many: Vec<String> = (0..33).map(|i| format!("k{i}=v")).collect();
    assert_eq!(with_state(&[&many.join(",")]), "");
    assert_eq!(with_state(&[&many[..32].join(",")]), many[..32].join(","));
}

#[test]
fn a_long_state_loses_its_long_members_first() {
    let long = format!("long={}", "x".repeat(200));
    let short: Vec<String> = (0..9).map(|i| format!("k{i}={}", "y".repeat(40))).collect();
    assert_eq!(with_state(&[&long, &short.join(",")]), short.join(","));
    let shorts: Vec<String> = (10..30)
        .map(|i| format!("k{i}={}", "y".repeat(40)))
        .collect();
    assert_eq!(with_state(&[&shorts.join(",")]), shorts[..11].join(","));
}

#[test]
fn takes_the_fields_of_a_request() {
    let take = |fields: &[(&str, &[u8])]| TraceContext::from_headers(&Headers::new(fields));
    let parent = GOOD.as_bytes();
    let state = take(&[
        ("Tracestate", b"a=1"),
        ("TRACEPARENT", parent),
        ("tracestate", b"b=2"),
    ]);
    assert_eq!(state.unwrap().state, "a=1,b=2");
    assert_eq!(
        take(&[("traceparent", parent), ("Traceparent", parent)]),
        None
    );
    assert_eq!(take(&[("tracestate", b"a=1")]), None);
    let broken = take(&[("traceparent", parent), ("tracestate", b"a=\xff")]);
    assert_eq!(broken.unwrap().state, "");
}

proptest! {
    #[test]
    fn any_text_is_read_without_harm(parent in ".{0,80}", states in prop::collection::vec(".{0,600}", 0..4)) {
        let _ = TraceContext::parse(&parent, states.iter().map(String::as_str));
        let kept = with_state(&states.iter().map(String::as_str).collect::<Vec<_>>());
        prop_assert!(kept.len() <= MAX_STATE);
    }
}
