//! The HTTP exchange around a call: who spoke to whom.

use std::net::SocketAddr;

use super::View;
use crate::call::HttpFacts;
use crate::conventions::{Attributes, table};

/// Adds the attributes of the HTTP conventions that a span of this side carries.
pub(super) fn attributes(view: &View<'_>, list: &mut Attributes<'_>) {
    let http = &view.call.http;
    method(&http.method, list);
    list.put_some(&table::HTTP_STATUS, http.status.map(i64::from));
    let (address, port) = server(view);
    let address = address.as_deref();
    if view.is_server() {
        list.put_text(&table::URL_PATH, Some(&http.path));
        list.put_text(&table::USER_AGENT, http.user_agent.as_deref());
    } else if let Some(address) = address {
        list.put(
            &table::URL_FULL,
            url(scheme(view), address, port, &http.path),
        );
    }
    list.put(&table::URL_SCHEME, scheme(view));
    if let Some(address) = address {
        list.put_text(&table::SERVER_ADDRESS, Some(address));
        list.put_some(&table::SERVER_PORT, port.map(i64::from));
    }
    if let Some(endpoints) = view.endpoints {
        let peer = endpoints.peer;
        let ip = peer.ip().to_canonical().to_string();
        if view.is_server() {
            list.put_text(&table::CLIENT_ADDRESS, Some(&ip));
        }
        list.put(&table::PEER_ADDRESS, ip);
        list.put(&table::PEER_PORT, i64::from(peer.port()));
    }
    if !http.version.is_empty() {
        list.put(&table::NETWORK_VERSION, http.version);
    }
}

/// The method, if it is one: the path may hold anything, so it makes no name.
pub(super) fn name(http: &HttpFacts) -> String {
    let known = KNOWN.into_iter().find(|m| *m == http.method);
    known.unwrap_or("HTTP").to_owned()
}

/// The server's name and port: of the request first, of the socket second; the port that the
/// scheme implies where the request names a host alone.
pub(super) fn server(view: &View<'_>) -> (Option<String>, Option<u16>) {
    let http = &view.call.http;
    if let Some(host) = http.host.as_deref().filter(|h| !h.is_empty()) {
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let port = http.port.unwrap_or(default_port(http.tls));
        return (Some(host.to_owned()), Some(port));
    }
    let Some(endpoints) = view.endpoints else {
        return (None, None);
    };
    let end: SocketAddr = if view.is_server() {
        endpoints.local
    } else {
        endpoints.peer
    };
    let ip = end.ip().to_canonical().to_string();
    (Some(ip), Some(end.port()))
}

fn scheme(view: &View<'_>) -> &'static str {
    if view.call.http.tls { "https" } else { "http" }
}

const fn default_port(tls: bool) -> u16 {
    if tls { 443 } else { 80 }
}

/// Scheme, host, port and path; the port only where the scheme does not imply it.
fn url(scheme: &str, host: &str, port: Option<u16>, path: &str) -> String {
    // RFC 3986, 3.2.2: an IPv6 address stands in brackets.
    let host = if host.contains(':') {
        format!("[{host}]")
    } else {
        host.to_owned()
    };
    match port.filter(|p| *p != default_port(scheme == "https")) {
        Some(port) => format!("{scheme}://{host}:{port}{path}"),
        None => format!("{scheme}://{host}{path}"),
    }
}

/// The methods of RFC 9110 and RFC 5789.
const KNOWN: [&str; 9] = [
    "POST", "GET", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "CONNECT", "TRACE",
];

/// Adds the method; one that is not known could be anything, so it is `_OTHER`.
fn method(method: &str, list: &mut Attributes<'_>) {
    if let Some(known) = KNOWN.into_iter().find(|m| *m == method) {
        list.put(&table::HTTP_METHOD, known);
    } else {
        list.put(&table::HTTP_METHOD, "_OTHER");
        list.put_text(&table::HTTP_METHOD_ORIGINAL, Some(method));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_built_without_implied_ports_and_with_brackets() {
        assert_eq!(url("http", "h", Some(80), "/v1"), "http://h/v1");
        assert_eq!(url("https", "h", Some(443), "/v1"), "https://h/v1");
        assert_eq!(url("http", "h", Some(443), "/v1"), "http://h:443/v1");
        assert_eq!(
            url("http", "::1", Some(11434), "/a"),
            "http://[::1]:11434/a"
        );
        assert_eq!(url("http", "h", None, "/"), "http://h/");
    }
}
