//! CPython interpreters in use: where their contexts are, and the hook that sees copies.

use std::collections::HashSet;
use std::path::Path;
use std::time::{Duration, Instant};

use object::ReadCache;
use probe_common::maps::Python;
use probe_elf::python::Interpreter;
use probe_elf::tls::Cost;

use super::files::{Files, Inode, Stamp, locate, open};
use super::proc::{Mapped, exists};
use crate::kernel::{Attached, Control};

/// How long a hook that could not be attached is not tried again.
const RETRY: Duration = Duration::from_mins(1);

/// What a file is.
#[derive(Debug)]
enum Looked {
    /// No interpreter whose contexts we know.
    Other,
    Followed(Box<Followed>),
    /// It could not be hooked then.
    Failed(Instant),
}

/// An interpreter that is hooked.
#[derive(Debug)]
struct Followed {
    interpreter: Interpreter,
    layout: Layout,
    hooks: Vec<Attached>,
}

/// Every file that was looked at.
#[derive(Debug)]
pub(crate) struct Pythons {
    files: Files<Looked>,
}

impl Pythons {
    /// None so far.
    pub(crate) fn new() -> Self {
        Self {
            files: Files::new(),
        }
    }

    /// Looks at a mapped file; if it is an interpreter, the kernel half learns where this process
    /// keeps its contexts.
    pub(crate) fn meet(&mut self, tgid: u32, mapped: &Mapped, control: &mut Control) {
        // What a process takes along is looked at when the next one has it.
        let Ok((path, stamp)) = locate(tgid, mapped) else {
            return;
        };
        if !self.is_known(mapped.inode, stamp, control) {
            if !self.files.has_room(Looked::is_followed) {
                return;
            }
            let Some(file) = look(&path, mapped, control) else {
                return;
            };
            if matches!(file, Looked::Failed(_)) && !exists(tgid) {
                return;
            }
            self.files.insert(mapped.inode, Some(stamp), file);
        }
        let Some(Looked::Followed(python)) = self.files.get(mapped.inode) else {
            return;
        };
        if let Err(error) = control.set_python(tgid, python.place(mapped)) {
            tracing::warn!(
                pid = tgid,
                error = format!("{error:#}"),
                "cannot follow contexts"
            );
        }
        if !exists(tgid) {
            // Nobody else would take it away before the number is given to another.
            control.forget_python(tgid);
        }
    }

    /// Whether this very file was looked at, and need not be again.
    fn is_known(&mut self, inode: Inode, stamp: Stamp, control: &mut Control) -> bool {
        let known = self.files.get(inode);
        let again = matches!(known, Some(Looked::Failed(at)) if at.elapsed() >= RETRY);
        if !again && self.files.is_known(inode, stamp) {
            return true;
        }
        if let Some(file) = self.files.remove(inode) {
            file.detach(control);
        }
        false
    }

    /// Takes the hooks away from interpreters that no process has had mapped for long; `used` now
    /// are these.
    pub(crate) fn forget_unused(&mut self, used: &HashSet<Inode>, control: &mut Control) {
        for file in self.files.unused(used, Instant::now()) {
            file.detach(control);
        }
    }
}

impl Looked {
    const fn is_followed(&self) -> bool {
        matches!(self, Self::Followed(_))
    }

    fn detach(self, control: &mut Control) {
        if let Self::Followed(python) = self {
            detach(python.hooks, control);
        }
    }
}

fn detach(hooks: Vec<Attached>, control: &mut Control) {
    for hook in hooks {
        if let Err(error) = control.detach(hook) {
            tracing::warn!(error = format!("{error:#}"), "cannot detach from a Python");
        }
    }
}

impl Followed {
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

/// What a new file is, hooked if it can be; `None` when it could not be read.
fn look(path: &Path, mapped: &Mapped, control: &mut Control) -> Option<Looked> {
    let file = open(path, mapped).ok()?;
    let Ok(Some(interpreter)) = probe_elf::python::interpreter(&ReadCache::new(&file)) else {
        return Some(Looked::Other);
    };
    let name = mapped.path.file_name()?.to_string_lossy().into_owned();
    let version = interpreter.version.or_else(|| version_in(&name));
    let shown = mapped.path.display();
    let layout = version
        .filter(|_| !is_free_threaded(&name))
        .and_then(layout);
    let Some(layout) = layout else {
        tracing::info!(file = %shown, ?version, "contexts of this Python are not known: parents inside its processes are inferred");
        return Some(Looked::Other);
    };
    if interpreter.copied.cost == Cost::SingleStep {
        tracing::info!(file = %shown, "the hook of this build's contexts is slow");
    }
    Some(match hook(path, &interpreter, control) {
        Ok(hooks) => {
            tracing::debug!(file = %shown, "follows the contexts of this Python");
            Looked::Followed(Box::new(Followed {
                interpreter,
                layout,
                hooks,
            }))
        }
        Err(error) => {
            tracing::warn!(file = %shown, error = format!("{error:#}"), "cannot follow contexts");
            Looked::Failed(Instant::now())
        }
    })
}

/// Hooks all that makes contexts, or nothing.
fn hook(
    path: &Path,
    interpreter: &Interpreter,
    control: &mut Control,
) -> anyhow::Result<Vec<Attached>> {
    let others = interpreter.made.iter().map(|place| ("python_made", place));
    let places = others.chain([("python_copied", &interpreter.copied)]);
    let mut hooks = Vec::new();
    for (program, place) in places {
        match control.attach(program, path, place.file_offset) {
            Ok(hook) => hooks.push(hook),
            Err(error) => {
                detach(hooks, control);
                return Err(error);
            }
        }
    }
    Ok(hooks)
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
    use super::super::files;
    use super::*;

    #[test]
    fn what_is_no_interpreter_makes_room() {
        let mut pythons = Pythons::new();
        for inode in 0..files::MOST as u64 {
            pythons.files.insert((0, inode), None, Looked::Other);
        }
        assert!(pythons.files.has_room(Looked::is_followed));
        assert_eq!(pythons.files.iter().count(), 0);
    }

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
