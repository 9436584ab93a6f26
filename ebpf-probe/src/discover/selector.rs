//! Which processes are opted in.

use super::proc::Process;
use crate::pattern::glob;

/// One way to opt processes in; any that matches is enough.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Selector {
    /// Every process.
    All,
    /// A process and its descendants.
    Pid(u32),
    /// The executable's path, by a pattern with `*` and `?`; without a slash, its last part.
    Executable(String),
    /// The whole command line, by a pattern.
    Command(String),
    /// The name, by a pattern.
    Comm(String),
    /// The beginning of the container's id.
    Container(String),
    /// The cgroup's path, or a path above it.
    Cgroup(String),
    /// It listens on, or is connected to, this TCP port.
    Port(u16),
}

/// The most ancestors of a process that are looked at.
const MOST_ANCESTORS: usize = 64;

/// What is asked of the host only where a selector wants to know it.
pub(crate) trait Host {
    /// The process's TCP ports, which costs a walk of its descriptors.
    fn ports(&self, tgid: u32) -> Vec<u16>;
    /// The process's parent.
    fn parent(&self, tgid: u32) -> Option<u32>;
}

impl Selector {
    /// Whether the process is meant.
    pub(crate) fn matches(&self, process: &Process, host: &dyn Host) -> bool {
        match self {
            Self::All => true,
            Self::Pid(pid) => {
                let parents = |tgid: &u32| host.parent(*tgid);
                std::iter::successors(Some(process.parent), parents)
                    .take(MOST_ANCESTORS)
                    .any(|ancestor| ancestor == *pid)
                    || process.tgid == *pid
            }
            Self::Executable(pattern) => process.executable.as_ref().is_some_and(|path| {
                let name = if pattern.contains('/') {
                    Some(path.as_os_str())
                } else {
                    path.file_name()
                };
                name.is_some_and(|name| glob(pattern, &name.to_string_lossy()))
            }),
            Self::Command(pattern) => glob(pattern, &process.arguments.join(" ")),
            Self::Comm(pattern) => glob(pattern, &process.comm),
            Self::Container(prefix) => process.place.container.as_ref().is_some_and(|id| {
                !prefix.is_empty() && id.starts_with(&prefix.to_ascii_lowercase())
            }),
            Self::Cgroup(path) => process.cgroup.as_ref().is_some_and(|own| {
                let path = path.trim_end_matches('/');
                own.strip_prefix(path)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            }),
            Self::Port(port) => host.ports(process.tgid).contains(port),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::cgroup::Place;
    use super::*;

    struct Family;

    impl Host for Family {
        fn ports(&self, _: u32) -> Vec<u16> {
            vec![8000]
        }

        /// 7 is a child of 6, that of 5, and so on; but 1 is its own.
        fn parent(&self, tgid: u32) -> Option<u32> {
            Some(tgid.saturating_sub(1).max(1))
        }
    }

    #[test]
    fn each_selector_looks_at_its_own_fact() {
        let process = Process {
            tgid: 7,
            parent: 6,
            comm: "python".into(),
            executable: Some("/usr/bin/python3.11".into()),
            arguments: vec!["python".into(), "agent.py".into()],
            place: Place {
                pod: None,
                container: Some("abc123".into()),
            },
            cgroup: Some("/kubepods/pod1/c".into()),
            ..Process::default()
        };
        for (selector, want) in [
            (Selector::All, true),
            (Selector::Pid(7), true),
            (Selector::Pid(6), true),
            (Selector::Pid(4), true),
            (Selector::Pid(8), false),
            (Selector::Executable("python3*".into()), true),
            (Selector::Executable("/usr/bin/python3*".into()), true),
            (Selector::Executable("/opt/*".into()), false),
            (Selector::Command("*agent.py*".into()), true),
            (Selector::Comm("python".into()), true),
            (Selector::Container("abc".into()), true),
            (Selector::Container(String::new()), false),
            (Selector::Cgroup("/kubepods".into()), true),
            (Selector::Cgroup("/kube".into()), false),
            (Selector::Port(8000), true),
            (Selector::Port(1), false),
        ] {
            assert_eq!(selector.matches(&process, &Family), want, "{selector:?}");
        }
    }
}
