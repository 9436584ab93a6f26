//! The operations of a JSON Patch, written by hand: only what is ours, only `add`.

use std::fmt::Write as _;

use serde::Serialize;

use super::container::{Action, Planned};

/// A JSON Patch as it grows.
#[derive(Debug, Clone, Default)]
pub(crate) struct Patch {
    text: String,
    operations: usize,
}

/// An entry of `env`, as the API server would write it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Variable<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value_from: Option<ValueFrom<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ValueFrom<'a> {
    field_ref: FieldRef<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FieldRef<'a> {
    api_version: &'a str,
    field_path: &'a str,
}

impl Patch {
    /// Injects what is planned into the `env` under `container`, a path. `there` is false if it is
    /// absent or null.
    pub(crate) fn container(&mut self, container: &str, there: bool, plan: &[Planned]) {
        let first = plan
            .iter()
            .filter(|it| matches!(it.action, Action::First(_)));
        let last = plan
            .iter()
            .filter(|it| matches!(it.action, Action::Last(_)));
        if !there {
            let all: Vec<_> = first.chain(last).filter_map(Variable::of).collect();
            if !all.is_empty() {
                self.add(&format!("{container}/env"), &all);
            }
            return;
        }
        // Indexes are those of the list as received, so what is first comes last.
        for planned in plan {
            if let Action::Merge(index, value) = &planned.action {
                self.add(&format!("{container}/env/{index}/value"), value);
            }
        }
        for variable in last.filter_map(Variable::of) {
            self.add(&format!("{container}/env/-"), &variable);
        }
        for variable in first
            .filter_map(Variable::of)
            .collect::<Vec<_>>()
            .iter()
            .rev()
        {
            self.add(&format!("{container}/env/0"), variable);
        }
    }

    /// Adds annotations. `metadata` and `annotations` are false if absent or null.
    pub(crate) fn annotations(
        &mut self,
        metadata: bool,
        annotations: bool,
        marks: &[(&'static str, String)],
    ) {
        if marks.is_empty() {
            return;
        }
        if annotations {
            for (name, value) in marks {
                let name = name.replace('~', "~0").replace('/', "~1");
                self.add(&format!("/metadata/annotations/{name}"), value);
            }
            return;
        }
        let all: serde_json::Map<_, _> = marks
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.as_str().into()))
            .collect();
        if metadata {
            self.add("/metadata/annotations", &all);
        } else {
            self.add("/metadata", &serde_json::json!({"annotations": all}));
        }
    }

    /// The patch, empty if there is nothing to do, and how many operations it has.
    pub(crate) fn finish(mut self) -> (Vec<u8>, usize) {
        if self.operations > 0 {
            self.text.push(']');
        }
        (self.text.into_bytes(), self.operations)
    }

    fn add(&mut self, path: &str, value: &impl Serialize) {
        let value = serde_json::to_string(value).expect("strings and lists of strings are JSON");
        let before = if self.operations == 0 { '[' } else { ',' };
        // Paths hold digits and our own names: nothing that JSON would escape.
        let _ = write!(
            self.text,
            r#"{before}{{"op":"add","path":"{path}","value":{value}}}"#
        );
        self.operations += 1;
    }
}

impl<'a> Variable<'a> {
    fn of(planned: &'a Planned) -> Option<Self> {
        let (value, field) = match &planned.action {
            Action::First(field) => (None, Some(*field)),
            Action::Last(value) => (Some(value.as_str()), None),
            Action::Merge(..) | Action::Keep(_) | Action::Skip(_) => return None,
        };
        Some(Self {
            name: planned.name,
            value,
            value_from: field.map(|field_path| ValueFrom {
                field_ref: FieldRef {
                    api_version: "v1",
                    field_path,
                },
            }),
        })
    }
}
