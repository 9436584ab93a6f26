//! Where a request goes: the target and `Host`.

use super::HttpFacts;
use crate::message::{RequestHead, ResponseHead};

/// The longest path that is kept.
const MAX_PATH: usize = 512;
/// The longest other string that is kept.
const MAX_TEXT: usize = 256;

/// The path and the authority of a request target (RFC 9112 §3.2).
pub(super) fn split(target: &str) -> (&str, Option<&str>) {
    let (path, authority) = match target.split_once("://") {
        Some((scheme, rest)) if scheme.bytes().all(|b| b.is_ascii_alphanumeric()) => {
            match rest.find(['/', '?', '#']) {
                Some(end) => (&rest[end..], Some(&rest[..end])),
                None => ("/", Some(rest)),
            }
        }
        _ => (target, None),
    };
    let end = path.find(['?', '#']).unwrap_or(path.len());
    (&path[..end], authority)
}

/// The host and port of an authority, without user information.
pub(super) fn host_port(authority: &str) -> Option<(&str, Option<u16>)> {
    let place = authority.rsplit_once('@').map_or(authority, |(_, p)| p);
    let (host, port) = match place.strip_prefix('[') {
        Some(v6) => {
            let (host, rest) = v6.split_once(']')?;
            (host, rest.strip_prefix(':'))
        }
        None => match place.rsplit_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (place, None),
        },
    };
    let legal = |b: u8| b.is_ascii_alphanumeric() || b"-._:%".contains(&b);
    if host.is_empty() || host.len() > MAX_TEXT || !host.bytes().all(legal) {
        return None;
    }
    Some((host, port.and_then(|port| port.parse().ok())))
}

impl HttpFacts {
    /// What a request's head tells.
    pub(super) fn of(head: &RequestHead<'_>, tls: bool) -> Self {
        let (path, authority) = split(head.target);
        let authority = authority.or_else(|| head.headers.get("host"));
        let place = authority.and_then(host_port);
        let first = |names: &[&str]| names.iter().find_map(|name| head.headers.get(name));
        Self {
            method: cut(head.method, 32),
            path: cut(path, MAX_PATH),
            host: place.map(|(host, _)| host.to_owned()),
            port: place.and_then(|(_, port)| port),
            tls,
            version: if head.minor_version == 0 {
                "1.0"
            } else {
                "1.1"
            },
            status: None,
            user_agent: first(&["user-agent"]).map(|agent| cut(agent, MAX_TEXT)),
            request_id: first(&["x-request-id", "x-client-request-id"]).map(|id| cut(id, MAX_TEXT)),
            session_id: first(&["x-session-id", "x-aib-session-id"]).map(|id| cut(id, MAX_TEXT)),
        }
    }

    /// What a response's head adds.
    pub(super) fn answer(&mut self, head: &ResponseHead<'_>) {
        self.status = Some(head.status);
        let names = [
            "x-request-id",
            "request-id",
            "apim-request-id",
            "x-litellm-call-id",
        ];
        if let Some(id) = names.iter().find_map(|name| head.headers.get(name)) {
            self.request_id = Some(cut(id, MAX_TEXT));
        }
    }
}

/// At most `max` bytes of `text`.
fn cut(text: &str, max: usize) -> String {
    let mut end = text.len().min(max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_split() {
        assert_eq!(split("/v1/x?key=1"), ("/v1/x", None));
        assert_eq!(split("http://h:1/a/b?q#f"), ("/a/b", Some("h:1")));
        assert_eq!(split("https://h"), ("/", Some("h")));
        assert_eq!(split("/p?u=http://x/y"), ("/p", None));
        assert_eq!(split("*"), ("*", None));
    }

    #[test]
    fn authorities_give_host_and_port() {
        assert_eq!(host_port("h:80"), Some(("h", Some(80))));
        assert_eq!(host_port("user:secret@h"), Some(("h", None)));
        assert_eq!(host_port("[::1]:8080"), Some(("::1", Some(8080))));
        assert_eq!(host_port("h:99999"), Some(("h", None)));
        assert_eq!(host_port(""), None);
        assert_eq!(host_port("a b"), None);
    }
}
