//! `kaos-fake`: a fake model, MCP and agent server for tests and benchmarks.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::Parser;
use e2e::fake::{Certificates, Options, serve};

/// A fake of OpenAI, Anthropic, Ollama, MCP and A2A servers. The name of the model that is asked
/// for tells it how to answer; see `tests/src/fake/script.rs`.
#[derive(Debug, Parser)]
#[command(name = "kaos-fake")]
struct Args {
    /// Address to listen on; port 0 takes any.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: Vec<SocketAddr>,
    /// Address to listen on with TLS.
    #[arg(long)]
    listen_tls: Vec<SocketAddr>,
    /// Folder for the test authority and the certificate. Made where it has none.
    #[arg(long)]
    certificates: Option<PathBuf>,
    /// File for the log: one JSON object a call.
    #[arg(long)]
    log: Option<PathBuf>,
    /// A part of every id in its answers.
    #[arg(long, default_value = "fake")]
    run: String,
    /// For load: write no log, and send the same chunk again and again.
    #[arg(long)]
    fast: bool,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let certificates = args
        .certificates
        .as_deref()
        .map(Certificates::open_or_create)
        .transpose()?;
    let options = Options {
        listen: args.listen,
        listen_tls: args.listen_tls,
        certificates,
        log: args.log,
        run: args.run,
        fast: args.fast,
    };
    serve(options, |addresses| {
        let mut out = std::io::stdout().lock();
        // Whoever started us waits for this line.
        let list: Vec<String> = addresses.iter().map(SocketAddr::to_string).collect();
        writeln!(out, "listening {}", list.join(" ")).context("say where it listens")
    })
}
