//! The table of values: made from the comments in values.yaml, which the schema knows all.

use std::fmt::Write as _;

use serde_json::Value;

use super::helm::chart;

const BEGIN: &str = "<!-- values -->\n";
const END: &str = "<!-- end of values -->\n";

/// A key with its default, as it stands in the file, and what it means.
#[derive(Debug, PartialEq)]
struct Key {
    path: String,
    default: String,
    meaning: String,
}

/// The keys with a comment. One with keys below it has none; what stands below a commented one
/// is its default.
fn keys(text: &str) -> Vec<Key> {
    let mut keys: Vec<Key> = Vec::new();
    let mut above: Vec<(usize, String)> = Vec::new();
    let mut comment = String::new();
    for line in text.lines() {
        let depth = line.len() - line.trim_start().len();
        let line = line.trim();
        if let Some(said) = line.strip_prefix("# ") {
            comment = said.to_owned();
            continue;
        }
        let below = above.last().is_some_and(|(at, path)| {
            depth > *at && keys.last().is_some_and(|key| key.path == *path)
        });
        match line.split_once(':') {
            _ if line.is_empty() => comment.clear(),
            _ if below && comment.is_empty() => {
                let default = &mut keys.last_mut().expect("below the last one").default;
                let _ = write!(
                    default,
                    "{}{line}",
                    if default.is_empty() { "" } else { ", " }
                );
            }
            Some((name, default)) => {
                above.retain(|(at, _)| *at < depth);
                let parent = above.last().map(|(_, path)| format!("{path}."));
                let path = format!("{}{name}", parent.unwrap_or_default());
                above.push((depth, path.clone()));
                if !comment.is_empty() {
                    keys.push(Key {
                        path,
                        default: default.trim().to_owned(),
                        meaning: std::mem::take(&mut comment),
                    });
                }
            }
            None => {}
        }
    }
    keys
}

fn table(keys: &[Key]) -> String {
    let mut text = "| value | default | meaning |\n|---|---|---|\n".to_owned();
    for Key {
        path,
        default,
        meaning,
    } in keys
    {
        let _ = writeln!(
            text,
            "| `{path}` | `{default}` | {} |",
            meaning.replace('|', "\\|")
        );
    }
    text
}

fn read(name: &str) -> String {
    std::fs::read_to_string(chart().join(name)).unwrap()
}

#[test]
fn the_page_has_the_table_of_the_comments() {
    let page = read("README.md");
    let (head, rest) = page.split_once(BEGIN).expect("a place for the table");
    let (_, tail) = rest.split_once(END).expect("its end");
    let wanted = format!(
        "{head}{BEGIN}\n{}\n{END}{tail}",
        table(&keys(&read("values.yaml")))
    );
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(chart().join("README.md"), wanted).unwrap();
        return;
    }
    assert!(
        page == wanted,
        "the chart's README.md is stale: run this with UPDATE_DOCS=1"
    );
}

#[test]
fn every_value_is_explained_and_the_schema_knows_it() {
    let schema: Value = serde_json::from_str(&read("values.schema.json")).unwrap();
    let values: Value = serde_norway::from_str(&read("values.yaml")).unwrap();
    let keys = keys(&read("values.yaml"));
    for key in &keys {
        let mut at = &schema;
        for name in key.path.split('.') {
            at = &at["properties"][name];
            if let Some(reference) = at["$ref"].as_str() {
                at = &schema["$defs"][reference.rsplit('/').next().unwrap()];
            }
        }
        assert!(!at.is_null(), "the schema does not know {}", key.path);
        let pointer = format!("/{}", key.path.replace('.', "/"));
        assert!(values.pointer(&pointer).is_some(), "{pointer}");
    }
    let explained = |path: &str| keys.iter().any(|key| path.starts_with(&key.path));
    let mut open = vec![(String::new(), &values)];
    while let Some((path, value)) = open.pop() {
        match value.as_object() {
            Some(map) if !map.is_empty() && !explained(path.trim_start_matches('.')) => {
                open.extend(map.iter().map(|(name, it)| (format!("{path}.{name}"), it)));
            }
            _ => assert!(
                explained(path.trim_start_matches('.')),
                "{path} has no comment"
            ),
        }
    }
}

#[test]
fn what_stands_below_a_comment_is_its_default() {
    let text =
        "# File.\n\na:\n  # One.\n  b: 1\n  # Two.\n  c:\n    d: x\n    e: y\n# Three.\nf: []\n";
    let found = keys(text);
    let found: Vec<_> = found
        .iter()
        .map(|key| (key.path.as_str(), key.default.as_str()))
        .collect();
    assert_eq!(found, [("a.b", "1"), ("a.c", "d: x, e: y"), ("f", "[]")]);
}
