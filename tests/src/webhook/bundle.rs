//! Somebody else's tool wipes the `caBundle`, as those do that apply what is in a repository: it
//! is written again, and pods are injected into.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::World;
use super::cluster::until;
use super::rotation::two;
use super::setup::{NAME, Route, manifest};

const KIND: &str = "MutatingWebhookConfiguration";
const WITHIN: Duration = Duration::from_secs(10);
/// A line break: what manifests hold where a bundle is to be written by somebody else.
const PLACEHOLDER: &str = "Cg==";

/// Wipes it in each way that tools have.
pub async fn rewritten(world: &World) -> Result<String> {
    let mut replicas = two(world, "bundle", &[]).await?;
    let before = bundle(world).await?;
    let mut slowest = Duration::ZERO;
    for (words, value) in [
        (&["replace"][..], None),
        (&["apply"], Some("")),
        (&["apply"], Some(PLACEHOLDER)),
        (
            &["apply", "--server-side", "--force-conflicts"],
            Some(PLACEHOLDER),
        ),
    ] {
        let wiped = kubectl(words, &configuration(world, value)?)?;
        let written = wiped["webhooks"][0]["clientConfig"]["caBundle"].as_str();
        ensure!(
            written.unwrap_or_default() == value.unwrap_or_default(),
            "{words:?} wiped nothing"
        );
        let start = Instant::now();
        until(WITHIN, "the caBundle is written again", async || {
            Ok(bundle(world).await? == before)
        })
        .await
        .with_context(|| format!("{words:?} with {value:?}"))?;
        slowest = slowest.max(start.elapsed());
        world.settle().await?;
        for replica in &mut replicas {
            replica.ready().await?;
        }
    }
    drop(replicas);
    world.remove("bundle").await?;
    Ok(format!(
        "wiped 4 times by kubectl, written again within {:.2} s",
        slowest.as_secs_f64()
    ))
}

/// The configuration as a repository holds it.
fn configuration(world: &World, bundle: Option<&str>) -> Result<Value> {
    let mut objects = manifest(world, Route::Service, None)?.into_iter();
    let mut found = objects
        .find(|it| it["kind"] == KIND)
        .context("the manifest has one")?;
    if let Some(bundle) = bundle {
        found["webhooks"][0]["clientConfig"]["caBundle"] = bundle.into();
    }
    Ok(found)
}

/// Runs kubectl on an object; gives what the API server made of it.
fn kubectl(words: &[&str], object: &Value) -> Result<Value> {
    let mut child = Command::new("kubectl")
        .args(words)
        .args(["--output=json", "--filename=-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("run kubectl")?;
    let mut stdin = child.stdin.take().context("a standard input")?;
    stdin.write_all(object.to_string().as_bytes())?;
    drop(stdin);
    let output = child.wait_with_output()?;
    ensure!(
        output.status.success(),
        "kubectl {words:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).context("read what kubectl says")
}

/// Whom API servers are told to trust.
async fn bundle(world: &World) -> Result<String> {
    let path = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations";
    let object = world.cluster.get(&format!("{path}/{NAME}")).await?;
    let text = object["webhooks"][0]["clientConfig"]["caBundle"].as_str();
    Ok(text.unwrap_or_default().to_owned())
}
