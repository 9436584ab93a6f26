//! Where a container will send, how, and whether prompts would go with it.

use super::{Subject, Work};
use crate::decision::component::Sdk;
use crate::decision::endpoint::Endpoint;
use crate::decision::env::{Content, Entry};
use crate::decision::level::{From, Level};
use crate::decision::outcome::Reason;
use crate::decision::variables;
use crate::decision::warnings::Warnings;
use crate::settings::{AgentContent, Protocol};

impl<'a> Work<'_, 'a> {
    /// Chooses an endpoint unless the container has one of its own.
    pub(super) fn choose(&mut self, warnings: &mut Warnings) -> Result<(), Reason> {
        if let Some(entry) = self.own_endpoint() {
            if let Content::Literal(value) = entry.content
                && !value.contains("$(")
                && let Err(fault) = Endpoint::parse(value)
            {
                warnings.push(format!(
                    "container {}: the endpoint of its own env {fault}",
                    self.container.name
                ));
            }
            return Ok(());
        }
        if self.never(variables::ENDPOINT) {
            return Ok(());
        }
        let own = self.env.literal(variables::PROTOCOL);
        let own = own.and_then(Protocol::parse);
        let Subject {
            levels, component, ..
        } = self.subject;
        let chosen = levels.endpoint(component, own, warnings);
        let usable = chosen.filter(|it| {
            let usable =
                !it.endpoint.needs_node_ip() || self.refers(variables::NODE_IP, usize::MAX);
            if !usable {
                warnings.push(format!(
                    "container {}: its own {} is no reference: the endpoint is not used",
                    self.container.name,
                    variables::NODE_IP
                ));
            }
            usable
        });
        self.chosen = Some(usable.ok_or(Reason::NoEndpoint)?);
        Ok(())
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
        let strips = |entry: Entry<'_>| match entry.content {
            Content::Literal(value) => settings.strips(value),
            Content::Reference => false,
        };
        // A signal's own endpoint goes before the common one.
        let others = variables::OTHER_ENDPOINTS.iter();
        if !others.filter_map(|name| self.env.get(name)).all(strips) {
            return true;
        }
        match (self.own_endpoint(), self.chosen) {
            (Some(own), _) => !strips(own),
            (None, Some(chosen)) => !settings.strips(chosen.text),
            (None, None) => true,
        }
    }

    /// How the container will send; none if nobody knows.
    pub(super) fn protocol(&self) -> Option<From<Protocol>> {
        let own = |value| From {
            value,
            level: Level::PodEnv,
        };
        if let Some(entry) = self.env.get(variables::PROTOCOL) {
            let Content::Literal(value) = entry.content else {
                return None;
            };
            return Protocol::parse(value).map(own);
        }
        let component = self.subject.component;
        if component.sdk == Some(Sdk::Proxy)
            && let Some(entry) = self.env.get(variables::EXPORTER)
        {
            return match entry.content {
                Content::Literal("otlp_grpc" | "grpc") => Some(own(Protocol::Grpc)),
                Content::Literal("otlp_http" | "http/protobuf") => {
                    Some(own(Protocol::HttpProtobuf))
                }
                _ => None,
            };
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
            Some(Content::Reference) | None => None,
        };
        // KAOS knows gRPC only, and so writes its endpoints.
        let kaos = component.by_operator || component.sdk == Some(Sdk::Proxy);
        let customary = customary.and_then(Endpoint::customary_protocol);
        customary.or(kaos.then_some(Protocol::Grpc)).map(identity)
    }
}
