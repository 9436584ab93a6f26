//! The second witness: what clients saw must be what the fake wrote down. Pure.

use std::collections::BTreeMap;

use super::process::ClientLine;
use crate::fake::log::{Outcome, Record};

/// In what the clients' accounts differ from the log.
#[must_use]
pub fn differences(calls: &[Record], lines: &[ClientLine]) -> Vec<String> {
    let mut by_name: BTreeMap<&str, Vec<&Record>> = BTreeMap::new();
    for call in calls {
        by_name.entry(&call.facts.asked).or_default().push(call);
    }
    let mut wrong = Vec::new();
    for line in lines {
        let found = by_name.remove(line.asked.as_str()).unwrap_or_default();
        let [call] = found[..] else {
            wrong.push(format!(
                "the log has not exactly one call of {}",
                line.asked
            ));
            continue;
        };
        wrong.extend(difference(call, line));
    }
    wrong.extend(
        by_name
            .keys()
            .map(|name| format!("no client says that it called {name}")),
    );
    wrong
}

fn difference(call: &Record, line: &ClientLine) -> Option<String> {
    let facts = &call.facts;
    let failed = facts.error.is_some() || call.outcome != Outcome::Complete;
    if line.error.is_some() && !failed {
        return Some(format!(
            "{} failed: {:?} {:?}",
            line.asked, line.error, line.why
        ));
    }
    if failed || matches!(facts.dialect.as_str(), "mcp" | "a2a") {
        return None;
    }
    let same = |seen: &Option<String>, logged: &Option<String>| {
        seen.is_none() || logged.is_none() || seen == logged
    };
    let same_number = |seen: Option<u64>, logged: Option<u64>| seen.is_none() || seen == logged;
    let good = same(&line.id, &facts.id)
        && same(&line.answered, &facts.answered)
        && same_number(line.input, facts.input_tokens)
        && same_number(line.output, facts.output_tokens);
    (!good).then(|| {
        format!(
            "{} was seen as {line:?}, and logged as {facts:?}",
            line.asked
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::log::Facts;

    fn call() -> Record {
        let facts = Facts {
            asked: "m".to_owned(),
            id: Some("1".to_owned()),
            input_tokens: Some(7),
            ..Facts::default()
        };
        Record {
            facts,
            ..Record::default()
        }
    }

    fn line() -> ClientLine {
        let id = Some("1".to_owned());
        ClientLine {
            asked: "m".to_owned(),
            id,
            input: Some(7),
            ..ClientLine::default()
        }
    }

    #[test]
    fn two_accounts_of_one_call_agree_or_not() {
        assert!(differences(&[call()], &[line()]).is_empty());
        assert_eq!(differences(&[call()], &[]).len(), 1);
        assert_eq!(differences(&[], &[line()]).len(), 1);
        assert_eq!(differences(&[call(), call()], &[line()]).len(), 1);
        let doctored = [
            ClientLine {
                id: Some("2".to_owned()),
                ..line()
            },
            ClientLine {
                input: Some(8),
                ..line()
            },
            ClientLine {
                error: Some("TimeoutError".to_owned()),
                ..line()
            },
        ];
        for line in doctored {
            assert_eq!(differences(&[call()], &[line]).len(), 1);
        }
    }
}
