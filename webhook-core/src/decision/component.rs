//! What a pod is: which kind of component, whose, and what it is called.

use crate::facts::Kind;
use crate::names;
use crate::review::pod::{Container, Pod};

/// What a pod runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Component<'a> {
    pub(crate) kind: Kind,
    /// What its SDK wants; none where no SDK exists.
    pub(crate) sdk: Option<Sdk>,
    /// Name of its custom resource; none for other products.
    pub(crate) resource: Option<&'a str>,
    /// True if the pod has the mark of the KAOS operator.
    pub(crate) by_operator: bool,
    /// What made the pod.
    pub(crate) workload: Option<Workload<'a>>,
    /// What it seems to run, whatever its kind.
    pub(crate) looks_like: Looks,
}

/// What a pod seems to run, by any label and any container. Guessed for the worse: prompts count
/// on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Looks {
    pub(crate) agent: bool,
    pub(crate) litellm: bool,
}

/// What a component's environment is written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Sdk {
    Agent,
    McpServer,
    MemoryStore,
    /// `LiteLLM`.
    Proxy,
}

/// What made a pod, as far as the pod itself tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Workload<'a> {
    /// Name of its resource attribute; none where no convention has one.
    pub(crate) attribute: Option<&'static str>,
    pub(crate) name: &'a str,
}

impl<'a> Component<'a> {
    /// None if no label says that the pod is a component.
    pub(crate) fn of(pod: &'a Pod<'_>) -> Option<Self> {
        let of_kaos = resource_of(|name| pod.label(name));
        let resource = of_kaos.map(|(_, name)| name);
        let of_kaos = of_kaos.map(|(kind, _)| kind);
        let labelled = pod.label(names::COMPONENT).and_then(Kind::parse);
        // A label of the user's does not make something else of what the operator made.
        let operator = pod.annotation(names::KAOS_POD).is_some();
        let kind = if operator {
            of_kaos.or(labelled)
        } else {
            labelled.or(of_kaos)
        }?;
        let resource = resource.filter(|_| of_kaos == Some(kind));
        Some(Self {
            kind,
            sdk: sdk(kind, pod),
            resource,
            by_operator: resource.is_some() && operator,
            workload: Workload::of(pod),
            looks_like: Looks::of(pod),
        })
    }

    /// True if its SDK speaks OTLP by gRPC, whatever the variables say.
    pub(crate) fn only_grpc(&self) -> bool {
        self.resource.is_some() && matches!(self.sdk, Some(Sdk::Agent | Sdk::MemoryStore))
    }

    /// True if its SDK exports prompts and answers when it is on.
    pub(crate) fn exports_content(&self) -> bool {
        self.looks_like.agent || self.looks_like.litellm
    }

    /// True if a variable may tell it to send prompts by something else than OTLP. KAOS's own agents
    /// and `LiteLLM` read none.
    pub(crate) fn names_exporters(&self) -> bool {
        self.looks_like.agent && !self.by_operator
    }

    /// The container that the KAOS operator makes.
    pub(crate) fn container(&self) -> Option<&'static str> {
        self.resource?;
        self.kind.kaos_container()
    }

    /// The service name that the KAOS operator gives.
    pub(crate) fn kaos_name(&self) -> Option<String> {
        self.resource.map(|name| self.kind.kaos_service(name))
    }

    /// The name of the service where no annotation gives one.
    pub(crate) fn service_name(&self, pod: &Pod<'_>, container: &str) -> String {
        if let Some(name) = self.kaos_name() {
            return name;
        }
        if let Some(workload) = self.workload {
            return workload.name.to_owned();
        }
        let metadata = pod.metadata.as_ref();
        let generated = metadata.and_then(|it| it.generate_name.as_deref());
        let generated = generated.map(|it| it.trim_end_matches('-'));
        let named = metadata.and_then(|it| it.name.as_deref());
        let name = generated.or(named).filter(|it| !it.is_empty());
        name.unwrap_or(container).to_owned()
    }
}

/// Kind and name of the custom resource that a pod's labels say it is made for.
pub fn resource_of<'l>(label: impl Fn(&str) -> Option<&'l str>) -> Option<(Kind, &'l str)> {
    let kind = label("app").and_then(Kind::parse);
    // The label of other products is no label of KAOS.
    let kind = kind.filter(|kind| *kind != Kind::LlmServer)?;
    let name = label(kind.as_str()).filter(|name| !name.is_empty())?;
    Some((kind, name))
}

impl Looks {
    fn of(pod: &Pod<'_>) -> Self {
        let labels = [pod.label("app"), pod.label(names::COMPONENT)];
        let labelled = { labels }
            .into_iter()
            .flatten()
            .any(|it| Kind::parse(it) == Some(Kind::Agent));
        let init = pod.spec.init_containers.iter().flatten();
        let mut all = containers(pod).chain(init.clone());
        Self {
            agent: labelled || all.any(|it| &*it.name == "agent"),
            litellm: is_litellm(pod) || { init }.any(runs_litellm),
        }
    }
}

impl<'a> Workload<'a> {
    fn of(pod: &'a Pod<'_>) -> Option<Self> {
        let owners = pod.metadata.as_ref()?.owner_references.as_ref()?;
        let owner = owners.iter().find(|owner| owner.controller == Some(true))?;
        let name = &*owner.name;
        let (attribute, name) = match &*owner.kind {
            "ReplicaSet" => {
                let bare = |label| name.strip_suffix(pod.label(label)?)?.strip_suffix('-');
                if let Some(deployment) = bare("pod-template-hash") {
                    (Some("k8s.deployment.name"), deployment)
                } else if let Some(rollout) = bare("rollouts-pod-template-hash") {
                    (None, rollout)
                } else {
                    (Some("k8s.replicaset.name"), name)
                }
            }
            "StatefulSet" => (Some("k8s.statefulset.name"), name),
            "DaemonSet" => (Some("k8s.daemonset.name"), name),
            "Job" => match name.rsplit_once('-') {
                // A CronJob names its jobs by the minute.
                Some((cron, minute))
                    if (8..=10).contains(&minute.len())
                        && minute.bytes().all(|byte| byte.is_ascii_digit()) =>
                {
                    (Some("k8s.cronjob.name"), cron)
                }
                _ => (Some("k8s.job.name"), name),
            },
            _ => return None,
        };
        (!name.is_empty()).then_some(Self { attribute, name })
    }
}

fn sdk(kind: Kind, pod: &Pod<'_>) -> Option<Sdk> {
    match kind {
        Kind::Agent => Some(Sdk::Agent),
        Kind::McpServer => Some(Sdk::McpServer),
        Kind::MemoryStore => Some(Sdk::MemoryStore),
        Kind::ModelApi if !is_ollama(pod) && is_litellm(pod) => Some(Sdk::Proxy),
        Kind::ModelApi | Kind::LlmServer => None,
    }
}

/// Looks like KAOS's hosted `ModelAPI`. No label says it; the port is the steadiest sign.
pub(crate) fn is_ollama(pod: &Pod<'_>) -> bool {
    let init = pod.spec.init_containers.iter().flatten();
    containers(pod).any(|it| has_port(it, 11434) || runs(it, "ollama"))
        || has_volume(pod, "ollama-data")
        || { init }.any(|it| &*it.name == "pull-model")
}

fn is_litellm(pod: &Pod<'_>) -> bool {
    containers(pod).any(runs_litellm) || has_volume(pod, "litellm-config")
}

fn runs_litellm(container: &Container<'_>) -> bool {
    let mut env = container.env.iter().flatten();
    says(container, "litellm")
        || is_litellms(container.image.as_deref().unwrap_or_default())
        || env.any(|variable| variable.name.starts_with("LITELLM_"))
        || (&*container.name == "model-api" && has_port(container, 8000))
}

/// Such as `ghcr.io/berriai/litellm:main` and `litellm-database@sha256:…`.
fn is_litellms(image: &str) -> bool {
    let name = image.split('@').next().unwrap_or_default();
    name.rsplit('/')
        .next()
        .is_some_and(|it| it.starts_with("litellm"))
}

fn containers<'a>(pod: &'a Pod<'a>) -> impl Iterator<Item = &'a Container<'a>> {
    pod.spec.containers.iter().flatten()
}

fn has_port(container: &Container<'_>, port: i64) -> bool {
    let mut ports = container.ports.iter().flatten();
    ports.any(|it| it.container_port == port)
}

fn has_volume(pod: &Pod<'_>, name: &str) -> bool {
    let mut volumes = pod.spec.volumes.iter().flatten();
    volumes.any(|it| &*it.name == name)
}

/// True if a word of its command line has `program` as a part of its path.
fn says(container: &Container<'_>, program: &str) -> bool {
    words(container).any(|word| word.split('/').any(|part| part == program))
}

/// True if a word of its command line is `program`, with a path or without. A model's name, as
/// `ollama/llama3`, is none.
fn runs(container: &Container<'_>, program: &str) -> bool {
    words(container).any(|word| word.rsplit('/').next() == Some(program))
}

fn words<'a>(container: &'a Container<'_>) -> impl Iterator<Item = &'a str> {
    let command = container.command.iter().flatten();
    let words = command.chain(container.args.iter().flatten());
    words.map(|word| &**word)
}
