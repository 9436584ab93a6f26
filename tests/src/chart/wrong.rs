//! Values: the right ones pass `helm lint`, each wrong one is refused by name.

use anyhow::{Context as _, Result, ensure};

use super::World;
use super::helm::{chart, examples};

/// Values, and the word that the refusal must hold.
const WRONG: [(&str, &str); 16] = [
    ("backend: {endpiont: http://x:4317}", "endpiont"),
    ("backend: {endpoint: x:4317}", "endpoint"),
    ("backend: {protocol: http}", "protocol"),
    ("collectors: {enabled: true}", "collectors"),
    ("collector: {content: redact}", "content"),
    ("collector: {replicas: 0}", "replicas"),
    ("collector: {enabled: false}", "collector.endpoint"),
    ("collector: {pipelines: {traces: [tempo]}}", "tempo"),
    ("probe: {capabilities: [CAP_BPF]}", "capabilities"),
    ("probe: {settings: {output: {colour: red}}}", "colour"),
    ("probe: {image: {digest: latest}}", "digest"),
    ("webhook: {certificates: {mode: helm}}", "mode"),
    (
        "webhook: {certificates: {mode: files}}",
        "webhook.certificates.",
    ),
    ("webhook: {settings: {logLevel: LOUD}}", "logLevel"),
    ("networkPolicy: {apiServers: [10.0.0.1]}", "apiServers"),
    ("monitoring: {prices: {gpt: {inptu: 1}}}", "inptu"),
];

/// `helm lint`, with the default values and with each example.
pub fn lint(world: &World) -> Result<String> {
    let chart = chart();
    let chart = chart.to_str().context("the path is UTF-8")?;
    world.helm.run(&["lint", "--strict", chart])?;
    let files = example_files()?;
    for file in &files {
        world
            .helm
            .run(&["lint", "--strict", chart, "--values", file])?;
    }
    Ok(format!("the default values and {} examples", files.len()))
}

/// The paths of the examples.
pub fn example_files() -> Result<Vec<String>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(examples()).context("list the examples")? {
        let path = entry?.path();
        if path.extension().is_some_and(|it| it == "yaml") {
            files.push(path.to_string_lossy().into_owned());
        }
    }
    ensure!(!files.is_empty(), "there are no examples");
    files.sort();
    Ok(files)
}

/// Each wrong file, by `helm template`: as an installation would.
pub fn refused(world: &World) -> Result<String> {
    let file = world.folder.join("wrong.yaml");
    let path = file.to_str().context("the path is UTF-8")?;
    let chart = chart();
    let chart = chart.to_str().context("the path is UTF-8")?;
    for (values, word) in WRONG {
        std::fs::write(&file, values)?;
        let said = world.helm.say(&["template", chart, "--values", path])?;
        ensure!(!said.success, "{values}: was taken");
        ensure!(
            said.err.contains(word),
            "{values}: the refusal does not say {word}: {}",
            said.err
        );
    }
    Ok(format!("{} files", WRONG.len()))
}
