//! CPython interpreters in use: where their contexts are, and the hook that sees copies.

use std::collections::HashMap;
use std::fs::File;

use object::ReadCache;
use probe_common::maps::Python;
use probe_elf::python::Interpreter;
use probe_elf::tls::Cost;

use super::proc::{Mapped, through_root};
use crate::kernel::{Attached, Control};

/// The most files that are remembered.
const MOST: usize = 16_384;

/// A file that may be an interpreter.
#[derive(Debug)]
struct Known {
    interpreter: Interpreter,
    layout: Layout,
    /// Held for as long as the probe runs.
    _attached: Vec<Attached>,
}

/// Every file that was looked at.
#[derive(Debug, Default)]
pub(crate) struct Pythons {
    files: HashMap<(u64, u64), Option<Known>>,
}

impl Pythons {
    /// Looks at a mapped file; if it is an interpreter, the kernel half learns where this process
    /// keeps its contexts.
    pub(crate) fn meet(&mut self, tgid: u32, mapped: &Mapped, control: &mut Control) {
        if self.files.len() >= MOST {
            self.files.retain(|_, known| known.is_some());
        }
        let known = self
            .files
            .entry(mapped.inode)
            .or_insert_with(|| look(tgid, mapped, control));
        let Some(known) = known else {
            return;
        };
        if let Err(error) = control.set_python(tgid, known.place(mapped)) {
            tracing::warn!(
                pid = tgid,
                error = format!("{error:#}"),
                "cannot follow contexts"
            );
        }
    }
}

impl Known {
    fn place(&self, mapped: &Mapped) -> Python {
        let bias = mapped
            .start
            .wrapping_sub(mapped.offset)
            .wrapping_sub(self.interpreter.skew);
        let Layout {
            interpreters,
            threads,
            thread_id,
            context,
        } = self.layout;
        Python {
            interpreters: self
                .interpreter
                .runtime
                .wrapping_add(bias)
                .wrapping_add(interpreters),
            context_type: self.interpreter.context_type.wrapping_add(bias),
            threads,
            next: 8,
            interp: 16,
            thread_id,
            context,
            entered: 40,
            pad: 0,
        }
    }
}

fn look(tgid: u32, mapped: &Mapped, control: &mut Control) -> Option<Known> {
    let path = through_root(tgid, &mapped.path);
    let file = File::open(&path).ok()?;
    let interpreter = probe_elf::python::interpreter(&ReadCache::new(&file)).ok()??;
    let name = mapped.path.file_name()?.to_string_lossy().into_owned();
    let version = interpreter.version.or_else(|| version_in(&name));
    let shown = mapped.path.display();
    let layout = version
        .filter(|_| !is_free_threaded(&name))
        .and_then(layout);
    let Some(layout) = layout else {
        tracing::info!(file = %shown, ?version, "contexts of this Python are not known: parents inside its processes are inferred");
        return None;
    };
    if interpreter.copied.cost == Cost::SingleStep {
        tracing::info!(file = %shown, "the hook of this build's contexts is slow");
    }
    let others = interpreter.made.iter().map(|place| ("python_made", place));
    let places = others.chain([("python_copied", &interpreter.copied)]);
    let attached: Result<Vec<_>, _> = places
        .map(|(program, place)| control.attach(program, &path, place.file_offset))
        .collect();
    match attached {
        Ok(attached) => {
            tracing::debug!(file = %shown, "follows the contexts of this Python");
            Some(Known {
                interpreter,
                layout,
                _attached: attached,
            })
        }
        Err(error) => {
            tracing::warn!(file = %shown, error = format!("{error:#}"), "cannot follow contexts");
            None
        }
    }
}

/// Offsets that differ between versions, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Layout {
    /// `_PyRuntime.interpreters.head`
    interpreters: u64,
    /// `PyInterpreterState` to its newest thread.
    threads: u16,
    /// `PyThreadState.thread_id`
    thread_id: u16,
    /// `PyThreadState.context`
    context: u16,
}

/// From each version's headers. A wrong one does no harm: the kernel half believes a thread's
/// state only if it names its interpreter and its thread, and a context only if it is one.
fn layout(version: (u8, u8)) -> Option<Layout> {
    let (interpreters, threads, thread_id, context) = match version {
        (3, 9 | 10) => (32, 8, 176, 240),
        (3, 11) => (40, 16, 152, 224),
        (3, 12) => (40, 72, 136, 208),
        (3, 13) => (632, 7344, 152, 208),
        _ => return None,
    };
    Some(Layout {
        interpreters,
        threads,
        thread_id,
        context,
    })
}

/// The version in the name of an executable or library.
fn version_in(name: &str) -> Option<(u8, u8)> {
    let (_, rest) = name.split_once("python")?;
    let (major, rest) = rest.split_once('.')?;
    let end = rest
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(rest.len());
    Some((major.parse().ok()?, rest[..end].parse().ok()?))
}

/// A build without the GIL lays its structures out in another way, and says so in its name.
fn is_free_threaded(name: &str) -> bool {
    let Some((_, rest)) = name.split_once("python3.") else {
        return false;
    };
    rest.trim_start_matches(|c: char| c.is_ascii_digit())
        .starts_with('t')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_version_and_build() {
        for (name, version, free) in [
            ("libpython3.9.so.1.0", Some((3, 9)), false),
            ("python3.10", Some((3, 10)), false),
            ("libpython3.13t.so.1.0", Some((3, 13)), true),
            ("python3.14t", Some((3, 14)), true),
            ("python", None, false),
            ("node", None, false),
        ] {
            assert_eq!(version_in(name), version, "{name}");
            assert_eq!(is_free_threaded(name), free, "{name}");
        }
    }
}
