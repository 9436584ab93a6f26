//! Whether each conversation is one trace, from whoever asked to the model that answered.

use anyhow::{Result, bail};

use super::span::Span;
use super::tree::Names;
use super::work::{Done, Job};

/// Fails unless the spans of a conversation are one tree in one trace, and, of one with the
/// agents, every part of the system stands in it. Nobody in it sends a `traceparent`.
pub(crate) fn check(done: &Done, spans: &[Span], names: &Names) -> Result<()> {
    let own: Vec<&Span> = spans
        .iter()
        .filter(|span| span.began_within(done.start, done.end))
        .collect();
    let is_child = |span: &Span| own.iter().any(|other| span.is_child_of(other));
    let roots: Vec<&&Span> = own.iter().filter(|span| !is_child(span)).collect();
    if roots.len() != 1 {
        let shown: Vec<_> = roots.iter().map(|span| span.name.as_str()).collect();
        bail!("{}: {} trees: {shown:?}", done.job.title(), roots.len());
    }
    if matches!(done.job, Job::Agents(_) | Job::AgentsStreaming(_)) {
        for (pid, name) in names {
            if !own.iter().any(|span| span.pid() == Some(u64::from(*pid))) {
                bail!("{}: no span of {name}", done.job.title());
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    fn span(id: &str, parent: &str, pid: u32) -> Span {
        let line = format!(
            r#"{{"trace_id":"t","span_id":"{id}","parent_span_id":{parent},"kind":"client",
            "name":"chat tiny","start_time":"1970-01-01T00:00:10Z",
            "end_time":"1970-01-01T00:00:10.25Z","status":{{"code":"UNSET"}},
            "resource":{{"process.pid":{pid}}},"attributes":{{}}}}"#
        );
        Span::parse(&line).expect("parses")
    }

    #[test]
    fn one_tree_with_all_parts_is_whole() {
        let done = Done {
            job: Job::Agents("?"),
            start: UNIX_EPOCH + Duration::from_secs(9),
            end: UNIX_EPOCH + Duration::from_secs(20),
        };
        let names = [(7, "boss"), (8, "model")];
        let (root, child) = (span("a", "null", 7), span("b", "\"a\"", 8));
        assert!(check(&done, &[root.clone(), child.clone()], &names).is_ok());
        assert!(check(&done, std::slice::from_ref(&root), &names).is_err());
        assert!(check(&done, &[root, child, span("c", "null", 8)], &names).is_err());
        assert!(check(&done, &[], &names).is_err());
    }
}
