//! What one container gets.

mod sending;

use super::attributes::{Attributes, Value, escaped, text};
use super::choice::Chosen;
use super::component::Component;
use super::env::{Content, Env};
use super::level::{From, Level};
use super::operator;
use super::outcome::Reason;
use super::status::Injected;
use super::variables::{self, ROWS, Row};
use super::warnings::Warnings;
use super::wishes::{Levels, Wishes};
use crate::review::pod::Container;
use crate::settings::Protocol;

/// No container starts with a string of more than 128 KiB, and references may still grow.
const MAX_VALUE_BYTES: usize = 32 * 1024;
/// The user's own attributes are left alone beyond this: they are looked through.
const MAX_OWN_ATTRIBUTES_BYTES: usize = 16 * 1024;

/// What all containers of a pod have in common.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Subject<'s, 'a> {
    pub(crate) levels: Levels<'a>,
    pub(crate) component: &'s Component<'a>,
    pub(crate) wishes: &'s Wishes<'a>,
    /// The request's.
    pub(crate) namespace: &'a str,
    /// Variables that an earlier call of ours injected, by container.
    pub(crate) earlier: &'s Injected,
}

/// What becomes of a variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action {
    /// Stands first, filled in by the kubelet from this field.
    First(&'static str),
    /// Stands last, with this value.
    Last(String),
    /// The literal of the entry at this index becomes this.
    Merge(usize, String),
    /// What is there stays. None if it is no literal.
    Keep(Option<String>),
    /// Is not injected, for this reason.
    Skip(&'static str),
}

/// A variable, what becomes of it, and who wants it so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Planned {
    pub(crate) name: &'static str,
    pub(crate) action: Action,
    pub(crate) level: Level,
}

/// A container at work: what it has, and what was chosen for it.
struct Work<'s, 'a> {
    subject: Subject<'s, 'a>,
    container: &'a Container<'a>,
    env: Env<'a>,
    chosen: Option<Chosen<'a>>,
    protocol: Option<From<Protocol>>,
}

/// What `container` gets, in the order of [`ROWS`], or why it gets nothing.
pub(crate) fn plan<'a>(
    subject: Subject<'_, 'a>,
    container: &'a Container<'a>,
    warnings: &mut Warnings,
) -> Result<Vec<Planned>, Reason> {
    let env = Env::of(container);
    let disabled = env.literal(variables::SDK_DISABLED).unwrap_or_default();
    if ["true", "1", "yes"].contains(&disabled.to_ascii_lowercase().as_str()) {
        return Err(Reason::SdkDisabled);
    }
    let mut work = Work {
        subject,
        container,
        env,
        chosen: None,
        protocol: None,
    };
    work.choose(warnings)?;
    if work.content_would_leak(warnings) {
        return Err(Reason::ContentNotStripped);
    }
    work.protocol = work.protocol();
    let mut ours = ROWS.iter().filter(|row| row.is_for(subject.component));
    if ours.any(|row| env.may_define(row.name)) {
        warnings.push(format!(
            "container {}: envFrom cannot be seen here; env wins over it: name what must stay in telemetry.kaos.tools/never-inject",
            container.name
        ));
    }
    let rows = ROWS.iter().filter(|row| row.is_for(subject.component));
    Ok(rows.filter_map(|row| work.row(row, warnings)).collect())
}

impl<'s> Work<'s, '_> {
    fn row(&self, row: &Row, warnings: &mut Warnings) -> Option<Planned> {
        let planned = |action, level| {
            Some(Planned {
                name: row.name,
                action,
                level,
            })
        };
        if row.name == variables::RESOURCE_ATTRIBUTES {
            return self.resource_attributes(warnings);
        }
        if row.guards && !self.guarded() && !self.env.has(row.name) {
            return None;
        }
        if let Some(entry) = self.env.get(row.name) {
            let value = match entry.content {
                Content::Literal(value) => Some(value.to_owned()),
                Content::Reference(_) => None,
            };
            return planned(Action::Keep(value), self.level_of(row.name));
        }
        if self.never(row.name) {
            return planned(Action::Skip("never-inject names it"), Level::Settings);
        }
        if let Some(field) = row.field {
            let wanted = row.name != variables::NODE_IP || self.needs_node_ip();
            let action = Action::First(field);
            return wanted.then(|| planned(action, Level::Identity)).flatten();
        }
        if row.name == variables::SDK_DISABLED && self.env.may_define(row.name) {
            return planned(Action::Skip("envFrom may say otherwise"), Level::Identity);
        }
        let From { value, level } = self.value(row.name)?;
        if value.len() > MAX_VALUE_BYTES {
            self.too_long(row.name, warnings);
            return planned(Action::Skip("it would be too long"), level);
        }
        planned(Action::Last(value), level)
    }

    fn too_long(&self, name: &str, warnings: &mut Warnings) {
        warnings.push(format!(
            "container {}: {name} would be too long: left alone",
            self.container.name
        ));
    }

    /// The value of a variable that the container does not have.
    fn value(&self, name: &str) -> Option<From<String>> {
        let wishes = self.subject.wishes;
        let wish = |wish: Option<From<&str>>| {
            wish.map(|it| From {
                value: escaped(it.value),
                level: it.level,
            })
        };
        let identity = |value: &str| {
            Some(From {
                value: value.to_owned(),
                level: Level::Identity,
            })
        };
        match name {
            variables::SERVICE_NAME => wish(wishes.service_name).or_else(|| {
                let pod = self.subject.levels.pod;
                identity(
                    &self
                        .subject
                        .component
                        .service_name(pod, &self.container.name),
                )
            }),
            variables::ENDPOINT => match self.chosen {
                Some(it) => Some(From {
                    value: it.text.to_owned(),
                    level: it.level,
                }),
                None => self.guard(name),
            },
            variables::TRACES_ENDPOINT | variables::LOGS_ENDPOINT | variables::LITELLM_ENDPOINT => {
                self.guard(name)
            }
            variables::PROTOCOL => self.protocol.map(|it| From {
                value: it.value.as_str().to_owned(),
                level: it.level,
            }),
            variables::EXPORTER => match self.protocol.map(|it| it.value) {
                Some(Protocol::HttpProtobuf) => identity("otlp_http"),
                _ => identity("otlp_grpc"),
            },
            variables::PROPAGATORS => wish(wishes.propagators),
            variables::SAMPLER => wish(wishes.sampler),
            variables::SAMPLER_ARG => {
                // An argument to a sampler of the user's is the user's affair.
                let ours = wishes.sampler.is_some() && !self.env.has(variables::SAMPLER);
                ours.then(|| wish(wishes.sampler_arg)).flatten()
            }
            variables::LOG_LEVEL => wish(wishes.log_level),
            variables::SDK_DISABLED => identity("false"),
            variables::TRACES_EXPORTER | variables::METRICS_EXPORTER | variables::LOGS_EXPORTER => {
                identity("otlp")
            }
            variables::FASTAPI_EXCLUDED_URLS => identity("/health,/ready"),
            variables::EXCLUDED_URLS => identity("/health"),
            _ => None,
        }
    }

    fn resource_attributes(&self, warnings: &mut Warnings) -> Option<Planned> {
        let name = variables::RESOURCE_ATTRIBUTES;
        let planned = |action, level| {
            Some(Planned {
                name,
                action,
                level,
            })
        };
        let entry = self.env.get(name);
        if self.never(name) || !self.subject.wishes.compose {
            return match entry {
                None => planned(Action::Skip("composing is off"), Level::Settings),
                Some(_) => planned(
                    Action::Keep(self.env.literal(name).map(str::to_owned)),
                    self.level_of(name),
                ),
            };
        }
        let Some(entry) = entry else {
            let ours = self.attributes(usize::MAX).before("")?;
            if ours.len() > MAX_VALUE_BYTES {
                self.too_long(name, warnings);
                return planned(Action::Skip("it would be too long"), Level::Identity);
            }
            return planned(Action::Last(ours), Level::Identity);
        };
        let Content::Literal(there) = entry.content else {
            warnings.push(format!(
                "container {}: {name} comes by reference and cannot be merged: left alone",
                self.container.name
            ));
            return planned(Action::Keep(None), Level::PodEnv);
        };
        let keep = || planned(Action::Keep(Some(there.to_owned())), self.level_of(name));
        if there.len() > MAX_OWN_ATTRIBUTES_BYTES {
            self.too_long(name, warnings);
            return keep();
        }
        match self.attributes(entry.index).before(there) {
            None => keep(),
            Some(ours) if ours.len() + there.len() > MAX_VALUE_BYTES => {
                self.too_long(name, warnings);
                keep()
            }
            Some(ours) => planned(Action::Merge(entry.index, ours + there), Level::Identity),
        }
    }

    /// The attributes for an entry at `index`, the closest level's first.
    fn attributes(&self, index: usize) -> Attributes<'s> {
        let Subject {
            levels,
            component,
            wishes,
            namespace,
            ..
        } = self.subject;
        let mut all = Attributes::default();
        for (key, value) in &wishes.attributes {
            all.add(key, text(value));
        }
        all.add("service.namespace", text(namespace));
        if let Some(name) = component.kaos_name() {
            all.add("kaos.resource.name", Value::Text(name.into()));
        }
        all.add("k8s.namespace.name", text(namespace));
        for (key, variable) in [
            ("k8s.pod.name", variables::POD_NAME),
            ("k8s.pod.uid", variables::POD_UID),
            ("k8s.node.name", variables::NODE_NAME),
        ] {
            if self.refers(variable, index) {
                all.add(key, Value::Variable(variable));
            }
        }
        all.add("k8s.container.name", text(&self.container.name));
        if let Some(workload) = component.workload
            && let Some(attribute) = workload.attribute
        {
            all.add(attribute, text(workload.name));
        }
        for (key, value) in &levels.settings.resource_attributes {
            all.add(key, text(value));
        }
        all
    }

    /// True if `$(name)` in an entry at `index` is what the kubelet fills in: by our own entry, or
    /// by one of the same field that is there already and stands before.
    fn refers(&self, name: &str, index: usize) -> bool {
        match self.env.get(name) {
            None => !self.never(name),
            Some(entry) => {
                let field = match entry.content {
                    Content::Reference(field) => field,
                    Content::Literal(_) => None,
                };
                field.is_some() && field == variables::field_of(name) && entry.index < index
            }
        }
    }

    fn never(&self, name: &str) -> bool {
        self.subject.wishes.never.contains(name)
    }

    /// Who wrote the entry that is there.
    fn level_of(&self, name: &str) -> Level {
        let subject = self.subject;
        if subject.earlier.has(&self.container.name, name) {
            return Level::Earlier;
        }
        let resource = subject.levels.resource;
        let ours = subject.component.by_operator
            && operator::wrote(subject.component, resource, self.env, name);
        if ours { Level::Operator } else { Level::PodEnv }
    }
}
