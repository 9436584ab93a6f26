//! Starts the client programs.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use super::cells::{Cell, Check, PARENT_ID, TRACE_ID, When};

/// Where the clients' programs and libraries are.
#[derive(Clone, Debug)]
pub struct Runtimes {
    /// A Python that has the SDKs.
    python: PathBuf,
    scripts: PathBuf,
    authority: PathBuf,
}

impl Runtimes {
    /// Lays out `folder` so that Node finds its modules beside the scripts.
    pub fn prepare(
        folder: &Path,
        python: PathBuf,
        node_modules: &Path,
        authority: PathBuf,
    ) -> Result<Self> {
        let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients");
        let scripts = folder.join("clients");
        for kind in ["python", "node"] {
            let target = scripts.join(kind);
            std::fs::create_dir_all(&target).context("make the clients' folder")?;
            for entry in std::fs::read_dir(ours.join(kind)).context("list the clients")? {
                let entry = entry?;
                if entry.file_type()?.is_file() {
                    std::fs::copy(entry.path(), target.join(entry.file_name()))?;
                }
            }
        }
        let link = scripts.join("node").join("node_modules");
        if !link.exists() {
            std::os::unix::fs::symlink(node_modules, &link).context("link node_modules")?;
        }
        Ok(Self {
            python,
            scripts,
            authority,
        })
    }

    /// The command of a cell's client.
    #[must_use]
    pub fn command(&self, cell: &Cell, base: &str, tag: &str) -> Command {
        let runtime = if cell.client.is_node() {
            Path::new("node")
        } else {
            &self.python
        };
        let mut command = Command::new(runtime);
        command.arg(self.scripts.join(cell.client.script));
        command.args(["--lib", cell.client.lib, "--base", base, "--api", cell.api]);
        command.args(["--count", &cell.calls.to_string()]);
        command.args(["--concurrency", &cell.concurrency.to_string()]);
        command.args([&format!("--script={}", cell.script), "--tag", tag]);
        if cell.stream {
            command.arg("--stream");
        }
        if !cell.keepalive {
            command.arg("--no-keepalive");
        }
        match cell.when {
            When::Before => {
                command.arg("--hold");
            }
            When::Midstream => {
                command.args(["--midstream", "--hold-script=n120-i100"]);
            }
            When::After | When::Beside => {}
        }
        if cell.check == Check::Traceparent {
            command.args(["--traceparent", &format!("00-{TRACE_ID}-{PARENT_ID}-01")]);
        }
        if cell.special == Some("keepalive_open") {
            command.args(["--linger", "3"]);
        }
        self.environment(&mut command);
        command
    }

    fn environment(&self, command: &mut Command) {
        let variables = [
            "SSL_CERT_FILE",
            "REQUESTS_CA_BUNDLE",
            "CURL_CA_BUNDLE",
            "NODE_EXTRA_CA_CERTS",
        ];
        for variable in variables {
            command.env(variable, &self.authority);
        }
        // Proxies are not for loopback, and bytecode that is not kept makes each start slow.
        let unwanted = [
            "http_proxy",
            "https_proxy",
            "HTTP_PROXY",
            "HTTPS_PROXY",
            "PYTHONDONTWRITEBYTECODE",
        ];
        for variable in unwanted {
            command.env_remove(variable);
        }
        // Nothing of these clients must ever leave the machine.
        command
            .env("NO_PROXY", "*")
            .env("no_proxy", "*")
            .env("OPENAI_API_KEY", "none");
    }
}
