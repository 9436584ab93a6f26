//! Runs the cells with real servers, each server once for all of its cells.

use std::time::Duration;

use anyhow::{Result, bail};
use serde_json::Value;

use super::cells::{Cell, Client};
use super::compare::Verdict;
use super::peers::PeerServer;
use super::process::{ClientLine, Running, client_lines};
use super::real::{RealCell, compare};
use super::report::Row;
use super::run::Matrix;
use super::span::{Kind, SeenSpan};

/// The longest that one cell's client may take.
const CLIENT_TIME: Duration = Duration::from_mins(2);
/// How often a cell is run whose client cannot talk to its server.
const TRIES: u32 = 5;
/// The longest that we wait for spans after a client's end.
const SPAN_TIME: Duration = Duration::from_secs(3);

type Servers = (Option<PeerServer>, PeerServer);

/// Runs the cells that are wanted; a server that cannot be started is its cells' reason.
pub(super) fn run(matrix: &mut Matrix, cells: &[RealCell]) {
    let same = |a: &RealCell, b: &RealCell| (a.peer, a.tls) == (b.peer, b.tls);
    for group in cells.chunk_by(same) {
        let Some(first) = group.first() else { continue };
        let servers = start(matrix, first);
        for (number, cell) in group.iter().enumerate() {
            let tag = format!("{}-{}-{number}", cell.peer, u8::from(cell.tls));
            let result = match &servers {
                Ok(servers) => patiently(matrix, cell, servers, &tag).map_err(|e| format!("{e:#}")),
                Err(error) => Err(format!("{error:#}")),
            };
            let row = Row {
                name: cell.name(),
                script: cell.model.to_owned(),
                concurrency: cell.concurrency,
                result,
                findings: Vec::new(),
            };
            matrix.add(row);
        }
    }
}

fn start(matrix: &Matrix, cell: &RealCell) -> Result<Servers> {
    let folder = matrix.folder();
    let behind = cell
        .upstream
        .map(|name| PeerServer::start(name, None, false, folder));
    let behind = behind.transpose()?;
    let upstream = behind.as_ref().map(PeerServer::base);
    let server = PeerServer::start(cell.peer, upstream.as_deref(), cell.tls, folder)?;
    Ok((behind, server))
}

/// Runs a cell, and again if its client could not talk to its server, however often it asked: see
/// [`is_hung_up`]. It is said aloud each time.
fn patiently(matrix: &Matrix, cell: &RealCell, servers: &Servers, tag: &str) -> Result<Verdict> {
    for again in 1..TRIES {
        let result = judge(matrix, cell, servers, &format!("{tag}-{again}"));
        let Err(error) = &result else { return result };
        if !error.to_string().contains("ConnectionError") {
            return result;
        }
        eprintln!("{}: again, for {error:#}", cell.name());
        if let Some(probe) = matrix.probe() {
            // What this run left behind has come by then.
            probe.wait(usize::MAX, SPAN_TIME, |_| true);
        }
    }
    judge(matrix, cell, servers, tag)
}

fn judge(matrix: &Matrix, cell: &RealCell, servers: &Servers, tag: &str) -> Result<Verdict> {
    let (behind, server) = servers;
    let before = |port: u16| {
        let probe = matrix.probe();
        probe.map_or(0, |probe| {
            probe.spans(|span| is_of(span, port, cell.api)).len()
        })
    };
    let skipped = (
        before(server.port()),
        behind.as_ref().map_or(0, |b| before(b.port())),
    );
    let lines = call(matrix, cell, &server.base(), tag)?;
    let Some(probe) = matrix.probe() else {
        let mut verdict = Verdict {
            calls: lines.len(),
            ..Verdict::default()
        };
        (verdict.client.exact, verdict.server.exact) = (lines.len(), lines.len());
        return Ok(verdict);
    };
    let of_port = |port: u16, skipped: usize| {
        let wanted = |span: &SeenSpan| is_of(span, port, cell.api);
        let answered = |span: &SeenSpan| wanted(span) && !is_hung_up(span);
        probe.wait(skipped + 2 * lines.len(), SPAN_TIME, answered);
        let mut spans = probe.spans(wanted).split_off(skipped);
        spans.retain(|span| !is_hung_up(span));
        spans
    };
    let mut verdict = compare(cell, &lines, &of_port(server.port(), skipped.0));
    if let Some(behind) = behind {
        // A proxy gives ids and names of its own or those of the model: only counts are sure.
        let answered = of_port(behind.port(), skipped.1).len();
        if answered != 2 * lines.len() {
            let what = format!("{answered} spans behind the proxy, not {}", 2 * lines.len());
            verdict.server.wrong.push(what);
        }
    }
    Ok(verdict)
}

/// A request on a kept connection that its server hung up at that moment, so that it never read
/// it: the client asks again, and both are calls on the wire. llama.cpp does so in one of a hundred
/// calls on a kept connection, also where no probe runs. Over TLS the client may be the first to
/// close, for it was told inside.
fn is_hung_up(span: &SeenSpan) -> bool {
    let ended = ["server_disconnected", "client_disconnected"];
    span.kind == Kind::Client
        && span
            .text("error.type")
            .is_some_and(|why| ended.contains(&why))
        && !span.attributes.contains_key("http.response.status_code")
}

/// The calls of one server: its port stands in the request of both sides.
fn is_of(span: &SeenSpan, port: u16, api: &str) -> bool {
    let number = span.attributes.get("server.port").and_then(Value::as_u64);
    let kind = api != "mcp" || span.text("mcp.method.name") == Some("tools/call");
    number == Some(u64::from(port)) && kind
}

fn call(matrix: &Matrix, cell: &RealCell, base: &str, tag: &str) -> Result<Vec<ClientLine>> {
    let client = Cell {
        client: Client {
            script: cell.script,
            lib: cell.lib,
        },
        tls: cell.tls,
        stream: cell.stream,
        ..Cell::of_calls(cell.api, cell.concurrency, cell.calls)
    };
    let mut command = matrix.runtimes().command(&client, base, tag);
    command.args(["--model", cell.model]);
    let running = Running::start(&mut command, &matrix.folder().join(format!("{tag}.err")))?;
    let lines = client_lines(&running, false, CLIENT_TIME)?;
    if let Some(line) = lines.iter().find(|line| line.error.is_some()) {
        bail!("the client got {:?}: {:?}", line.error, line.why);
    }
    if lines.is_empty() {
        bail!("the client made no call; see {tag}.err");
    }
    Ok(lines)
}
