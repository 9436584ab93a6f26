//! Options that every command shares, and where spans go.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use clap::ValueEnum as _;
use probe_common::maps::{POLICY_HEADS, counter};
use probe_core::conventions::{Conventions, Profile};
use probe_core::stitch;

use super::capture::Setup;
use super::file::OutputSettings;
use crate::discover::{Counted, Options, Selector};
use crate::export::config::Config;
use crate::export::resource::Registry;
use crate::export::{Exporter, selfmetrics};
use crate::kernel::Tap;
use crate::kubernetes::Node;
use crate::pipeline::Leaving;

/// How long an end may take, the way of the last spans to the collector included.
const DEADLINE: Duration = Duration::from_secs(5);

/// Options that every command shares.
#[derive(clap::Args, Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
pub(super) struct Output {
    /// The set of names: v1.41 (what backends read today) or gen-ai-dev.
    #[arg(
        long,
        default_value = "v1.41",
        value_name = "SET",
        help_heading = "Spans"
    )]
    conventions: Profile,
    /// Write KAOS's own names beside them.
    #[arg(long, help_heading = "Spans")]
    kaos_names: bool,
    /// Write the names of older conventions beside them (`gen_ai.system`, …).
    #[arg(long, help_heading = "Spans")]
    legacy_names: bool,
    /// Keep prompts, answers and tool arguments. They may hold secrets.
    #[arg(long, help_heading = "Spans")]
    content: bool,
    /// The most bytes of each part of the content.
    #[arg(
        long,
        default_value_t = 8192,
        value_name = "BYTES",
        requires = "content",
        help_heading = "Spans"
    )]
    content_bytes: usize,
    /// Export model calls too that the process's own SDK reports: they arrive twice.
    #[arg(long, help_heading = "Spans")]
    sdk_calls: bool,
    /// Put command lines into resources. Keys may stand in them.
    #[arg(long, help_heading = "Spans")]
    command_lines: bool,
    /// Bytes of the ring between the kernel and the probe, a power of two.
    #[arg(long, default_value_t = probe_common::maps::RING, value_name = "BYTES", value_parser = ring, help_heading = "Limits")]
    ring: u32,
    /// Hang the socket tap on this instead of the best that the kernel takes.
    #[arg(long, value_enum, help_heading = "Limits")]
    tap: Option<Tap>,
}

fn ring(text: &str) -> Result<u32, String> {
    ring_of(text.parse().map_err(|error| format!("{error}"))?)
}

fn ring_of(bytes: u32) -> Result<u32, String> {
    if bytes.is_power_of_two() && (1 << 16..=1 << 28).contains(&bytes) {
        Ok(bytes)
    } else {
        Err("must be a power of two from 65536 to 268435456".to_owned())
    }
}

/// What a capture is set up for.
pub(super) struct Wanted {
    /// Which processes.
    pub(super) selectors: Vec<Selector>,
    /// The policy that they get.
    pub(super) policy: u32,
    /// Whether they are held at new libraries: only for a command of our own.
    pub(super) hold: bool,
    /// What is known of this node's pods, which opts their containers in.
    pub(super) node: Option<Node>,
    /// Whether there is an exporter.
    pub(super) exports: bool,
}

impl Wanted {
    /// Every process of the host.
    pub(super) fn everything(exports: bool) -> Self {
        Self {
            selectors: vec![Selector::All],
            policy: POLICY_HEADS,
            hold: false,
            node: None,
            exports,
        }
    }
}

impl Output {
    /// What a capture needs.
    pub(super) fn setup(
        &self,
        wanted: Wanted,
        sinks: &Sinks,
        spans: impl FnMut(Leaving) + Send + 'static,
    ) -> Setup {
        let conventions = Conventions {
            profile: self.conventions,
            kaos_names: self.kaos_names,
            legacy_names: self.legacy_names,
        };
        let counters = sinks.counters.clone();
        Setup {
            discovery: Options {
                selectors: wanted.selectors,
                policy: wanted.policy,
                command_lines: self.command_lines,
                hold: wanted.hold,
                node: wanted.node,
                forget: !wanted.exports,
            },
            stitch: stitch::Config {
                conventions,
                leave_to_sdk: !self.sdk_calls,
                ..stitch::Config::default()
            },
            content_cap: if self.content { self.content_bytes } else { 0 },
            ring: self.ring,
            tap: self.tap,
            registry: Arc::clone(&sinks.registry),
            counters: sinks.counters.clone(),
            counted: Box::new(move |counted| publish(&counters, counted)),
            spans: Box::new(spans),
        }
    }

    /// These options, with those of a file where they were not given.
    pub(super) fn over(
        &self,
        file: &OutputSettings,
        is_given: &dyn Fn(&str) -> bool,
    ) -> anyhow::Result<Self> {
        let mut output = self.clone();
        if let Some(name) = file
            .conventions
            .as_ref()
            .filter(|_| !is_given("conventions"))
        {
            output.conventions = name.parse().context("output: conventions")?;
        }
        // There is no flag that says no, so one that was given says yes.
        output.kaos_names |= file.kaos_names.unwrap_or(false);
        output.legacy_names |= file.legacy_names.unwrap_or(false);
        output.sdk_calls |= file.sdk_calls.unwrap_or(false);
        output.content |= file.content.unwrap_or(false);
        output.command_lines |= file.command_lines.unwrap_or(false);
        if let Some(bytes) = file.content_bytes.filter(|_| !is_given("content_bytes")) {
            output.content_bytes = bytes;
        }
        if let Some(bytes) = file.ring.filter(|_| !is_given("ring")) {
            output.ring = ring_of(bytes).map_err(|why| anyhow!("output: ring: {why}"))?;
        }
        if let Some(name) = file.tap.as_ref().filter(|_| !is_given("tap")) {
            let tap = Tap::from_str(name, false).map_err(|why| anyhow!("output: tap: {why}"))?;
            output.tap = Some(tap);
        }
        Ok(output)
    }

    /// These options as those of a file.
    pub(super) fn settings(&self) -> OutputSettings {
        OutputSettings {
            conventions: Some(self.conventions.as_str().to_owned()),
            kaos_names: Some(self.kaos_names),
            legacy_names: Some(self.legacy_names),
            sdk_calls: Some(self.sdk_calls),
            content: Some(self.content),
            content_bytes: Some(self.content_bytes),
            command_lines: Some(self.command_lines),
            ring: Some(self.ring),
            tap: self.tap.map(|tap| tap.name().to_owned()),
        }
    }

    /// The set of names.
    pub(super) const fn profile(&self) -> Profile {
        self.conventions
    }
}

/// What all outputs share.
#[derive(Clone, Default)]
pub(super) struct Sinks {
    /// Resources of the observed processes.
    pub(super) registry: Arc<Registry>,
    /// The probe's own counters.
    pub(super) counters: selfmetrics::Counters,
}

impl Sinks {
    /// Starts export by the `OTEL_*` variables, on the current tokio runtime.
    pub(super) fn export(&self, profile: Profile) -> anyhow::Result<Exporter> {
        self.export_by(profile, |name| std::env::var(name).ok())
    }

    /// Starts export by `OTEL_*` variables from elsewhere.
    pub(super) fn export_by(
        &self,
        profile: Profile,
        variable: impl Fn(&str) -> Option<String>,
    ) -> anyhow::Result<Exporter> {
        let config = Config::from_env(variable)?;
        for warning in &config.warnings {
            tracing::warn!("{warning}");
        }
        self.exporter(config, profile)
    }

    fn exporter(&self, config: Config, profile: Profile) -> anyhow::Result<Exporter> {
        let setup = crate::export::Setup {
            config,
            profile,
            registry: Arc::clone(&self.registry),
            counters: self.counters.clone(),
        };
        Exporter::start(setup).context("cannot set up the export")
    }
}

/// An exporter that commands may do without.
pub(super) type MaybeExporter = Arc<Mutex<Option<Exporter>>>;

/// Hands it to the exporter, if there is one.
pub(super) fn record(exporter: &MaybeExporter, leaving: &Leaving) {
    if let Ok(exporter) = exporter.lock()
        && let Some(exporter) = &*exporter
    {
        match leaving {
            Leaving::Ended(span) => exporter.measure(span),
            Leaving::Span(span) => exporter.record(span),
        }
    }
}

/// When the end is to be over that begins now.
pub(super) fn deadline() -> Instant {
    Instant::now() + DEADLINE
}

/// Sends what waits until then; says what could not be sent.
pub(super) async fn finish(exporter: &MaybeExporter, end: Instant) {
    let taken = exporter
        .lock()
        .ok()
        .and_then(|mut exporter| exporter.take());
    if let Some(exporter) = taken {
        let left = exporter
            .shutdown(end.saturating_duration_since(Instant::now()))
            .await;
        if left > 0 {
            tracing::warn!(spans = left, "the collector did not take the last spans");
        }
    }
}

fn publish(counters: &selfmetrics::Counters, counted: &Counted) {
    let at = |index: u32| counted.kernel[index as usize];
    counters
        .cell(&selfmetrics::RING_REFUSALS)
        .set(at(counter::RING_FULL));
    counters
        .cell(&selfmetrics::HTTP2_CONNECTIONS)
        .set(at(counter::HTTP2));
    for (index, name) in counter::NAMES.iter().enumerate() {
        counters
            .labelled(&selfmetrics::KERNEL, name)
            .set(counted.kernel[index]);
    }
    for (state, files) in [("hooked", counted.hooked), ("failed", counted.failed)] {
        counters
            .labelled(&selfmetrics::TLS_FILES, state)
            .set(files as u64);
    }
}
