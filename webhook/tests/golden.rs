//! Reviews as an API server sends them, and what is answered.
//!
//! `UPDATE_GOLDEN=1 cargo test -p kaos-webhook --test golden` writes the answers anew: read the
//! difference before it is committed.

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use kaos_webhook::{BadReview, Doubt, Outcome, decide, unchanged};
use serde_json::{Value, json};

use support::{applied, check_laws, facts};

fn reviews() -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let files = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = files
        .filter(|path| !path.to_string_lossy().ends_with(".expected.json"))
        .collect();
    files.sort();
    files
}

#[test]
fn each_review_gets_its_answer() {
    let facts = facts();
    for path in reviews() {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        println!("{name}");
        let review: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        let (decision, _) = check_laws(&review, &facts);
        let patch: Option<Value> = match decision.patch() {
            [] => None,
            patch => Some(serde_json::from_slice(patch).unwrap()),
        };
        let said = json!({
            "outcome": decision.outcome().label(),
            "reason": decision.outcome().reason(),
            "warnings": decision.warnings(),
            "patch": patch,
        });
        let said = serde_json::to_string_pretty(&said).unwrap() + "\n";
        let expected = path.with_extension("expected.json");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&expected, &said).unwrap();
        }
        let wanted = fs::read_to_string(&expected).unwrap_or_default();
        assert_eq!(said, wanted, "{name}");
    }
}
