//! Options that opt processes in.

use probe_common::maps::{POLICY_FULL, POLICY_HEADS};

use crate::discover::Selector;

/// Which processes are opted in; any that matches is enough.
#[derive(clap::Args, Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Select {
    /// A process and its later children.
    #[arg(long, value_name = "PID", help_heading = "Processes")]
    pub(super) pid: Vec<u32>,
    /// The process's name, a pattern with * and ?.
    #[arg(long, value_name = "GLOB", help_heading = "Processes")]
    pub(super) comm: Vec<String>,
    /// The executable: a path or, without a slash, its last part; a pattern.
    #[arg(long, value_name = "GLOB", help_heading = "Processes")]
    pub(super) exe: Vec<String>,
    /// The whole command line, a pattern: '*uvicorn*pais*'.
    #[arg(long, value_name = "GLOB", help_heading = "Processes")]
    pub(super) command: Vec<String>,
    /// A process that has this TCP port.
    #[arg(long, value_name = "PORT", help_heading = "Processes")]
    pub(super) port: Vec<u16>,
    /// The container's id or the beginning of it.
    #[arg(long, value_name = "ID", help_heading = "Processes")]
    pub(super) container: Vec<String>,
    /// The cgroup's path or one above it.
    #[arg(long, value_name = "PATH", help_heading = "Processes")]
    pub(super) cgroup: Vec<String>,
    /// Every process of this host.
    #[arg(long, help_heading = "Processes")]
    pub(super) all: bool,
    /// Capture the bodies of all HTTP exchanges, not only of those that look like calls.
    #[arg(long, help_heading = "Processes")]
    pub(super) full: bool,
}

impl Select {
    /// The selectors.
    pub(super) fn selectors(&self) -> Vec<Selector> {
        let Self {
            pid,
            comm,
            exe,
            command,
            port,
            container,
            cgroup,
            all,
            full: _,
        } = self;
        let mut selectors = Vec::new();
        selectors.extend(pid.iter().copied().map(Selector::Pid));
        selectors.extend(comm.iter().cloned().map(Selector::Comm));
        selectors.extend(exe.iter().cloned().map(Selector::Executable));
        selectors.extend(command.iter().cloned().map(Selector::Command));
        selectors.extend(port.iter().copied().map(Selector::Port));
        selectors.extend(container.iter().cloned().map(Selector::Container));
        selectors.extend(cgroup.iter().cloned().map(Selector::Cgroup));
        if *all {
            selectors.push(Selector::All);
        }
        selectors
    }

    /// Adds the selectors of another source.
    pub(super) fn add(&mut self, other: &Self) {
        let Self {
            pid,
            comm,
            exe,
            command,
            port,
            container,
            cgroup,
            all,
            full,
        } = other.clone();
        self.pid.extend(pid);
        self.comm.extend(comm);
        self.exe.extend(exe);
        self.command.extend(command);
        self.port.extend(port);
        self.container.extend(container);
        self.cgroup.extend(cgroup);
        self.all |= all;
        self.full |= full;
    }

    /// The policy of opted-in processes.
    pub(super) const fn policy(&self) -> u32 {
        if self.full { POLICY_FULL } else { POLICY_HEADS }
    }
}
