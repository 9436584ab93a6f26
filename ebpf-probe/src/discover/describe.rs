//! What a process is: for the stitcher, and as the resource of its spans.

use std::sync::Arc;

use probe_core::ids::ProcessId;
use probe_core::stitch::facts::ProcessFacts;

use super::proc::{self, Process};
use super::{Discovery, redact, script};
use crate::export::{clock, identity};
use crate::kubernetes::Names;

impl Discovery {
    /// Says what a process is, to the stitcher and to the exporters.
    pub(super) fn describe(&mut self, id: ProcessId) {
        let now = proc::process(id.tgid).or_else(|| self.looks.get(&id.tgid).cloned());
        let Some(process) = now.filter(|process| is_same(process, id)) else {
            return;
        };
        self.opted_in.insert(id.tgid, id.start);
        let parent = self.opted_in.get(&process.parent).map(|start| ProcessId {
            tgid: process.parent,
            start: *start,
        });
        let known = self.known(&process.place);
        let reports_calls = self.sdks.meet(id, &process);
        let facts = ProcessFacts {
            executable: process
                .executable
                .as_ref()
                .map(|path| path.to_string_lossy().into_owned())
                .unwrap_or_default(),
            parent,
            agent_name: process.environment.agent_name.clone(),
            kaos_resource: known.as_ref().and_then(|it| it.names.kaos_resource.clone()),
            reports_calls,
        };
        let names = known.map(|it| it.names);
        let mut resource = identity::resource(id, &self.identity(&process, names));
        resource.comm = Some(process.comm);
        self.registry.insert(id, Arc::new(resource));
        let _ = self.facts.send((id, facts));
    }

    fn identity(&self, process: &Process, names: Option<Names>) -> identity::Facts {
        let name = process
            .executable
            .as_ref()
            .and_then(|path| path.file_name());
        identity::Facts {
            otel_service_name: process.environment.otel_service_name.clone(),
            otel_resource_attributes: process.environment.otel_resource_attributes.clone(),
            executable: name.map(|name| name.to_string_lossy().into_owned()),
            executable_path: process
                .executable
                .as_ref()
                .map(|p| p.to_string_lossy().into_owned()),
            // An agent is better known by its name than by the server that runs it.
            script: process
                .environment
                .agent_name
                .clone()
                .or_else(|| script::of(process)),
            command_line: self
                .options
                .command_lines
                .then(|| redact::command_line(&process.arguments)),
            owner: process.uid.map(|uid| uid.to_string()),
            parent_pid: Some(process.parent),
            created: clock::created(process.start_tick),
            container_id: process.place.container.clone(),
            kubernetes: names,
            boot_id: self.boot_id.clone(),
        }
    }
}

/// Whether what stands in `/proc` now is the process that the kernel half means. Its clock ticks
/// are coarser; a start of 0 means that the kernel half does not know.
const fn is_same(process: &Process, id: ProcessId) -> bool {
    const TICK: u64 = 10_000_000;
    id.start == 0 || process.start_tick == id.start / TICK * TICK
}
