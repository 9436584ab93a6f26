//! The scanner against `serde_json`, at any cut, and against nonsense.

use proptest::prelude::*;
use serde_json::Value as Json;

use super::*;

/// Collects what a scanner reports as lines.
#[derive(Default)]
struct Seen(Vec<String>);

impl Sink<&'static str> for Seen {
    fn value(&mut self, field: &'static str, at: At<'_>, value: Value<'_>) {
        let (x, y) = (at.index(0), at.index(1));
        self.0.push(format!("{field}@{x},{y}={value:?}"));
    }

    fn end(&mut self, complete: bool) {
        self.0.push(format!("end {complete}"));
    }
}

fn schema() -> Schema<&'static str> {
    Schema::new(&[
        ("a", "a", Take::Value),
        ("b c", "b.c", Take::Value),
        ("list []", "list", Take::Value),
        ("list [] x", "list.x", Take::Value),
        ("list [] deep [] y", "deep", Take::Value),
        ("text", "text", Take::Content),
        ("probe", "probe", Take::Probe),
        ("raw", "raw", Take::Raw),
    ])
}

#[expect(
    single_use_lifetimes,
    reason = "a lifetime in `impl Trait` cannot be left out yet"
)]
fn scan_pieces<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, cap: usize) -> Vec<String> {
    let (schema, mut scanner, mut seen) = (schema(), Scanner::new(cap), Seen::default());
    for piece in pieces {
        scanner.feed(&schema, piece, &mut seen);
    }
    seen.0
}

fn scan(json: &str) -> Vec<String> {
    scan_pieces([json.as_bytes()], 1000)
}

#[test]
fn wanted_values_are_found_in_any_order_and_at_any_cut() {
    let json = r#" {"zz":{"a":[1,{"a":"\"}]"}]},"list":[{"x":1,"deep":[{"y":null},{"q":[],"y":-1.5e3}]},7,{"x":"s"}],
        "text":"h\u00e9 \ud83d\ude00 \ud800 \n\\","b":{"d":1,"c":true,"c2":{}},"probe":"long","raw":{"k":["v\"",2]},"a":"é"} "#;
    let whole = scan(json);
    assert_eq!(
        whole,
        [
            "list@0,0=Object",
            "list.x@0,0=Number(\"1\")",
            "deep@0,0=Null",
            "deep@0,1=Number(\"-1.5e3\")",
            "list@0,0=Close",
            "list@1,0=Number(\"7\")",
            "list@2,0=Object",
            "list.x@2,0=Text(Text { text: \"s\", cut: false })",
            "list@2,0=Close",
            "text@0,0=Text(Text { text: \"hé 😀 \u{fffd} \\n\\\\\", cut: false })",
            "b.c@0,0=Bool(true)",
            "probe@0,0=Text(Text { text: \"\", cut: true })",
            "raw@0,0=Raw(Text { text: \"{\\\"k\\\":[\\\"v\\\\\\\"\\\",2]}\", cut: false })",
            "a@0,0=Text(Text { text: \"é\", cut: false })",
            "end true",
        ]
    );
    let bytes = json.as_bytes();
    for cut in 0..bytes.len() {
        let (head, tail) = bytes.split_at(cut);
        assert_eq!(scan_pieces([head, tail], 1000), whole, "cut at {cut}");
    }
    assert_eq!(scan_pieces(bytes.chunks(1), 1000), whole);
}

#[test]
fn long_strings_are_cut_at_a_character_and_marked() {
    let json = format!(
        r#"{{"text":"{}","a":"{}"}}"#,
        "é".repeat(10),
        "x".repeat(300)
    );
    let (schema, mut scanner, mut seen) = (schema(), Scanner::new(5), Seen::default());
    scanner.feed(&schema, json.as_bytes(), &mut seen);
    assert_eq!(seen.0[0], "text@0,0=Text(Text { text: \"éé\", cut: true })");
    assert!(seen.0[1].contains(&format!("\"{}\", cut: true", "x".repeat(256))));
    assert!(scanner.limited());
}

#[test]
fn without_content_only_emptiness_is_told() {
    let seen = scan_pieces(
        [br#"{"text":"secret","raw":"secret","probe":""}"#.as_slice()],
        0,
    );
    assert!(!seen.concat().contains("secret"));
    assert!(seen[0].contains("cut: true") && seen[1].contains("cut: true"));
    assert!(seen[2].contains("cut: false"));
}

#[test]
fn values_may_follow_each_other_and_broken_lines_are_passed_over() {
    let (schema, mut scanner, mut seen) = (schema(), Scanner::lines(0), Seen::default());
    let lines = b"{\"a\":1}\n{\"a\":!}{\"a\":8}\n{\"a\":2}\n{\"a\":3";
    scanner.feed(&schema, lines, &mut seen);
    scanner.lose();
    scanner.feed(&schema, b"9}\n{\"a\":4}", &mut seen);
    let number = |n: u8| format!("a@0,0=Number(\"{n}\")");
    assert_eq!(
        seen.0,
        [
            number(1),
            "end true".into(),
            "end false".into(),
            number(2),
            "end true".into()
        ]
        .into_iter()
        .chain([number(4), "end true".into()])
        .collect::<Vec<_>>()
    );
}

#[test]
fn depth_is_only_counted() {
    let mut json = String::from(r#"{"deep":"#);
    json.push_str(&"[{\"a\":".repeat(100_000));
    json.push('0');
    json.push_str(&"}]".repeat(100_000));
    json.push_str(r#","a":5}"#);
    assert_eq!(scan(&json), ["a@0,0=Number(\"5\")", "end true"]);
    // The same on a wanted path: the schema bounds the stack.
    let json = format!("{}{}", "{\"list\":[".repeat(10_000), "1".repeat(10));
    let (schema, mut scanner, mut seen) = (schema(), Scanner::new(0), Seen::default());
    scanner.feed(&schema, json.as_bytes(), &mut seen);
    assert!(scanner.frames_len() <= 4);
}

#[test]
fn ill_formed_text_is_replaced() {
    let seen = scan_pieces([b"{\"a\":\"x\xff\xc3y\"}".as_slice()], 0);
    assert_eq!(
        seen[0],
        "a@0,0=Text(Text { text: \"x\u{fffd}\u{fffd}y\", cut: false })"
    );
}

#[test]
fn numbers_are_read_as_what_they_are() {
    let value = Value::Number;
    assert_eq!(value("12").as_u64(), Some(12));
    assert_eq!(value("12.0").as_u64(), Some(12));
    assert_eq!(value("1.5").as_u64(), None);
    assert_eq!(value("-3").as_u64(), None);
    assert_eq!(value("-3").as_i64(), Some(-3));
    assert_eq!(value("1e2").as_i64(), Some(100));
    assert_eq!(value("0.7").as_f64(), Some(0.7));
    assert_eq!(value("1e999").as_f64(), None);
    let long = scan(&format!(r#"{{"a":{}}}"#, "9".repeat(100)));
    assert_eq!(long, ["end true"]);
}

#[test]
fn a_tail_gives_the_members_behind_a_gap() {
    let json = r#"{"messages":[{"content":"so \"many\" words, and [brackets"}],"model":"m\\","user":"a \"b, c\" d","tools":[{"a":{}}],"stream":true}"#;
    let members = |from: usize| {
        let mut tail = Tail::default();
        tail.push(b"before");
        tail.gap();
        for byte in &json.as_bytes()[from..] {
            tail.push(&[*byte]);
        }
        String::from_utf8(tail.members().to_vec()).unwrap()
    };
    let model = json.find("\"model\"").unwrap();
    for from in 1..model {
        assert_eq!(members(from), json[model..], "from {from}");
    }
    let user = json.find("\"user\"").unwrap();
    for from in model..user {
        assert_eq!(members(from), json[user..], "from {from}");
    }
    let tools = json.find("\"tools\"").unwrap();
    for from in json.find("b, c").unwrap()..tools {
        assert_eq!(members(from), json[tools..], "from {from}");
    }
    assert_eq!(members(json.len() - 1), "");
    assert_eq!(members(json.len()), "");
}

/// What the oracle finds at the paths of [`schema`] that hold single values.
fn expected(json: &Json) -> Vec<String> {
    let Json::Object(root) = json else {
        return Vec::new();
    };
    let mut found = Vec::new();
    let mut scalar = |name: &str, place: &str, value: &Json| match value {
        Json::Null => found.push(format!("{name}@{place}=Null")),
        Json::Bool(b) => found.push(format!("{name}@{place}=Bool({b})")),
        Json::Number(n) => found.push(format!("{name}@{place}=Number(\"{n}\")")),
        Json::String(s) => {
            found.push(format!(
                "{name}@{place}=Text(Text {{ text: {s:?}, cut: false }})"
            ));
        }
        Json::Array(_) => found.push(format!("{name}@{place}=Array")),
        Json::Object(_) => found.push(format!("{name}@{place}=Object")),
    };
    for (key, value) in root {
        match (key.as_str(), value) {
            ("a", value) => scalar("a", "0,0", value),
            ("text", value) => scalar("text", "0,0", value),
            ("b", Json::Object(b)) => {
                if let Some(value) = b.get("c") {
                    scalar("b.c", "0,0", value);
                }
            }
            _ => {}
        }
    }
    found
}

fn arbitrary_json() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        any::<String>().prop_map(Json::from),
        "[\\\\\"{}\\[\\]:,\\n]{0,8}".prop_map(Json::from),
    ];
    leaf.prop_recursive(5, 64, 6, |inner| {
        let key = prop_oneof![
            "[a-d]",
            Just("list".into()),
            Just("text".into()),
            any::<String>()
        ];
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Json::from),
            proptest::collection::vec((key, inner), 0..6)
                .prop_map(|members| Json::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn agrees_with_serde_json(json in arbitrary_json(), pretty: bool, size in 1_usize..40) {
        let text = if pretty { serde_json::to_string_pretty(&json) } else { serde_json::to_string(&json) };
        let mut text = text.unwrap();
        text.push('\n');
        let seen = scan_pieces(text.as_bytes().chunks(size), 1_000_000);
        prop_assert_eq!(seen.last().map(String::as_str), Some("end true"));
        let close = |line: &String| !line.ends_with("=Close");
        let mut single: Vec<_> = seen
            .iter()
            .filter(|line| ["a@", "b.c@", "text@"].iter().any(|name| line.starts_with(name)))
            .filter(|line| close(line))
            .cloned()
            .collect();
        single.sort();
        let mut expected = expected(&json);
        expected.sort();
        prop_assert_eq!(single, expected);
        if let Some(Json::Array(list)) = json.get("list") {
            let elements = seen.iter().filter(|line| line.starts_with("list@") && close(line));
            prop_assert_eq!(elements.count(), list.len());
        }
    }

    #[test]
    fn hostile_bytes_do_no_harm(bytes in proptest::collection::vec(any::<u8>(), 0..300), cap in 0_usize..20) {
        let whole = scan_pieces([bytes.as_slice()], cap);
        prop_assert_eq!(scan_pieces(bytes.chunks(1), cap), whole);
        let mut tail = Tail::default();
        tail.push(&bytes);
        prop_assert!(tail.members().len() <= bytes.len());
    }

    #[test]
    fn json_like_bytes_do_no_harm(text in "([\\[\\]{}:,\"\\\\]|\"a\"|\"list\"|\"text\"|12|null|u00|\\n){0,60}") {
        let whole = scan_pieces([text.as_bytes()], 7);
        prop_assert_eq!(scan_pieces(text.as_bytes().chunks(1), 7), whole);
        let mut tail = Tail::default();
        tail.push(text.as_bytes());
        prop_assert!(tail.members().len() <= text.len());
    }
}
