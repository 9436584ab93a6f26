use std::collections::HashSet;

use super::*;
use crate::span::Value;

const ALL: [Profile; 2] = [Profile::V1_41, Profile::GenAiDev];

fn fixture(profile: Profile) -> HashSet<&'static str> {
    let text = match profile {
        Profile::V1_41 => include_str!("v1_41.txt"),
        Profile::GenAiDev => include_str!("gen_ai_dev.txt"),
    };
    text.lines().filter(|l| !l.starts_with('#')).collect()
}

fn choices(profile: Profile) -> [Conventions; 2] {
    [false, true].map(|beside| Conventions {
        profile,
        kaos_names: beside,
        legacy_names: beside,
    })
}

#[test]
fn every_name_is_of_the_conventions_or_ours() {
    for profile in ALL {
        let known = fixture(profile);
        assert!(known.len() > 50);
        for key in TABLE {
            let Some(name) = key.name(&choices(profile)[0]) else {
                continue;
            };
            let ours = name.starts_with("telemetry.kaos.");
            assert!(ours || known.contains(name), "{profile:?} has no {name}");
            assert!(!(ours && known.contains(name)), "{name} is not ours");
        }
    }
}

#[test]
fn old_names_are_those_of_the_conventions() {
    let known = fixture(Profile::V1_41);
    for key in TABLE {
        if let Names::Legacy(name) = key.names {
            assert!(known.contains(name), "{name} was never a name");
        }
    }
}

#[test]
fn no_name_stands_twice_under_one_choice() {
    for conventions in ALL.into_iter().flat_map(choices) {
        let names: Vec<_> = TABLE.iter().filter_map(|k| k.name(&conventions)).collect();
        let once: HashSet<_> = names.iter().collect();
        assert_eq!(once.len(), names.len());
    }
}

#[test]
fn what_differs_is_written_by_profile() {
    let [v1_41, gen_ai_dev] = ALL.map(|p| choices(p)[0]);
    let key = table::CACHE_WRITE_TOKENS;
    assert_eq!(
        key.name(&v1_41),
        Some("gen_ai.usage.cache_creation.input_tokens")
    );
    assert_eq!(
        key.name(&gen_ai_dev),
        Some("gen_ai.usage.cache_write.input_tokens")
    );
    assert_eq!(table::TOP_K.name(&gen_ai_dev), None);
    assert_eq!(
        table::TOP_K_INT.name(&gen_ai_dev),
        table::TOP_K.name(&v1_41)
    );
    assert_eq!(table::LEGACY_SYSTEM.name(&v1_41), None);
    assert_eq!(
        table::KAOS_AGENT.name(&choices(Profile::V1_41)[1]),
        Some("agent.name")
    );
}

#[test]
fn the_document_is_the_table() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/attributes.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, document()).expect("the document can be written");
    }
    let written = std::fs::read_to_string(path).expect("docs/attributes.md");
    assert!(
        written == document(),
        "docs/attributes.md is stale: run this with UPDATE_DOCS=1"
    );
}

#[test]
fn profiles_are_read_by_their_names() {
    for profile in ALL {
        assert_eq!(profile.as_str().parse(), Ok(profile));
    }
    assert_eq!("v1.42".parse::<Profile>(), Err(UnknownProfile));
}

#[test]
fn the_first_value_of_a_name_stands() {
    let conventions = Conventions::default();
    let mut list = Attributes::with_capacity(&conventions, 2);
    list.put(&table::STREAM, true);
    list.put(&table::STREAM, false);
    list.put(&table::LEGACY_SYSTEM, "openai");
    list.put_count(&table::INPUT_TOKENS, Some(u64::MAX));
    let list = list.finish();
    assert_eq!(list.len(), 2);
    assert_eq!(list[0].value, Value::Bool(true));
    assert_eq!(list[1].value, Value::Int(i64::MAX));
}
