//! `cargo xtask peers`.

use std::path::PathBuf;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use super::{Cache, Peer, Serving, all, chromium, start};
use crate::interrupt;

/// Options of `peers`.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(clap::Subcommand)]
enum Action {
    /// Name every peer, and its folder if it is installed.
    List,
    /// Install peers (all of them if none is named) and print their folders.
    Install {
        /// Names as `list` shows them.
        names: Vec<String>,
    },
    /// Run one peer until Ctrl-C; prints `ready PORT PID` when it answers.
    Run(RunArgs),
    /// Draw a terminal's text, with its colours, into a PNG file.
    Terminal {
        /// The file with the text.
        text: PathBuf,
        /// The file to write.
        file: PathBuf,
    },
    /// Draw a page into a PNG file.
    Picture {
        /// The page.
        url: String,
        /// The file to write.
        file: PathBuf,
    },
}

#[derive(clap::Args)]
struct RunArgs {
    /// A name that `list` shows.
    name: String,
    /// The port on loopback that it serves.
    #[arg(long, short)]
    port: u16,
    /// A variable for its environment; may be repeated.
    #[arg(long, short, value_name = "NAME=VALUE")]
    env: Vec<String>,
    /// The model server behind a proxy or an agent.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:18080")]
    upstream: String,
    /// Serve TLS, with the certificate of the peer `tls`.
    #[arg(long)]
    tls: bool,
    /// Where it keeps its log and its state [default: a folder of its own in the cache]
    #[arg(long)]
    dir: Option<PathBuf>,
    /// More arguments for the peer.
    #[arg(last = true)]
    args: Vec<String>,
}

/// Runs the subcommand.
pub(crate) fn run(args: &Args) -> Result<()> {
    let cache = Cache::from_env()?;
    match &args.action {
        Action::List => {
            list(&cache);
            Ok(())
        }
        Action::Install { names } => install(&cache, names),
        Action::Run(args) => serve(&cache, args),
        Action::Terminal { text, file } => chromium::terminal(&cache, text, file),
        Action::Picture { url, file } => chromium::picture(&cache, url, file),
    }
}

fn list(cache: &Cache) {
    for peer in all() {
        let link = cache.peers().join(peer.name());
        let place = std::fs::read_link(link).map_or_else(
            |_| "not installed".to_owned(),
            |folder| folder.display().to_string(),
        );
        println!("{:<16} {}\n{:<16} {place}", peer.name(), peer.about(), "");
    }
}

fn install(cache: &Cache, names: &[String]) -> Result<()> {
    let mut failed = Vec::new();
    for peer in chosen(names)? {
        match peer.install(cache) {
            Ok(folder) => println!("{}\t{}", peer.name(), folder.display()),
            Err(error) => {
                eprintln!("{error:#}");
                failed.push(peer.name());
            }
        }
    }
    if !failed.is_empty() {
        bail!("not installed: {}", failed.join(", "));
    }
    Ok(())
}

fn serve(cache: &Cache, args: &RunArgs) -> Result<()> {
    let peers = chosen(std::slice::from_ref(&args.name))?;
    let peer = peers.first().context("a name gives a peer")?;
    interrupt::listen()?;
    let dir = args.dir.clone().unwrap_or_else(|| {
        cache
            .peers()
            .join(format!("run/{}-{}", args.name, args.port))
    });
    let mut serving = Serving::new(args.port, &std::path::absolute(dir)?);
    serving.args.clone_from(&args.args);
    serving.tls = args.tls;
    serving.upstream = Some(args.upstream.clone());
    for pair in &args.env {
        let (name, value) = pair
            .split_once('=')
            .with_context(|| format!("--env {pair}: it wants NAME=VALUE"))?;
        serving = serving.env(name, value);
    }
    let mut running = start(peer.as_ref(), peer.name(), cache, &serving)?;
    println!("ready {} {}", args.port, running.pid());
    eprintln!(
        "{} started in {:.2} s, {} KiB resident, log in {}",
        peer.name(),
        running.started_in().as_secs_f64(),
        running.resident_kib().unwrap_or(0),
        serving.dir.display()
    );
    while !interrupt::asked() {
        if let Some(status) = running.exited()? {
            bail!("{} ended: {status}", peer.name());
        }
        sleep(Duration::from_millis(50));
    }
    running.stop().map(drop)
}

/// The named peers, or all.
fn chosen(names: &[String]) -> Result<Vec<Box<dyn Peer>>> {
    for name in names {
        if all().iter().all(|peer| peer.name() != name) {
            let known: Vec<&str> = all().iter().map(|peer| peer.name()).collect();
            bail!("no peer is called {name}; there are: {}", known.join(", "));
        }
    }
    let wanted = |peer: &dyn Peer| names.is_empty() || names.iter().any(|n| n == peer.name());
    Ok(all()
        .into_iter()
        .filter(|peer| wanted(peer.as_ref()))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_peer_is_an_error_that_names_the_known() {
        let error = chosen(&["nobody".to_owned()]).err().expect("fails");
        assert!(error.to_string().contains("litellm"));
    }

    #[test]
    fn no_name_means_all() {
        assert_eq!(chosen(&[]).expect("all").len(), all().len());
        assert_eq!(chosen(&["uv".to_owned()]).expect("one").len(), 1);
    }
}
