//! Which endpoint: the closest that can be right.

use super::component::Component;
use super::endpoint::Endpoint;
use super::level::{From, Level};
use super::warnings::Warnings;
use super::wishes::Levels;
use crate::names;
use crate::settings::Protocol;

/// An endpoint that can be right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Chosen<'a> {
    pub(crate) text: &'a str,
    pub(crate) endpoint: Endpoint<'a>,
    pub(crate) level: Level,
    pub(crate) protocol: From<Protocol>,
}

impl<'a> Levels<'a> {
    /// The closest endpoint that can be right; those that cannot are warned of.
    ///
    /// `own` is the protocol that the container's own `env` says.
    pub(crate) fn endpoint(
        self,
        component: &Component<'_>,
        own: Option<Protocol>,
        warnings: &mut Warnings,
    ) -> Option<Chosen<'a>> {
        let mut first = Warnings::default();
        let chosen = self.endpoint_without(&[], component, own, &mut first);
        let lone = self.lone_protocols();
        if chosen.is_none() {
            // Not the endpoints are wrong, if they are right without a wish that has none.
            for count in 1..=lone.len() {
                let mut found = Warnings::default();
                for level in &lone[..count] {
                    let name = names::PROTOCOL;
                    found.push(format!("{level} {name} fits no endpoint: not used"));
                }
                let chosen = self.endpoint_without(&lone[..count], component, own, &mut found);
                if chosen.is_some() {
                    warnings.append(found);
                    return chosen;
                }
            }
        }
        warnings.append(first);
        chosen
    }

    /// Where annotations wish for a protocol, but for no endpoint to go with it; closest first.
    fn lone_protocols(self) -> Vec<Level> {
        let known = |wish: &From<&str>| Protocol::parse(wish.value).is_some();
        let wishes = self.annotations(names::PROTOCOL).filter(known);
        let alone = |level: &Level| {
            !self
                .annotations(names::ENDPOINT)
                .any(|it| it.level == *level)
        };
        wishes.map(|it| it.level).filter(alone).collect()
    }

    /// The same without the protocols that annotations of the `ignored` levels wish for.
    fn endpoint_without(
        self,
        ignored: &[Level],
        component: &Component<'_>,
        own: Option<Protocol>,
        warnings: &mut Warnings,
    ) -> Option<Chosen<'a>> {
        let mut refused = ignored.to_vec();
        for wish in self.endpoints() {
            let protocol = match own {
                // An SDK that cannot but speak gRPC does not read what the variable says.
                Some(value) if !component.only_grpc() => From {
                    value,
                    level: Level::PodEnv,
                },
                _ => self.protocol(wish.level, &refused, warnings),
            };
            if component.only_grpc() && protocol.value != Protocol::Grpc {
                warnings.push(format!(
                    "{}: the endpoint wants {}, but this component's SDK speaks grpc only: not used",
                    wish.level, protocol.value
                ));
                refused.push(wish.level);
                continue;
            }
            match Endpoint::parse(wish.value).and_then(|it| it.speaks(protocol.value)) {
                Ok(endpoint) => {
                    return Some(Chosen {
                        text: wish.value,
                        endpoint,
                        level: wish.level,
                        protocol,
                    });
                }
                Err(fault) => {
                    warnings.push(format!("{}: the endpoint {fault}: not used", wish.level));
                    refused.push(wish.level);
                }
            }
        }
        None
    }

    fn endpoints(self) -> impl Iterator<Item = From<&'a str>> + use<'a> {
        let resource = self.resource.and_then(|it| it.telemetry.as_ref());
        let resource = resource.and_then(|it| it.endpoint.as_deref());
        let mut said = self.annotations(names::ENDPOINT).peekable();
        let pod = said.next_if(|it| it.level == Level::PodAnnotation);
        let at = |level| move |value: &'a str| From { value, level };
        pod.into_iter()
            .chain(resource.map(at(Level::Resource)))
            .chain(said)
            .chain(self.settings.endpoint.as_deref().map(at(Level::Settings)))
    }

    /// The protocol for an endpoint of `level`. That of a custom resource is gRPC, as KAOS has it.
    /// What was wished together with a `refused` endpoint goes with it.
    fn protocol(self, level: Level, refused: &[Level], warnings: &mut Warnings) -> From<Protocol> {
        for wish in self.annotations(names::PROTOCOL) {
            if level == Level::Resource && wish.level > Level::Resource {
                break;
            }
            if refused.contains(&wish.level) {
                continue;
            }
            if let Some(value) = Protocol::parse(wish.value) {
                return From {
                    value,
                    level: wish.level,
                };
            }
            warnings.push(format!(
                "{} {} is neither grpc nor http/protobuf: not used",
                wish.level,
                names::PROTOCOL
            ));
        }
        if level == Level::Resource {
            return From {
                value: Protocol::Grpc,
                level,
            };
        }
        From {
            value: self.settings.protocol,
            level: Level::Settings,
        }
    }
}
