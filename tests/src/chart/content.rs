//! What the chart says of prompts: whether its endpoint drops them, and what its collector keeps.

use std::io::Write as _;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::World;

/// Values, and whether the webhook is told that prompts get lost behind the endpoint.
const CASES: [(&[&str], bool); 6] = [
    (&[], true),
    (&["--set=collector.content=hash"], true),
    (&["--set=collector.content=keep"], false),
    // Nobody looks into log lines.
    (&["--set=collector.pipelines.logs={backend}"], false),
    (&["--set-json=webhook.settings.contentStripped=[]"], false),
    (
        &[
            "--set=collector.enabled=false",
            "--set=collector.endpoint=http://collector.telemetry.svc:4317",
        ],
        false,
    ),
];

/// Span attributes of KAOS's programs that say no more than names and figures.
pub(super) const KEPT: [&str; 7] = [
    "autonomous.iteration",
    "gen_ai.usage.input_tokens",
    "kaos.resource.name",
    "kaos.session_id",
    "openai.response.service_tier",
    "task.state",
    "telemetry.kaos.hop",
];

/// Those that hold pieces of prompts and answers, and those that nobody knows yet.
pub(super) const DROPPED: [&str; 7] = [
    "autonomous.goal",
    "gen_ai.input.messages",
    "kaos.description",
    "kaos.intent",
    "kaos.reasoning",
    "kaos.recovery_hint",
    "openai.request.prompt",
];

/// Holds both against what helm makes.
pub fn stays_home(world: &World) -> Result<String> {
    for (values, wanted) in CASES {
        let settings = config(world, values, "kaos-webhook")?;
        let known = settings["contentStripped"].as_array();
        let found = known.is_some_and(|it| !it.is_empty());
        ensure!(found == wanted, "{values:?}: {settings}");
    }
    let pattern = kept(&config(world, &[], "kaos-collector")?)?;
    let all = [KEPT, DROPPED].concat();
    let found = matching(&pattern, &all)?;
    ensure!(found == KEPT, "of {all:?} the collector keeps {found:?}");
    Ok(format!("{} cases, {} attributes", CASES.len(), all.len()))
}

/// What the `ConfigMap` of this name holds, read as YAML.
fn config(world: &World, values: &[&str], name: &str) -> Result<Value> {
    let objects = world.helm.template(values)?;
    let map = objects
        .iter()
        .find(|it| it["kind"] == "ConfigMap" && it["metadata"]["name"] == name);
    let data = map.with_context(|| format!("a ConfigMap {name}"))?["data"].as_object();
    let text = data.and_then(|it| it.values().next()?.as_str());
    Ok(serde_norway::from_str(text.context("a text")?)?)
}

/// The pattern of names that the collector keeps.
fn kept(config: &Value) -> Result<String> {
    let statements = &config["processors"]["transform/content"]["trace_statements"];
    let mut all = statements[0]["statements"].as_array().into_iter().flatten();
    let statement = all.find_map(|it| {
        it.as_str()?
            .strip_prefix("keep_matching_keys(span.attributes, ")?
            .strip_suffix(')')
    });
    Ok(serde_json::from_str(statement.context("a pattern")?)?)
}

/// The names that match, by grep: the pattern has nothing that RE2 and POSIX read differently.
fn matching(pattern: &str, names: &[&str]) -> Result<Vec<String>> {
    let mut grep = Command::new("grep");
    grep.args(["-E", pattern]);
    grep.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = grep.spawn().context("run grep")?;
    let mut stdin = child.stdin.take().context("a pipe")?;
    stdin.write_all(names.join("\n").as_bytes())?;
    drop(stdin);
    let output = child.wait_with_output()?;
    let found = String::from_utf8(output.stdout)?;
    Ok(found.lines().map(str::to_owned).collect())
}
