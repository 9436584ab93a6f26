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
