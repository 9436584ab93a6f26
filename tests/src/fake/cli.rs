//! The fake's command line, for `kaos-fake` and for `e2e fake`.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::Args;

use super::serve::{Options, serve};
use super::tls::Certificates;

/// A fake of OpenAI, Anthropic, Ollama, MCP and A2A servers. The name of the model that is asked
/// for tells it how to answer; see `tests/src/fake/script.rs`.
#[derive(Debug, Args)]
pub struct FakeArgs {
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

impl FakeArgs {
    /// Serves until the process ends. The first line on stdout says where.
    pub fn run(self) -> Result<()> {
        let folder = self.certificates.as_deref();
        let options = Options {
            certificates: folder.map(Certificates::open_or_create).transpose()?,
            listen: self.listen,
            listen_tls: self.listen_tls,
            log: self.log,
            run: self.run,
            fast: self.fast,
        };
        serve(options, |addresses| {
            let list: Vec<String> = addresses.iter().map(SocketAddr::to_string).collect();
            let mut out = std::io::stdout().lock();
            // Whoever started us waits for this line.
            writeln!(out, "listening {}", list.join(" ")).context("say where it listens")
        })
    }
}
