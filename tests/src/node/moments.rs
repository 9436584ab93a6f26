//! What is over soon: a pod that makes one call and ends, and the probe itself.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use super::call::{ask, ours, text};
use super::install::ready;
use super::workloads::{AGENTS, Component};
use super::{World, memory};
use crate::fidelity::span::Kind;
use crate::webhook::cluster::until;
use crate::webhook::setup::HOME;

const SOON: Duration = Duration::from_mins(1);
/// One call by the least that a machine has: it is running within some twenty milliseconds.
const CALL: &str = r#"
    my $body = '{"model":"tiny","max_tokens":4,"messages":[{"role":"user","content":"hello"}]}';
    my $model = IO::Socket::INET->new(PeerAddr => $ARGV[0]) or die "cannot connect: $!";
    my $length = length $body;
    syswrite $model, "POST /v1/chat/completions HTTP/1.1\r\nHost: model\r\nConnection: close\r\n" .
        "Content-Type: application/json\r\nContent-Length: $length\r\n\r\n$body";
    1 while sysread $model, my $piece, 65536;
"#;

/// The one call of a pod that ends with it is seen, and has the pod's name.
pub async fn short(world: &World) -> Result<String> {
    let model = format!("modelapi-tiny.{AGENTS}.svc.cluster.local:11434");
    let words = ["/usr/bin/perl", "-MIO::Socket::INET", "-e", CALL, &model];
    let agent = Component {
        kind: "agent",
        name: "moment",
        container: "agent",
        port: 8000,
        ready: "/ready",
        command: words.map(str::to_owned).into(),
        env: json!({}),
    };
    let mut spec = agent.pod(world)?;
    spec["restartPolicy"] = "Never".into();
    let pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "moment", "labels": {"app": "agent", "agent": "moment"}},
        "spec": spec,
    });
    let answer = world.cluster.create_pod(AGENTS, &pod).await?;
    answer.object("the pod")?;
    let path = format!("/api/v1/namespaces/{AGENTS}/pods/moment");
    until(SOON, "the pod's end", async || {
        Ok(world.cluster.get(&path).await?["status"]["phase"] == "Succeeded")
    })
    .await?;
    until(SOON, "the pod's span", async || {
        Ok(ours(world)?.iter().any(|span| {
            span.kind == Kind::Client && text(&span.resource, "k8s.pod.name") == "moment"
        }))
    })
    .await?;
    world.cluster.delete(&path).await?;
    Ok("its one call is named".to_owned())
}

/// A probe that was killed is there again without a hand, and sees the next call.
pub async fn killed(world: &World) -> Result<String> {
    let process = memory::probe()?;
    let start = Instant::now();
    let pid = i32::try_from(process).ok().and_then(Pid::from_raw);
    kill_process(pid.context("a process id")?, Signal::KILL)?;
    until(SOON, "another probe", async || {
        Ok(memory::probe().is_ok_and(|now| now != process))
    })
    .await?;
    ready(&world.cluster, HOME, 4).await?;
    let back = start.elapsed().as_secs_f64();
    let since = SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos();
    until(SOON, "spans of the new probe", async || {
        ask(world, AGENTS, "again").await?;
        let mut spans = ours(world)?.into_iter();
        Ok(spans.any(|span| u128::from(span.start) > since))
    })
    .await?;
    Ok(format!("ready again after {back:.1} s"))
}
