//! From `helm install` to `helm uninstall`, with a real webhook as the chart would run it.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::World;
use super::helm::RELEASE;
use crate::webhook::cluster::until;
use crate::webhook::replica::{Program, Replica};
use crate::webhook::setup::{self, HOME, NAME, path};
use crate::webhook::shapes::{Shape, env};

const SOON: Duration = Duration::from_secs(20);
/// Whose pods are injected into.
const OPTED_IN: &str = "chart-life";
const CONFIGURATION: &str =
    "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/kaos-webhook";

/// Installs, upgrades, rolls back, applies as `GitOps` tools do, and uninstalls.
pub async fn whole(world: &World) -> Result<String> {
    let values = [
        "--set=backend.endpoint=http://jaeger.observability:4317",
        "--set=webhook.restartRollouts=true",
        "--set=monitoring.dashboards=true",
    ];
    world.helm.on_chart("install", &values)?;
    let mut replica = start(world).await?;
    replica.ready().await?;
    let labels = json!({"telemetry.kaos.tools/inject": "enabled"});
    world.cluster.namespace(OPTED_IN, &labels).await?;
    let endpoint = format!("http://kaos-collector.{HOME}.svc:4317");
    becomes(world, "OTEL_EXPORTER_OTLP_ENDPOINT", Some(&endpoint)).await?;
    let before = written(world).await?;

    let sampler = ["--set=webhook.settings.sampler=always_on"];
    let upgraded = [&values[..], &sampler].concat();
    world.helm.on_chart("upgrade", &upgraded)?;
    becomes(world, "OTEL_TRACES_SAMPLER", Some("always_on")).await?;
    ensure!(
        written(world).await? == before,
        "the upgrade changed certificates"
    );

    world
        .helm
        .run(&["rollback", RELEASE, "1", "--namespace", HOME])?;
    becomes(world, "OTEL_TRACES_SAMPLER", None).await?;
    ensure!(
        written(world).await? == before,
        "the rollback changed certificates"
    );

    // What the webhook made in place of the chart's is no reason to refuse an upgrade.
    let before = deleted(world, before).await?;
    world.helm.on_chart("upgrade", &upgraded)?;
    becomes(world, "OTEL_TRACES_SAMPLER", Some("always_on")).await?;
    ensure!(
        written(world).await? == before,
        "the upgrade changed certificates that were made anew"
    );

    let objects = world.helm.template(&values)?;
    apply(&objects)?;
    becomes(world, "OTEL_TRACES_SAMPLER", None).await?;
    ensure!(
        written(world).await? == before,
        "applying changed certificates"
    );

    world
        .helm
        .run(&["uninstall", RELEASE, "--namespace", HOME])?;
    nothing_left(world, &objects).await?;
    drop(replica);
    nothing_left(world, &objects).await?;
    world
        .cluster
        .delete(&format!("/api/v1/namespaces/{OPTED_IN}"))
        .await?;
    Ok(format!("{} objects came and went", objects.len()))
}

/// The webhook with the arguments of its Deployment, behind its Service.
async fn start(world: &World) -> Result<Replica> {
    let deployment = format!("/apis/apps/v1/namespaces/{HOME}/deployments/{NAME}");
    let deployment = world.cluster.get(&deployment).await?;
    let container = &deployment["spec"]["template"]["spec"]["containers"][0];
    let arguments = container["args"].as_array().context("arguments")?;
    let arguments = arguments.iter().filter_map(Value::as_str);
    // The port is our own: all that runs here has one address.
    let ours = |it: &&str| *it != "serve" && !it.starts_with("--listen=");
    let mut arguments: Vec<String> = arguments.filter(ours).map(str::to_owned).collect();
    arguments.push(format!("--namespace={HOME}"));
    let program = Program {
        binary: world.webhook.clone(),
        folder: world.folder.clone(),
        kubeconfig: setup::kubeconfig(&world.cluster, &world.folder).await?,
        arguments,
    };
    let replica = program.start("life")?;
    setup::endpoints(&world.cluster, &[replica.port()]).await?;
    Ok(replica)
}

/// Waits until an agent that is created has a variable with this value, or none of the name.
async fn becomes(world: &World, name: &str, value: Option<&str>) -> Result<()> {
    let path = format!("/api/v1/namespaces/{OPTED_IN}/pods?dryRun=All");
    let pod = Shape::Agent.pod("agent-x", "x");
    until(SOON, &format!("{name} = {value:?}"), async || {
        let answer = world.cluster.send("POST", &path, &pod).await?;
        let pod = answer.object("a dry run")?;
        let variables = env(&pod, "agent");
        // Without any nobody was called.
        let injected = variables.iter().any(|it| it["name"] == "OTEL_SERVICE_NAME");
        let found = variables.iter().find(|it| it["name"] == name);
        Ok(injected && found.and_then(|it| it["value"].as_str()) == value)
    })
    .await
}

/// What the webhook wrote into objects of the chart: its certificate, and whom to trust.
async fn written(world: &World) -> Result<(Value, Value)> {
    let secret = format!("/api/v1/namespaces/{HOME}/secrets/kaos-webhook-tls");
    let data = world.cluster.get(&secret).await?["data"].clone();
    let configuration = world.cluster.get(CONFIGURATION).await?;
    let bundle = configuration["webhooks"][0]["clientConfig"]["caBundle"].clone();
    ensure!(
        data.is_object() && bundle.is_string(),
        "nothing was written"
    );
    Ok((data, bundle))
}

/// Deletes the Secret, and waits until the webhook has made another; what is written then.
async fn deleted(world: &World, before: (Value, Value)) -> Result<(Value, Value)> {
    let path = format!("/api/v1/namespaces/{HOME}/secrets/kaos-webhook-tls");
    world.cluster.delete(&path).await?;
    let mut now = before.clone();
    until(
        SOON,
        "another Secret, and its authority trusted",
        async || {
            now = written(world)
                .await
                .unwrap_or_else(|_absent| before.clone());
            Ok(now.0 != before.0 && now.1 != before.1)
        },
    )
    .await?;
    Ok(now)
}

/// As tools do that hold a cluster to what is in a repository: by patches from the client and by
/// server-side apply.
fn apply(objects: &[Value]) -> Result<()> {
    let list = json!({"apiVersion": "v1", "kind": "List", "items": objects});
    for flags in [&[][..], &["--server-side", "--force-conflicts"]] {
        let mut kubectl = Command::new("kubectl");
        kubectl.args(["apply", "--filename=-"]).args(flags);
        kubectl.stdin(Stdio::piped()).stdout(Stdio::null());
        let mut child = kubectl.stderr(Stdio::piped()).spawn()?;
        let mut stdin = child.stdin.take().context("a pipe")?;
        stdin.write_all(list.to_string().as_bytes())?;
        drop(stdin);
        let output = child.wait_with_output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "kubectl apply {flags:?}: {said}");
    }
    Ok(())
}

/// Neither objects of the chart nor what the webhook made beside them.
async fn nothing_left(world: &World, objects: &[Value]) -> Result<()> {
    for object in objects {
        let path = path(object)?;
        until(SOON, &format!("{path} is gone"), async || {
            let answer = world.cluster.send("GET", &path, &Value::Null).await?;
            Ok(answer.status == http::StatusCode::NOT_FOUND)
        })
        .await?;
    }
    for kind in ["secrets", "configmaps"] {
        let path = format!("/api/v1/namespaces/{HOME}/{kind}");
        let list = world.cluster.get(&path).await?;
        let items = list["items"].as_array().context("a list")?;
        let names = items
            .iter()
            .filter_map(|it| it["metadata"]["name"].as_str());
        let left: Vec<&str> = names.filter(|it| it.contains("kaos")).collect();
        ensure!(left.is_empty(), "{kind} are left: {left:?}");
    }
    Ok(())
}
