//! Agents and model servers in the shapes that KAOS's operator gives them: labels, names, ports.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::World;
use super::install::ready;

/// An image of empty folders. Programs are the machine's own, mounted where they are there.
const IMAGE: &str = "kaos.test/host:1";
/// The namespace that is opted in.
pub const AGENTS: &str = "agents";
/// One that is not.
pub const OTHERS: &str = "others";

/// What the operator makes of one resource.
pub(super) struct Component<'a> {
    /// `agent` or `modelapi`: a label, and in front of the names.
    pub(super) kind: &'a str,
    pub(super) name: &'a str,
    pub(super) container: &'a str,
    pub(super) port: u16,
    pub(super) ready: &'a str,
    pub(super) command: Vec<String>,
    pub(super) env: Value,
}

/// Starts an agent with its model server in both namespaces.
pub async fn start(world: &World) -> Result<String> {
    let opted_in = json!({"telemetry.kaos.tools/inject": "enabled"});
    for (namespace, labels) in [(AGENTS, opted_in), (OTHERS, json!({}))] {
        world.cluster.namespace(namespace, &labels).await?;
        for component in [
            model(world)?,
            agent(world, namespace, "weather", &json!({}))?,
        ] {
            component.apply(world, namespace).await?;
        }
    }
    for namespace in [AGENTS, OTHERS] {
        ready(&world.cluster, namespace, 2)
            .await
            .context(namespace)?;
    }
    Ok("an agent and a model server in each of two namespaces".to_owned())
}

/// A model server without any telemetry, as a `ModelAPI` with a hosted model.
fn model(world: &World) -> Result<Component<'static>> {
    let llama = folder(world, "llama")?;
    let model = folder(world, "tiny-model")?;
    let mut files = fs::read_dir(&model)?.flatten().map(|entry| entry.path());
    let gguf = files
        .find(|file| file.extension().is_some_and(|it| it == "gguf"))
        .context("the model's file")?;
    let libraries = llama.join(format!("usr/lib/{}-linux-gnu", std::env::consts::ARCH));
    let libraries = libraries.display();
    let words = "-t 1 -tb 1 -c 8192 --parallel 2 --jinja --alias tiny --host 0.0.0.0 --port 11434";
    let mut command = vec![
        text(&llama.join("llama-server")),
        "-m".to_owned(),
        text(&gguf),
    ];
    command.extend(words.split(' ').map(str::to_owned));
    Ok(Component {
        kind: "modelapi",
        name: "tiny",
        container: "model-api",
        port: 11434,
        ready: "/health",
        command,
        env: json!({"LD_LIBRARY_PATH": format!("{libraries}:{libraries}/llama")}),
    })
}

/// A KAOS agent, with more of the environment.
pub(super) fn agent<'a>(
    world: &World,
    namespace: &str,
    name: &'a str,
    more: &Value,
) -> Result<Component<'a>> {
    let uvicorn = folder(world, "agent")?.join("bin/uvicorn");
    let words = "--factory pais.server:get_app --host 0.0.0.0 --port 8000";
    let mut command = vec![text(&uvicorn)];
    command.extend(words.split(' ').map(str::to_owned));
    let mut env = json!({
        "AGENT_NAME": name,
        "MODEL_API_URL": format!("http://modelapi-tiny.{namespace}.svc.cluster.local:11434/v1"),
        "MODEL_NAME": "tiny",
        "OPENAI_API_KEY": "not-needed",
        "PYTHONUNBUFFERED": "1",
    });
    for (key, value) in more.as_object().into_iter().flatten() {
        env[key] = value.clone();
    }
    Ok(Component {
        kind: "agent",
        name,
        container: "agent",
        port: 8000,
        ready: "/ready",
        command,
        env,
    })
}

/// LiteLLM before the model server, with its settings as YAML: a `ModelAPI` that is a proxy.
pub(super) fn proxy<'a>(world: &World, name: &'a str, settings: &str) -> Result<Component<'a>> {
    let config = world.folder.join(format!("litellm-{name}.yaml"));
    let upstream = format!("http://modelapi-tiny.{AGENTS}.svc.cluster.local:11434/v1");
    let text_of = format!(
        "model_list:\n  - model_name: tiny\n    litellm_params: {{model: openai/tiny, \
         api_base: \"{upstream}\", api_key: none}}\nlitellm_settings: {settings}\n"
    );
    fs::write(&config, text_of)?;
    let litellm = folder(world, "litellm")?.join("bin/litellm");
    let mut command = vec![text(&litellm), "--config".to_owned(), text(&config)];
    command.extend(["--host", "0.0.0.0", "--port", "8000"].map(str::to_owned));
    Ok(Component {
        kind: "modelapi",
        name,
        container: "model-api",
        port: 8000,
        ready: "/health/liveliness",
        command,
        env: json!({
            "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true",
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        }),
    })
}

impl Component<'_> {
    /// Starts it, with its Service.
    pub(super) async fn apply(&self, world: &World, namespace: &str) -> Result<()> {
        let Self { kind, name, .. } = self;
        let full = format!("{kind}-{name}");
        let labels = json!({"app": kind, *kind: name});
        let meta = json!({"name": full, "namespace": namespace, "labels": labels});
        let deployment = json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta,
            "spec": {
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": self.pod(world)?},
            },
        });
        let service = json!({
            "apiVersion": "v1", "kind": "Service", "metadata": meta,
            "spec": {
                "selector": labels,
                "ports": [{"name": "http", "port": self.port, "targetPort": self.port}],
            },
        });
        let cluster = &world.cluster;
        let services = format!("/api/v1/namespaces/{namespace}/services");
        cluster
            .apply(&format!("{services}/{full}"), &service)
            .await?;
        let deployments = format!("/apis/apps/v1/namespaces/{namespace}/deployments");
        cluster
            .apply(&format!("{deployments}/{full}"), &deployment)
            .await?;
        Ok(())
    }

    pub(super) fn pod(&self, world: &World) -> Result<Value> {
        let (mut mounts, mut volumes) = (Vec::new(), Vec::new());
        for (number, path) in machine(world)?.into_iter().enumerate() {
            let name = format!("machine-{number}");
            mounts.push(json!({"name": name, "mountPath": path, "readOnly": true}));
            volumes.push(json!({"name": name, "hostPath": {"path": path}}));
        }
        let env = self.env.as_object().context("variables")?;
        let env: Vec<Value> = { env.iter() }
            .map(|(name, value)| json!({"name": name, "value": value}))
            .collect();
        Ok(json!({
            "terminationGracePeriodSeconds": 1,
            "containers": [{
                "name": self.container,
                "image": IMAGE,
                "command": self.command,
                "env": env,
                "ports": [{"name": "http", "containerPort": self.port}],
                "readinessProbe": {
                    "httpGet": {"path": self.ready, "port": self.port}, "periodSeconds": 1,
                },
                "volumeMounts": mounts,
            }],
            "volumes": volumes,
        }))
    }
}

/// What of the machine the programs need: its libraries, the cache, and where its Python is.
fn machine(world: &World) -> Result<Vec<PathBuf>> {
    let python = fs::canonicalize(folder(world, "agent")?.join("bin/python"))?;
    let prefix = python
        .ancestors()
        .nth(2)
        .context("a Python lies in a folder")?;
    let mut paths: Vec<PathBuf> = ["/usr", "/lib", "/lib64", "/bin"].map(PathBuf::from).into();
    paths.extend([world.peers.clone(), world.folder.clone()]);
    if !paths.iter().any(|path| prefix.starts_with(path)) {
        paths.push(prefix.to_owned());
    }
    Ok(paths)
}

fn folder(world: &World, peer: &str) -> Result<PathBuf> {
    let link = world.peers.join(peer);
    fs::canonicalize(&link).with_context(|| format!("{} is not installed", link.display()))
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
