//! Endpoints of OTLP exporters: which cannot be right.

use std::net::Ipv4Addr;

use crate::names;
use crate::settings::Protocol;

/// The variable that an endpoint may refer to.
pub(crate) const NODE_IP: &str = "KAOS_TELEMETRY_NODE_IP";

/// A URL that an exporter could send to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Endpoint<'a> {
    text: &'a str,
    port: Option<u16>,
}

/// Why an endpoint cannot be right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    #[error("is empty")]
    Empty,
    #[error("is too long")]
    Long,
    #[error("has no http:// or https://")]
    Scheme,
    #[error("has no host")]
    Host,
    #[error("has a port that is none")]
    Port,
    #[error("has characters that no URL has")]
    Characters,
    #[error("refers to a variable other than $(KAOS_TELEMETRY_NODE_IP)")]
    Reference,
    #[error("is a gRPC port, but the protocol is http/protobuf")]
    GrpcPort,
    #[error("is an HTTP port, but the protocol is grpc")]
    HttpPort,
}

impl<'a> Endpoint<'a> {
    /// Reads `http(s)://host[:port][/path]`; the host may be `$(KAOS_TELEMETRY_NODE_IP)`.
    pub(crate) fn parse(text: &'a str) -> Result<Self, Fault> {
        if text.is_empty() {
            return Err(Fault::Empty);
        }
        if text.len() > names::MAX_BYTES {
            return Err(Fault::Long);
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) || text.contains(['"', '\\']) {
            return Err(Fault::Characters);
        }
        let (_, rest) = split_scheme(text).ok_or(Fault::Scheme)?;
        let known = format!("$({NODE_IP})");
        if rest.replace(&known, "").contains('$') {
            return Err(Fault::Reference);
        }
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let host_port = authority.rsplit('@').next().unwrap_or_default();
        let (host, port) = split_port(host_port);
        if host.is_empty() {
            return Err(Fault::Host);
        }
        let port = match port {
            None => None,
            Some(port) => match port.parse() {
                Ok(0) | Err(_) => return Err(Fault::Port),
                Ok(port) => Some(port),
            },
        };
        Ok(Self { text, port })
    }

    /// Refuses the port that belongs to the other protocol.
    pub(crate) fn speaks(self, protocol: Protocol) -> Result<Self, Fault> {
        match (self.port, protocol) {
            (Some(4317), Protocol::HttpProtobuf) => Err(Fault::GrpcPort),
            (Some(4318), Protocol::Grpc) => Err(Fault::HttpPort),
            _ => Ok(self),
        }
    }

    /// The protocol that the port belongs to by custom.
    pub(crate) fn customary_protocol(self) -> Option<Protocol> {
        match self.port {
            Some(4317) => Some(Protocol::Grpc),
            Some(4318) => Some(Protocol::HttpProtobuf),
            _ => None,
        }
    }

    /// True if it needs the node's address.
    pub(crate) fn needs_node_ip(self) -> bool {
        self.text.contains('$')
    }
}

/// False if the host may be another one, by the will of whoever owns some namespace.
///
/// A resolver tries names of fewer than five dots within the pod's own namespace first, and then
/// within all: `a` is a Service beside the pod, `a.b` the pod `a` of a headless Service `b` there,
/// and `a.b.c` one of a Service `b` in the namespace `c`. By `https` that last one has no
/// certificate; `a.b.svc` needs a namespace called `svc`. Names of four labels have no such reading,
/// nor has one with a dot at its end, which nobody completes.
pub(crate) fn is_one_place(text: &str) -> bool {
    let Some((scheme, rest)) = split_scheme(text) else {
        return false;
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let (host, _) = split_port(authority.rsplit('@').next().unwrap_or_default());
    let address = host.starts_with('[') || host.parse::<Ipv4Addr>().is_ok();
    let known = host.eq_ignore_ascii_case("localhost") || host == format!("$({NODE_IP})");
    let labels: Vec<_> = host.split('.').filter(|label| !label.is_empty()).collect();
    let service = labels
        .last()
        .is_some_and(|it| it.eq_ignore_ascii_case("svc"));
    let enough = if service || scheme == "https://" {
        3
    } else {
        4
    };
    address || known || host.ends_with('.') || labels.len() >= enough
}

/// True if both are the same place: case of scheme and host and a last `/` do not matter.
pub(crate) fn same(one: &str, other: &str) -> bool {
    let parts = |text: &str| {
        let (scheme, rest) = split_scheme(text)?;
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let authority = if authority.contains('$') {
            authority.to_owned()
        } else {
            authority.to_ascii_lowercase()
        };
        Some((scheme, authority, path.to_owned()))
    };
    parts(one).is_some_and(|one| parts(other) == Some(one))
}

fn split_scheme(text: &str) -> Option<(&'static str, &str)> {
    ["http://", "https://"].into_iter().find_map(|scheme| {
        let start = text.get(..scheme.len())?;
        start
            .eq_ignore_ascii_case(scheme)
            .then(|| (scheme, &text[scheme.len()..]))
    })
}

fn split_port(host_port: &str) -> (&str, Option<&str>) {
    // An IPv6 address has colons of its own, in brackets.
    let end = host_port.rfind(']').map_or(0, |bracket| bracket + 1);
    match host_port[end..].rfind(':') {
        Some(colon) => (
            &host_port[..end + colon],
            Some(&host_port[end + colon + 1..]),
        ),
        None => (host_port, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_right_is_refused() {
        let fault = |text: &str| Endpoint::parse(text).unwrap_err();
        assert_eq!(fault(""), Fault::Empty);
        assert_eq!(fault(&format!("http://{}", "c".repeat(4096))), Fault::Long);
        assert_eq!(fault("collector:4317"), Fault::Scheme);
        assert_eq!(fault("grpc://collector:4317"), Fault::Scheme);
        assert_eq!(fault("http://"), Fault::Host);
        assert_eq!(fault("http://:4317"), Fault::Host);
        assert_eq!(fault("http://c:0"), Fault::Port);
        assert_eq!(fault("http://c:65536"), Fault::Port);
        assert_eq!(fault("http://c:"), Fault::Port);
        assert_eq!(fault("http://a b"), Fault::Characters);
        assert_eq!(fault("http://$(HOST_IP):4317"), Fault::Reference);
        assert_eq!(fault("http://$c"), Fault::Reference);
        for text in [
            "http://c:4317",
            "HTTPS://c/v1?x=y",
            "http://[::1]:4317",
            "http://[fe80::1]",
            "http://$(KAOS_TELEMETRY_NODE_IP):4317",
        ] {
            assert!(Endpoint::parse(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn a_port_that_belongs_to_the_other_protocol_is_refused() {
        let speaks = |text, protocol| Endpoint::parse(text).unwrap().speaks(protocol).err();
        assert_eq!(
            speaks("http://c:4317", Protocol::HttpProtobuf),
            Some(Fault::GrpcPort)
        );
        assert_eq!(
            speaks("http://[::1]:4318", Protocol::Grpc),
            Some(Fault::HttpPort)
        );
        assert_eq!(speaks("http://c:4317", Protocol::Grpc), None);
        assert_eq!(speaks("https://c", Protocol::HttpProtobuf), None);
    }

    #[test]
    fn the_same_place_is_known_however_it_is_written() {
        assert!(same(
            "http://Collector.ns:4317",
            "HTTP://collector.ns:4317/"
        ));
        assert!(same(
            "http://$(KAOS_TELEMETRY_NODE_IP):1",
            "http://$(KAOS_TELEMETRY_NODE_IP):1"
        ));
        for other in [
            "https://c:4317",
            "http://c:4318",
            "http://c:4317.evil",
            "http://c:4317@evil",
            "http://c:4317/other",
            "http://c:4317?x",
            "c:4317",
            "",
        ] {
            assert!(!same("http://c:4317", other), "{other}");
        }
        assert!(!same("", ""), "what is no endpoint is like no other");
    }
}
