//! A user whose own telemetry is on: a program with the OpenTelemetry SDK, which sends the
//! `traceparent` of its request's span.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::cmd::command;
use crate::peers::http::Answer;

/// The running program; it ends with this value.
pub(crate) struct Client {
    child: Child,
    pipes: Mutex<(ChildStdin, BufReader<ChildStdout>)>,
}

/// The span that a client has of its request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Caller {
    /// Its trace.
    pub(crate) trace: String,
    /// Its id.
    pub(crate) span: String,
}

impl Client {
    /// Starts it with the interpreter of `venv`, which has the SDK; it will `POST` to this path of
    /// a port on loopback. Its log goes to `dir`.
    pub(crate) fn start(venv: &Path, dir: &Path, port: u16, path: &str) -> Result<Self> {
        let mut child = command(venv.join("bin/python"))
            .arg(crate::paths::root().join("tests/clients/python/traced.py"))
            .arg(format!("http://127.0.0.1:{port}{path}"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(dir.join("user.log"))?)
            .spawn()
            .context("cannot start the client that has telemetry")?;
        let input = child.stdin.take().context("its input is piped")?;
        let output = child.stdout.take().context("its output is piped")?;
        Ok(Self {
            child,
            pipes: Mutex::new((input, BufReader::new(output))),
        })
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a JSON body and waits for the whole answer; it gives up by itself in time.
    pub(crate) fn post(&self, body: &Value) -> Result<(Answer, Caller)> {
        let mut pipes = self.pipes.lock().unwrap_or_else(PoisonError::into_inner);
        let (input, output) = &mut *pipes;
        writeln!(input, "{body}")?;
        let mut said = String::new();
        if output.read_line(&mut said)? == 0 {
            bail!("the client that has telemetry ended; user.log says why");
        }
        parse(&said).context("the client that has telemetry")
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // It may have ended already.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn parse(said: &str) -> Result<(Answer, Caller)> {
    let said: Value = serde_json::from_str(said)?;
    let text = |name: &str| {
        let value = said[name].as_str().map(str::to_owned);
        value.with_context(|| format!("it says no {name}"))
    };
    let status = said["status"].as_u64().and_then(|s| s.try_into().ok());
    let answer = Answer {
        status: status.context("it says no status")?,
        body: text("body")?,
    };
    let caller = Caller {
        trace: text("trace_id")?,
        span: text("span_id")?,
    };
    Ok((answer, caller))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_and_the_span_are_read() {
        let said = r#"{"status":200,"body":"{}","trace_id":"aa","span_id":"bb"}"#;
        let (answer, caller) = parse(said).expect("parses");
        assert_eq!((answer.status, answer.body.as_str()), (200, "{}"));
        assert_eq!((caller.trace.as_str(), caller.span.as_str()), ("aa", "bb"));
        assert!(parse("{}").is_err());
    }
}
