//! Where a container will send, how, and whether prompts would go with it.

use super::{Subject, Work};
use crate::decision::component::Sdk;
use crate::decision::endpoint::Endpoint;
use crate::decision::env::{Content, Entry};
use crate::decision::level::{From, Level};
use crate::decision::outcome::Reason;
use crate::decision::variables;
use crate::decision::warnings::Warnings;
use crate::settings::{AgentContent, Protocol, Settings};

impl<'a> Work<'_, 'a> {
    /// Chooses an endpoint unless the container has one of its own.
    pub(super) fn choose(&mut self, warnings: &mut Warnings) -> Result<(), Reason> {
        if let Some(entry) = self.own_endpoint() {
            self.look_at_own(entry, warnings);
            return Ok(());
        }
        if self.never(variables::ENDPOINT) {
            return Ok(());
        }
        let Subject {
            levels, component, ..
        } = self.subject;
        let chosen = levels.endpoint(component, self.own_protocol(), warnings);
        let usable = chosen.filter(|it| {
            let usable =
                !it.endpoint.needs_node_ip() || self.refers(variables::NODE_IP, usize::MAX);
            if !usable {
                warnings.push(format!(
                    "container {}: its own {} is not the node's address: the endpoint is not used",
                    self.container.name,
                    variables::NODE_IP
                ));
            }
            usable
        });
        self.chosen = Some(usable.ok_or(Reason::NoEndpoint)?);
        Ok(())
    }

    /// The protocol that the container's own entries name, in the order in which its SDK reads them.
    fn own_protocol(&self) -> Option<Protocol> {
        if self.env.has(variables::PROTOCOL) {
            return Protocol::parse(self.env.literal(variables::PROTOCOL)?);
        }
        self.own_exporter()
    }

    /// The same by `LiteLLM`'s own variable.
    fn own_exporter(&self) -> Option<Protocol> {
        let proxy = self.subject.component.sdk == Some(Sdk::Proxy);
        match self.env.literal(variables::EXPORTER).filter(|_| proxy)? {
            "otlp_grpc" | "grpc" => Some(Protocol::Grpc),
            "otlp_http" | "http/protobuf" => Some(Protocol::HttpProtobuf),
            _ => None,
        }
    }

    /// Warns of an endpoint of the container's own that cannot be right.
    fn look_at_own(&self, entry: Entry<'_>, warnings: &mut Warnings) {
        let Content::Literal(value) = entry.content else {
            return;
        };
        let name = &self.container.name;
        if has_node_ip(value) && !self.refers(variables::NODE_IP, entry.index) {
            warnings.push(format!(
                "container {name}: the endpoint of its own env refers to a {} that is not the node's address",
                variables::NODE_IP
            ));
        } else if !value.contains("$(")
            && let Err(fault) = Endpoint::parse(value)
        {
            warnings.push(format!(
                "container {name}: the endpoint of its own env {fault}"
            ));
        }
    }

    /// True if an endpoint refers to the node's address, be it ours or the container's own.
    pub(super) fn needs_node_ip(&self) -> bool {
        let own = [variables::ENDPOINT].into_iter();
        let mut own = own.chain(variables::OTHER_ENDPOINTS);
        self.chosen.is_some_and(|it| it.endpoint.needs_node_ip())
            || own.any(|name| self.env.literal(name).is_some_and(has_node_ip))
    }

    /// The container's own endpoint, by any name that its SDK reads.
    fn own_endpoint(&self) -> Option<Entry<'a>> {
        let own = self.env.get(variables::ENDPOINT);
        match self.subject.component.sdk {
            Some(Sdk::Proxy) => own.or_else(|| self.env.get(variables::LITELLM_ENDPOINT)),
            _ => own,
        }
    }

    /// True if what we add could make prompts go where they are not known to be dropped.
    pub(super) fn content_would_leak(&self, warnings: &mut Warnings) -> bool {
        let settings = self.subject.levels.settings;
        if settings.agent_content == AgentContent::Allow
            || !self.subject.component.exports_content()
        {
            return false;
        }
        if self.env.may_have_more() {
            warnings.push(format!(
                "container {}: its envFrom may name an endpoint that is not known to drop prompts",
                self.container.name
            ));
            return true;
        }
        if self.subject.component.names_exporters()
            && let Some(name) = self.other_exporter()
        {
            warnings.push(format!(
                "container {}: its own {name} may name more than otlp and none, which needs no endpoint",
                self.container.name
            ));
            return true;
        }
        // A signal's own endpoint goes before the common one.
        let others = variables::OTHER_ENDPOINTS.iter();
        if !others
            .filter_map(|name| self.env.get(name))
            .all(|entry| self.strips(entry, Settings::strips_signal))
        {
            return true;
        }
        let leaks = match (self.own_endpoint(), self.chosen) {
            (Some(own), _) => !self.strips(own, Settings::strips),
            (None, Some(chosen)) => !settings.strips(chosen.text),
            (None, None) => true,
        };
        leaks || self.is_unguarded(warnings)
    }

    /// The variable of the container's own that may name an exporter with a way of its own.
    fn other_exporter(&self) -> Option<&'static str> {
        let otlp = |entry: Entry<'_>| match entry.content {
            Content::Literal(names) => {
                { names.split(',') }.all(|name| matches!(name.trim(), "" | "otlp" | "none"))
            }
            Content::Reference(_) => false,
        };
        [variables::TRACES_EXPORTER, variables::LOGS_EXPORTER]
            .into_iter()
            .find(|name| self.env.get(name).is_some_and(|entry| !otlp(entry)))
    }

    /// True if the entry is a literal that `known` knows, and so is what its reference becomes.
    fn strips(&self, entry: Entry<'_>, known: fn(&Settings, &str) -> bool) -> bool {
        let Content::Literal(value) = entry.content else {
            return false;
        };
        known(self.subject.levels.settings, value)
            && (!value.contains('$') || self.refers(variables::NODE_IP, entry.index))
    }

    /// True if what goes before the common endpoint cannot be written, and so might come from the
    /// image.
    fn is_unguarded(&self, warnings: &mut Warnings) -> bool {
        let component = self.subject.component;
        let logs = component
            .names_exporters()
            .then_some(variables::LOGS_EXPORTER);
        let mut names = [variables::ENDPOINT].into_iter().chain(logs).chain({
            let ours = variables::ROWS.iter().filter(|row| row.guards);
            let ours = ours.filter(|row| row.is_for(component));
            ours.map(|row| row.name)
        });
        let open = names.find(|name| {
            let known = self.chosen.is_some() && *name == variables::ENDPOINT;
            !self.env.has(name) && (self.never(name) || !known && self.guard(name).is_none())
        });
        if let Some(name) = open {
            warnings.push(format!(
                "container {}: {name} of its image may say another way, and is not to be set or its protocol is not known",
                self.container.name
            ));
        }
        open.is_some()
    }

    /// True if no endpoint of the image may go before one that is known to drop prompts.
    pub(super) fn guarded(&self) -> bool {
        let Subject {
            levels, component, ..
        } = self.subject;
        levels.settings.agent_content == AgentContent::Strip && component.exports_content()
    }

    /// The common endpoint, as the variable `name` wants it; none if nobody knows the protocol.
    pub(super) fn guard(&self, name: &str) -> Option<From<String>> {
        if !self.guarded() {
            return None;
        }
        let (text, level) = match (self.own_endpoint(), self.chosen) {
            (Some(own), _) => match own.content {
                Content::Literal(text) => (text, Level::PodEnv),
                Content::Reference(_) => return None,
            },
            (None, chosen) => chosen.map(|it| (it.text, it.level))?,
        };
        let (path, protocol) = match name {
            variables::LOGS_ENDPOINT => ("/v1/logs", Some(variables::LOGS_PROTOCOL)),
            variables::TRACES_ENDPOINT => ("/v1/traces", Some(variables::TRACES_PROTOCOL)),
            variables::LITELLM_ENDPOINT => ("/v1/traces", None),
            _ => {
                let value = text.to_owned();
                return Some(From { value, level });
            }
        };
        let own = protocol.and_then(|it| self.env.get(it));
        let protocol = match own.map(|it| it.content) {
            _ if self.subject.component.only_grpc() => Protocol::Grpc,
            Some(Content::Literal(value)) => Protocol::parse(value)?,
            Some(Content::Reference(_)) => return None,
            // What is written to the console takes no endpoint.
            None if self.env.literal(variables::EXPORTER) == Some("console") => Protocol::Grpc,
            None => self.protocol()?.value,
        };
        let value = match protocol {
            Protocol::HttpProtobuf if !text.ends_with(path) => {
                format!("{}{path}", text.trim_end_matches('/'))
            }
            _ => text.to_owned(),
        };
        Some(From { value, level })
    }

    /// How the container will send; none if nobody knows.
    pub(super) fn protocol(&self) -> Option<From<Protocol>> {
        let own = |value| From {
            value,
            level: Level::PodEnv,
        };
        let component = self.subject.component;
        let proxy = component.sdk == Some(Sdk::Proxy);
        if self.env.has(variables::PROTOCOL) || proxy && self.env.has(variables::EXPORTER) {
            return self.own_protocol().map(own);
        }
        if let Some(chosen) = self.chosen {
            return Some(chosen.protocol);
        }
        let identity = |value| From {
            value,
            level: Level::Identity,
        };
        if component.only_grpc() {
            return Some(identity(Protocol::Grpc));
        }
        let customary = match self.own_endpoint().map(|it| it.content) {
            Some(Content::Literal(value)) => Endpoint::parse(value).ok(),
            Some(Content::Reference(_)) | None => None,
        };
        // KAOS knows gRPC only, and so writes its endpoints.
        let kaos = component.by_operator || proxy;
        let customary = customary.and_then(Endpoint::customary_protocol);
        customary.or(kaos.then_some(Protocol::Grpc)).map(identity)
    }
}

fn has_node_ip(text: &str) -> bool {
    // `$$` is a dollar sign, whatever follows.
    let reference = format!("$({})", variables::NODE_IP);
    text.replace("$$", "").contains(&reference)
}
