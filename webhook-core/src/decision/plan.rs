//! What is to be done with a pod, and why.

use super::component::{Component, Sdk, is_ollama};
use super::container::{self, Action, Planned, Subject};
use super::outcome::{Doubt, Reason};
use super::select::{self, Place};
use super::status::Injected;
use super::variables;
use super::warnings::Warnings;
use super::wishes::{Levels, Wishes};
use crate::facts::{ComponentFacts, Facts, Kind, NamespaceFacts};
use crate::names;
use crate::review::pod::Pod;

/// What is to be done with a pod.
#[derive(Debug)]
pub(crate) struct Plan<'a> {
    /// None where the pod was not looked at so far.
    pub(crate) component: Option<Component<'a>>,
    pub(crate) containers: Vec<ContainerPlan<'a>>,
    /// Annotations to add.
    pub(crate) marks: Vec<(&'static str, String)>,
    /// None if variables are injected.
    pub(crate) why_not: Option<WhyNot>,
    pub(crate) warnings: Warnings,
}

/// What is to be done with a container.
#[derive(Debug)]
pub(crate) struct ContainerPlan<'a> {
    pub(crate) place: Place<'a>,
    pub(crate) variables: Result<Vec<Planned>, Reason>,
}

/// Why no variable is injected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WhyNot {
    Reason(Reason),
    Doubt(Doubt),
}

/// Plans for a pod about to be created in `namespace`.
pub(crate) fn plan<'a>(pod: &'a Pod<'a>, namespace: &'a str, facts: &'a Facts) -> Plan<'a> {
    let mut plan = Plan {
        component: None,
        containers: Vec::new(),
        marks: Vec::new(),
        why_not: None,
        warnings: Warnings::default(),
    };
    if let Err(why_not) = plan.fill(pod, namespace, facts) {
        plan.why_not = Some(why_not);
    }
    plan
}

impl<'a> Plan<'a> {
    fn fill(
        &mut self,
        pod: &'a Pod<'a>,
        namespace: &'a str,
        facts: &'a Facts,
    ) -> Result<(), WhyNot> {
        let settings = facts.settings();
        let component = Component::of(pod);
        self.component.clone_from(&component);
        if pod
            .label(names::COMPONENT)
            .is_some_and(|it| Kind::parse(it).is_none())
        {
            self.warnings.push(format!(
                "label {} is none of agent, mcpserver, modelapi, memorystore and llm-server: not used",
                names::COMPONENT
            ));
        }
        let (component, wanted) = eligible(pod, namespace, component, facts)?;
        let levels = Levels {
            pod,
            resource: { component.resource }
                .and_then(|name| facts.component(component.kind, namespace, name)),
            namespace: wanted,
            settings,
        };
        self.agreed(levels)?;
        if !levels.are_known() {
            return Err(WhyNot::Doubt(Doubt::LongAnnotation));
        }
        let wishes = levels.wishes(&mut self.warnings);
        let mut injected = Injected::read(pod.annotation(names::STATUS));
        let subject = Subject {
            levels,
            component: &component,
            wishes: &wishes,
            namespace,
            earlier: &injected,
        };
        let callback = has_callback(subject);
        let reason = self.containers(subject);
        let added = self.additions();
        let reports = added.is_some() || reason == Some(Reason::Complete);
        if reports && callback == Some(false) {
            self.warnings.push(
                "LiteLLM reports only if its configuration has the otel callback, and nothing says that it has",
            );
        }
        if reason != Some(Reason::NoContainer) {
            for (container, name) in added.iter().flatten() {
                injected.add(container, name);
            }
            let status = injected.write(facts.config_hash(), component.kind, reason);
            let heads = reports && reports_calls(&component, callback);
            self.mark(pod, &wishes, heads, (status, added.is_some()));
        }
        match reason {
            None => Ok(()),
            Some(reason) => Err(WhyNot::Reason(reason)),
        }
    }

    /// Whether all levels leave it on.
    fn agreed(&mut self, levels: Levels<'_>) -> Result<(), WhyNot> {
        match levels.pod_says(&mut self.warnings) {
            Some(true) => return Ok(()),
            Some(false) => return Err(WhyNot::Reason(Reason::OptedOut)),
            None => {}
        }
        let block = levels.resource.and_then(|it| it.telemetry.as_ref());
        if block.is_some_and(|it| !it.enabled) {
            return Err(WhyNot::Reason(Reason::DisabledByResource));
        }
        Ok(())
    }

    /// Plans all containers; the reason if no variable is added.
    fn containers(&mut self, subject: Subject<'_, 'a>) -> Option<Reason> {
        if subject.component.sdk.is_none() {
            let ollama = subject.component.kind == Kind::LlmServer || is_ollama(subject.levels.pod);
            return Some(if ollama {
                Reason::NoSdk
            } else {
                Reason::UnknownModelApi
            });
        }
        let places = select::places(subject, &mut self.warnings);
        for place in places {
            let variables = container::plan(subject, place.container, &mut self.warnings);
            self.containers.push(ContainerPlan { place, variables });
        }
        if self.additions().is_some() {
            return None;
        }
        let mut results = self.containers.iter().map(|it| &it.variables);
        if results.clone().any(Result::is_ok) {
            return Some(Reason::Complete);
        }
        let first = results.find_map(|it| it.as_ref().err().copied());
        Some(first.unwrap_or(Reason::NoContainer))
    }

    /// Container and name of each variable that is added or merged; none if there is none.
    fn additions(&self) -> Option<Vec<(String, &'static str)>> {
        let mut all = Vec::new();
        for container in &self.containers {
            for planned in container.variables.iter().flatten() {
                if planned.changes() {
                    all.push((container.place.container.name.to_string(), planned.name));
                }
            }
        }
        (!all.is_empty()).then_some(all)
    }

    /// Annotations for the probe and for those who ask later. The user's own stay.
    fn mark(
        &mut self,
        pod: &Pod<'_>,
        wishes: &Wishes<'_>,
        heads: bool,
        (status, changed): (String, bool),
    ) {
        let mut add = |name, missing, value: String| {
            if missing {
                self.marks.push((name, value));
            }
        };
        let missing = |name| pod.annotation(name).is_none();
        let capture = wishes
            .capture
            .unwrap_or(if heads { "heads" } else { "full" });
        add(names::CAPTURE, missing(names::CAPTURE), capture.to_owned());
        let content = wishes.capture_content.to_string();
        add(
            names::CAPTURE_CONTENT,
            missing(names::CAPTURE_CONTENT),
            content,
        );
        add(names::STATUS, changed || missing(names::STATUS), status);
    }
}

impl Planned {
    /// True if it changes the pod.
    pub(crate) fn changes(&self) -> bool {
        match self.action {
            Action::First(_) | Action::Last(_) | Action::Merge(..) => true,
            Action::Keep(_) | Action::Skip(_) => false,
        }
    }
}

/// Whether the pod is one for us, by its own looks and its namespace's.
fn eligible<'a>(
    pod: &Pod<'_>,
    namespace: &str,
    component: Option<Component<'a>>,
    facts: &'a Facts,
) -> Result<(Component<'a>, &'a NamespaceFacts), WhyNot> {
    let settings = facts.settings();
    let stop = |reason| Err(WhyNot::Reason(reason));
    if pod.annotation(names::MIRROR).is_some() {
        return stop(Reason::MirrorPod);
    }
    if settings
        .excluded_namespaces
        .iter()
        .any(|it| it == namespace)
    {
        return stop(Reason::ExcludedNamespace);
    }
    let Some(component) = component else {
        return stop(Reason::NotAComponent);
    };
    if !settings.enabled {
        return stop(Reason::DisabledBySettings);
    }
    match facts.namespace(namespace) {
        None => Err(WhyNot::Doubt(Doubt::UnknownNamespace)),
        Some(wanted) if wanted.opted_in() => Ok((component, wanted)),
        Some(known) if known.is_excluded() => stop(Reason::ExcludedNamespace),
        Some(_) => stop(Reason::NamespaceNotOptedIn),
    }
}

/// Whether `LiteLLM`'s configuration has the callback that makes spans; none if it is not
/// `LiteLLM`. The KAOS operator writes it if the resource says enabled, or its default does, and
/// the user brings no configuration.
fn has_callback(subject: Subject<'_, '_>) -> Option<bool> {
    if subject.component.sdk != Some(Sdk::Proxy) {
        return None;
    }
    let resource: Option<&ComponentFacts> = subject.levels.resource;
    if let Some(own) = resource.filter(|it| it.own_config) {
        return Some(own.own_callback);
    }
    let enabled = resource.and_then(|it| it.telemetry.as_ref());
    let mut containers = subject.levels.pod.spec.containers.iter().flatten();
    let written = subject.component.by_operator
        && containers.any(|it| {
            let mut env = it.env.iter().flatten();
            env.any(|variable| &*variable.name == variables::EXPORTER)
                && !subject.earlier.has(&it.name, variables::EXPORTER)
        });
    Some(enabled.is_some_and(|it| it.enabled) || written)
}

/// True if its own SDK reports calls of models.
fn reports_calls(component: &Component<'_>, callback: Option<bool>) -> bool {
    match component.sdk {
        Some(Sdk::Agent | Sdk::MemoryStore) => true,
        Some(Sdk::Proxy) => callback == Some(true),
        Some(Sdk::McpServer) | None => false,
    }
}
