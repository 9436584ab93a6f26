//! A conversation with the agent, and what of it arrives at the backend.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};

use super::install::ready;
use super::workloads::{AGENTS, OTHERS};
use super::{World, memory};
use crate::fidelity::span::{Kind, SeenSpan};
use crate::otlp::file::spans;
use crate::webhook::cluster::until;
use crate::webhook::setup::HOME;

const SOON: Duration = Duration::from_mins(1);
/// What the prompt in the namespace that nobody opted in holds.
const UNSEEN: &str = "canary-77ce";
/// What the prompt in the other holds: content stays home there too.
const PROMPT: &str = "canary-1f0a";
/// What the two processes serve. Whose the span of the agent's own call is, is another question.
const ENDS: [(&str, &str); 2] = [
    ("agent-weather", "invoke_agent weather"),
    ("modelapi-tiny", "chat tiny"),
];

/// Asks the agents of both namespaces, and looks at the spans of one.
pub async fn seen(world: &World) -> Result<String> {
    ask(world, OTHERS, UNSEEN).await?;
    ask(world, AGENTS, PROMPT).await?;
    let mut found = BTreeMap::new();
    let waited = until(SOON, "both sides' spans", async || {
        for span in ours(world)? {
            let deployment = text(&span.resource, "k8s.deployment.name");
            found.insert((deployment, span.name.clone()), span);
        }
        Ok(ENDS.iter().all(|(deployment, name)| {
            found.contains_key(&((*deployment).to_owned(), (*name).to_owned()))
        }))
    });
    waited
        .await
        .with_context(|| format!("there are {:?}", found.keys()))?;
    one_trace(world)?;
    for pod in ready(&world.cluster, AGENTS, 2).await? {
        named(&pod, &found)?;
    }
    let all = everything(world).await?;
    for (canary, what) in [(UNSEEN, "another namespace's prompt"), (PROMPT, "a prompt")] {
        if let Some((place, _)) = all.iter().find(|(_, text)| text.contains(canary)) {
            bail!("{what} is in {place}");
        }
    }
    // Not a byte of who is not opted in leaves the kernel. The prompt of who is passes through:
    // that it is found says that the search sees what passes.
    let found = memory::holds(memory::probe()?, &[UNSEEN, PROMPT])?;
    ensure!(
        !found[0],
        "another namespace's prompt is in the probe's memory"
    );
    ensure!(found[1], "the search does not see what the probe has read");
    let others = format!("\"{OTHERS}\"");
    ensure!(
        !all["traces.jsonl"].contains(&others),
        "spans name the namespace {OTHERS}"
    );
    Ok(format!(
        "{} kinds of spans of ours, {} places without a canary",
        found.len(),
        all.len()
    ))
}

/// A question to the agent, through the API server: the answer is the model's.
pub(super) async fn ask(world: &World, namespace: &str, canary: &str) -> Result<()> {
    let path = format!(
        "/api/v1/namespaces/{namespace}/services/agent-weather:8000/proxy/v1/chat/completions"
    );
    let question = json!({
        "model": "weather",
        "messages": [{"role": "user", "content": format!("{canary}: how is the weather?")}],
    });
    let answer = world
        .cluster
        .send("POST", &path, &question)
        .await?
        .object(namespace)?;
    let said = answer["choices"][0]["message"]["content"].as_str();
    ensure!(
        said.is_some_and(|said| !said.is_empty()),
        "{namespace}: {answer}"
    );
    Ok(())
}

/// The probe's spans that the backend has.
pub(super) fn ours(world: &World) -> Result<Vec<SeenSpan>> {
    let probe = |span: &SeenSpan| text(&span.resource, "telemetry.sdk.name") == "kaos-telemetry";
    Ok(all(world)?.into_iter().filter(probe).collect())
}

/// All spans that the backend has.
pub(super) fn all(world: &World) -> Result<Vec<SeenSpan>> {
    let mut all = Vec::new();
    let written = fs::read_to_string(world.folder.join("traces.jsonl")).unwrap_or_default();
    // The last line may still be written.
    for line in written
        .split_inclusive('\n')
        .filter(|line| line.ends_with('\n'))
    {
        all.extend(spans(line)?);
    }
    Ok(all)
}

/// The model's span descends from the agent's: a Service stands between them.
fn one_trace(world: &World) -> Result<()> {
    let spans = ours(world)?;
    let of = |span: &&SeenSpan, (deployment, name): (&str, &str)| {
        span.name == name
            && span.kind == Kind::Server
            && text(&span.resource, "k8s.deployment.name") == deployment
    };
    let [agent, model] = ENDS.map(|end| spans.iter().find(|span| of(span, end)));
    let (agent, model) = (agent.context("the agent")?, model.context("the model")?);
    ensure!(agent.trace_id == model.trace_id, "they are of two traces");
    let mut parent = model;
    while parent.span_id != agent.span_id {
        let above = &parent.parent_span_id;
        parent = { spans.iter() }
            .find(|span| span.span_id == *above)
            .with_context(|| format!("{}'s parent is not exported", parent.name))?;
    }
    Ok(())
}

/// A span says which pod it is of, in which workload, and what KAOS calls it.
fn named(pod: &Value, found: &BTreeMap<(String, String), SeenSpan>) -> Result<()> {
    let name = pod["metadata"]["name"].as_str().context("a name")?;
    let span = found
        .values()
        .find(|span| span.kind == Kind::Server && text(&span.resource, "k8s.pod.name") == name);
    let span = span.with_context(|| format!("no call of {name}: {:?}", found.keys()))?;
    let component = pod["metadata"]["labels"]["app"]
        .as_str()
        .context("a label")?;
    let resource = pod["metadata"]["labels"][component]
        .as_str()
        .context("a label")?;
    let deployment = format!("{component}-{resource}");
    let owner = pod["metadata"]["ownerReferences"][0]["name"].as_str();
    let wanted = [
        ("k8s.namespace.name", Some(AGENTS)),
        ("k8s.pod.uid", pod["metadata"]["uid"].as_str()),
        ("k8s.node.name", pod["spec"]["nodeName"].as_str()),
        (
            "k8s.container.name",
            pod["spec"]["containers"][0]["name"].as_str(),
        ),
        ("k8s.deployment.name", Some(deployment.as_str())),
        ("k8s.replicaset.name", owner),
        ("kaos.resource.name", Some(resource)),
        ("service.namespace", Some(AGENTS)),
    ];
    for (key, value) in wanted {
        let value = value.with_context(|| format!("the pod's {key}"))?;
        let said = text(&span.resource, key);
        ensure!(said == value, "{name}: {key} is {said:?}, not {value:?}");
    }
    // An agent says that it has used none (pydantic-ai-server 0.8.4).
    if component == "agent" {
        return Ok(());
    }
    let tokens = |key: &str| {
        span.attributes
            .get(key)
            .is_some_and(|it| text_of(it) != "0")
    };
    for key in ["gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens"] {
        ensure!(tokens(key), "{name}: no {key}: {:?}", span.attributes);
    }
    Ok(())
}

/// All that is kept of calls outside of their pods: the backend's files, and what our pods log.
async fn everything(world: &World) -> Result<BTreeMap<String, String>> {
    let mut all = BTreeMap::new();
    for file in ["traces.jsonl", "metrics.jsonl"] {
        all.insert(
            file.to_owned(),
            fs::read_to_string(world.folder.join(file))?,
        );
    }
    for pod in ready(&world.cluster, HOME, 4).await? {
        let name = pod["metadata"]["name"].as_str().context("a name")?;
        let path = format!("/api/v1/namespaces/{HOME}/pods/{name}/log");
        all.insert(name.to_owned(), world.cluster.text(&path).await?);
    }
    Ok(all)
}

/// An attribute as text; empty if there is none.
pub(super) fn text(of: &BTreeMap<String, Value>, key: &str) -> String {
    of.get(key).map(text_of).unwrap_or_default()
}

fn text_of(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}
