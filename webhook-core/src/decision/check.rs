//! Tries a patch on the shape of the pod before it is sent.
//!
//! The API server rejects a pod whose patch does not apply, whatever the failure policy says. So
//! the bytes that are to be sent are read back, and each operation is followed through what was
//! received. Tests and fuzzing apply the same patches with a full implementation too.

use serde::Deserialize;

use crate::review::Present;
use crate::review::pod::{Container, Pod};

#[derive(Deserialize)]
struct Operation<'a> {
    op: &'a str,
    path: &'a str,
    /// There, and not null.
    value: Present,
}

/// What operations can change, as far as they change it.
struct Shape<'a> {
    metadata: bool,
    annotations: bool,
    containers: Vec<Env<'a>>,
    init_containers: Vec<Env<'a>>,
}

/// A container's `env`: which entries could take a value.
struct Env<'a> {
    received: &'a Container<'a>,
    /// None if absent or null.
    entries: Option<usize>,
    /// True once the indexes are no longer those as received.
    moved: bool,
}

/// True if each operation of `patch` finds its place in `pod`.
pub(crate) fn applies(patch: &[u8], pod: &Pod<'_>) -> bool {
    let Ok(operations) = serde_json::from_slice::<Vec<Operation<'_>>>(patch) else {
        return false;
    };
    let mut shape = Shape::of(pod);
    operations.iter().all(|operation| {
        let Operation {
            op,
            path,
            value: Present,
        } = operation;
        *op == "add" && shape.add(path).is_some()
    })
}

impl<'a> Shape<'a> {
    fn of(pod: &'a Pod<'a>) -> Self {
        let env = |list: &'a Option<Vec<Container<'a>>>| {
            let containers = list.iter().flatten();
            let env = containers.map(|received| Env {
                received,
                entries: received.env.as_ref().map(Vec::len),
                moved: false,
            });
            env.collect()
        };
        let metadata = pod.metadata.as_ref();
        Self {
            metadata: metadata.is_some(),
            annotations: metadata.is_some_and(|it| it.annotations.is_some()),
            containers: env(&pod.spec.containers),
            init_containers: env(&pod.spec.init_containers),
        }
    }

    fn add(&mut self, path: &str) -> Option<()> {
        let parts: Vec<&str> = path.strip_prefix('/')?.split('/').collect();
        match parts.as_slice() {
            ["metadata"] => {
                (!self.metadata).then_some(())?;
                (self.metadata, self.annotations) = (true, true);
            }
            ["metadata", "annotations"] => {
                (self.metadata && !self.annotations).then_some(())?;
                self.annotations = true;
            }
            ["metadata", "annotations", _] => self.annotations.then_some(())?,
            ["spec", list, container, "env", rest @ ..] => {
                let list = match *list {
                    "containers" => &mut self.containers,
                    "initContainers" => &mut self.init_containers,
                    _ => return None,
                };
                list.get_mut(index(container)?)?.add(rest)?;
            }
            _ => return None,
        }
        Some(())
    }
}

impl Env<'_> {
    fn add(&mut self, rest: &[&str]) -> Option<()> {
        match (rest, self.entries) {
            ([], None) => {
                self.moved = true;
                // How many there are now does not matter: nothing more is added to it.
                self.entries = Some(0);
            }
            (["-"], Some(entries)) => self.entries = Some(entries + 1),
            (["0"], Some(entries)) => {
                self.moved = true;
                self.entries = Some(entries + 1);
            }
            ([at, "value"], Some(_)) if !self.moved => {
                let entry = self.received.env.as_ref()?.get(index(at)?)?;
                // A value beside a reference would make the pod invalid.
                entry.value_from.is_none().then_some(())?;
            }
            _ => return None,
        }
        Some(())
    }
}

/// An index as RFC 6901 has it: digits, no zero before others.
fn index(text: &str) -> Option<usize> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    (digits && (text == "0" || !text.starts_with('0'))).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// What the check says of operations, each `[path, value]`; a full implementation never
    /// refuses what the check lets pass.
    fn check(pod: &Value, operations: &[(&str, Value)]) -> bool {
        let patch: Vec<_> = operations
            .iter()
            .map(|(path, value)| json!({"op": "add", "path": path, "value": value}))
            .collect();
        let patch = Value::from(patch);
        let text = pod.to_string();
        let said = applies(
            patch.to_string().as_bytes(),
            &serde_json::from_str(&text).unwrap(),
        );
        let patch: json_patch::Patch = serde_json::from_value(patch).unwrap();
        let applied = json_patch::patch(&mut pod.clone(), &patch).is_ok();
        assert!(applied || !said, "{operations:?}");
        said
    }

    #[test]
    fn what_would_not_apply_is_seen() {
        let pod = json!({"metadata": {}, "spec": {"containers": [
            {"env": [{"name": "A", "value": "1"}, {"name": "B", "valueFrom": {}}]},
            {"env": null},
        ]}});
        let env = |rest: &str| format!("/spec/containers/{rest}");
        let entry = || json!({"name": "X"});
        assert!(check(
            &pod,
            &[(&env("0/env/-"), entry()), (&env("0/env/0"), entry())]
        ));
        assert!(check(&pod, &[(&env("0/env/0/value"), json!("2"))]));
        assert!(check(&pod, &[(&env("1/env"), json!([]))]));
        assert!(check(
            &pod,
            &[
                ("/metadata/annotations", json!({})),
                ("/metadata/annotations/a", json!(""))
            ]
        ));
        for path in [
            "1/env/-",
            "2/env",
            "00/env/-",
            "0/env/2/value",
            "0/env/1/value",
            "0/name",
        ] {
            assert!(!check(&pod, &[(&env(path), json!("2"))]), "{path}");
        }
        assert!(!check(&pod, &[("/metadata/annotations/a", json!(""))]));
        assert!(!check(&pod, &[("/spec/initContainers/0/env", json!([]))]));
        assert!(!check(&pod, &[("/metadata", json!({}))]));
        assert!(
            !check(&pod, &[(&env("0/env"), json!([]))]),
            "a list that is there stays"
        );
        let moved = [
            (&*env("0/env/0"), entry()),
            (&*env("0/env/0/value"), json!("2")),
        ];
        assert!(!check(&pod, &moved), "indexes are those as received");
    }

    #[test]
    fn only_additions_pass() {
        let pod: Pod<'_> =
            serde_json::from_str(r#"{"metadata":{"annotations":{}},"spec":{}}"#).unwrap();
        let of =
            |op: &str| format!(r#"[{{"op":"{op}","path":"/metadata/annotations/a","value":"1"}}]"#);
        assert!(applies(of("add").as_bytes(), &pod));
        assert!(!applies(of("replace").as_bytes(), &pod));
        assert!(!applies(b"[{", &pod));
    }
}
