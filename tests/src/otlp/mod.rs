//! A real OpenTelemetry Collector as the reader of our OTLP: three probes watch the same calls,
//! one exports by gRPC, one by HTTP/protobuf, one prints. All three must say the same, and what
//! the fake's log says.

pub mod file;
pub mod same;
pub mod traffic;

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use rustix::process::{Pid, Signal, kill_process};

use self::file::Sum;
use crate::built;
use crate::clock::epoch_offset;
use crate::fake::log::Record;
use crate::fidelity::compare::{Given, compare};
use crate::fidelity::peers::{PeerServer, free_port};
use crate::fidelity::probe::Probe;
use crate::fidelity::process::{FakeServer, Running};
use crate::fidelity::span::SeenSpan;

/// How long anything here may take.
const PATIENCE: Duration = Duration::from_secs(15);
/// Part of every call's key.
const TAG: &str = "-totlp";

/// Options of `e2e otlp`.
#[derive(Clone, Debug, Args)]
pub struct OtlpArgs {
    /// The probe. The default is `kaos-probe` beside this program.
    #[arg(long, env = "KAOS_PROBE")]
    probe: Option<PathBuf>,
    /// Where logs and spans are kept. The default is a new folder for temporary files.
    #[arg(long)]
    keep: Option<PathBuf>,
}

impl OtlpArgs {
    /// Makes the calls and fails unless all accounts of them are the same.
    pub fn run(self) -> Result<()> {
        let folder = self.keep.unwrap_or_else(|| {
            std::env::temp_dir().join(format!("kaos-otlp-{}", std::process::id()))
        });
        std::fs::create_dir_all(&folder).context("make the folder for logs")?;
        let beside = built::program("kaos-probe")?;
        let seen = watch_calls(&self.probe.unwrap_or(beside), &folder)?;
        let findings = seen.findings();
        for finding in &findings {
            println!("{finding}");
        }
        if !findings.is_empty() {
            bail!("{} differences; see {}", findings.len(), folder.display());
        }
        println!(
            "{} calls: {} spans by gRPC, by HTTP/protobuf and printed are the same",
            seen.records.len(),
            seen.printed.len()
        );
        Ok(())
    }
}

/// What everybody says of the calls.
struct Seen {
    records: Vec<Record>,
    printed: Vec<SeenSpan>,
    grpc: Received,
    http: Received,
}

/// What a collector got.
struct Received {
    spans: Vec<SeenSpan>,
    /// Tokens by kind, as the metrics count them.
    tokens: BTreeMap<String, u64>,
}

fn watch_calls(binary: &Path, folder: &Path) -> Result<Seen> {
    let (fake, agent) = (
        FakeServer::start(folder, "fake")?,
        FakeServer::start(folder, "agent")?,
    );
    let pids = [fake.pid(), agent.pid(), std::process::id()];
    let grpc = Exporting::start(binary, "grpc", &pids, folder)?;
    let http = Exporting::start(binary, "http/protobuf", &pids, folder)?;
    let probe = Probe::start(binary, &[], folder, fake.address())?;
    for call in traffic::of_models() {
        call.make(fake.address())?;
    }
    traffic::of_agent().make(agent.address())?;
    let mut records = fake.records()?;
    records.extend(agent.records()?);
    records.retain(|record| record.facts.asked.contains(TAG));
    probe.wait(2 * records.len(), PATIENCE, is_ours);
    let count = probe.spans(is_ours).len();
    let (grpc, http) = (grpc.finish(count)?, http.finish(count)?);
    let (mut printed, unreadable) = probe.stop()?;
    if let Some(line) = unreadable.first() {
        bail!("{line}");
    }
    printed.retain(is_ours);
    Ok(Seen {
        records,
        printed,
        grpc,
        http,
    })
}

impl Seen {
    /// All that is wrong.
    fn findings(&self) -> Vec<String> {
        let mut findings = Vec::new();
        let accounts = [
            ("printed", &self.printed),
            ("by gRPC", &self.grpc.spans),
            ("by HTTP", &self.http.spans),
        ];
        let heard = BTreeMap::new();
        for (name, spans) in accounts {
            let given = Given {
                calls: &self.records,
                spans,
                heard: &heard,
                epoch_offset: epoch_offset(),
            };
            let verdict = compare(given);
            findings.extend(verdict.findings().map(|what| format!("{name}, {what}")));
            if !verdict.is_perfect() {
                findings.push(format!("{name}: not every call is there"));
            }
        }
        for (name, spans) in &accounts[1..] {
            let different = same::differences(&self.printed, spans);
            findings.extend(different.into_iter().map(|what| format!("{name}: {what}")));
        }
        let tokens = tokens(&self.records);
        for (name, received) in [("gRPC", &self.grpc), ("HTTP", &self.http)] {
            if received.tokens != tokens {
                let seen = &received.tokens;
                findings.push(format!("metrics by {name}: {seen:?}, not {tokens:?}"));
            }
        }
        findings
    }
}

/// Input and output tokens by the log. The metrics count each call once, on one of its sides.
fn tokens(records: &[Record]) -> BTreeMap<String, u64> {
    let sum = |of: fn(&Record) -> Option<u64>| records.iter().filter_map(of).sum();
    [
        ("input".to_owned(), sum(|record| record.facts.input_tokens)),
        (
            "output".to_owned(),
            sum(|record| record.facts.output_tokens),
        ),
    ]
    .into()
}

fn is_ours(span: &SeenSpan) -> bool {
    span.key().is_some_and(|key| key.contains(TAG))
}

/// An agent that exports to a collector of its own.
struct Exporting {
    agent: Running,
    collector: PeerServer,
}

impl Exporting {
    fn start(binary: &Path, protocol: &str, pids: &[u32], folder: &Path) -> Result<Self> {
        let collector = PeerServer::start("collector", None, false, folder)?;
        // The collector has HTTP on its port and gRPC on the next.
        let port = collector.port() + u16::from(protocol == "grpc");
        let health = free_port()?;
        let mut command = Command::new(binary);
        command.args(["agent", "--listen", &format!("127.0.0.1:{health}")]);
        for pid in pids {
            command.args(["--pid", &pid.to_string()]);
        }
        command.env("OTEL_EXPORTER_OTLP_PROTOCOL", protocol).env(
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            format!("http://127.0.0.1:{port}"),
        );
        let errors = folder.join(format!("agent-{port}.err"));
        let agent = Running::start(&mut command, &errors)?;
        wait_until_ready(([127, 0, 0, 1], health).into())
            .with_context(|| format!("the agent is not ready; see {}", errors.display()))?;
        Ok(Self { agent, collector })
    }

    /// Waits for so many spans, ends the agent, and reads what the collector got.
    fn finish(self, count: usize) -> Result<Received> {
        let traces = self.collector.dir().join("traces.jsonl");
        let deadline = Instant::now() + PATIENCE;
        let mut spans = Vec::new();
        while spans.len() < count && Instant::now() < deadline {
            sleep(Duration::from_millis(20));
            spans = read(&traces, file::spans)?;
            spans.retain(is_ours);
        }
        let pid = i32::try_from(self.agent.pid()).ok().and_then(Pid::from_raw);
        kill_process(pid.context("a process id is positive")?, Signal::TERM)?;
        // Its output ends with it, and what waited has gone out before.
        while self.agent.line(deadline + PATIENCE)?.is_some() {}
        let metrics = self.collector.dir().join("metrics.jsonl");
        drop(self.collector);
        let mut spans = read(&traces, file::spans)?;
        spans.retain(is_ours);
        Ok(Received {
            spans,
            tokens: received_tokens(&read(&metrics, file::sums)?),
        })
    }
}

/// Tokens of our models, as the last export has them: sums are cumulative.
fn received_tokens(exports: &[Sum]) -> BTreeMap<String, u64> {
    let mut latest = BTreeMap::new();
    for Sum {
        metric,
        attributes,
        sum,
    } in exports
    {
        let text = |name: &str| attributes.get(name).and_then(serde_json::Value::as_str);
        let model = text("gen_ai.request.model").unwrap_or_default();
        let kind = text("gen_ai.token.type").unwrap_or_default();
        if metric == "gen_ai.client.token.usage" && model.contains(TAG) {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "sums of token counts"
            )]
            latest.insert((kind.to_owned(), format!("{attributes:?}")), *sum as u64);
        }
    }
    let mut tokens = BTreeMap::new();
    for ((kind, _), sum) in latest {
        *tokens.entry(kind).or_default() += sum;
    }
    tokens
}

/// All complete lines of a file; none where there is no file yet.
fn read<T>(path: &Path, parse: impl Fn(&str) -> Result<Vec<T>>) -> Result<Vec<T>> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let complete = text.rfind('\n').map_or("", |end| &text[..end]);
    let mut found = Vec::new();
    for line in complete.lines() {
        found.extend(parse(line).with_context(|| path.display().to_string())?);
    }
    Ok(found)
}

fn wait_until_ready(address: SocketAddr) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if let Ok(mut stream) = TcpStream::connect(address) {
            stream.write_all(b"GET /readyz HTTP/1.0\r\n\r\n")?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            if answer.contains(" 200 ") {
                return Ok(());
            }
        }
        sleep(Duration::from_millis(20));
    }
    bail!("no 200 of /readyz within {PATIENCE:?}")
}
