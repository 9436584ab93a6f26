//! The standard `OTEL_*` variables (OpenTelemetry specification, "Environment Variable
//! Specification" and "OpenTelemetry Protocol Exporter").
//!
//! As the specification asks, an empty variable counts as absent, and a number or a choice that
//! cannot be understood is reported and its default used. What would send data elsewhere or
//! unprotected (an endpoint, a certificate) is an error instead.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use thiserror::Error;

use super::keyvalue;

/// Spans leave within a second of their call's end, so the pause between batches is shorter
/// than the specification's 5 s.
const SCHEDULE_DELAY: Duration = Duration::from_millis(500);

/// What every exporter has, with the signal's name or without.
const OF_EXPORTERS: [&str; 9] = [
    "PROTOCOL",
    "ENDPOINT",
    "INSECURE",
    "HEADERS",
    "TIMEOUT",
    "COMPRESSION",
    "CERTIFICATE",
    "CLIENT_CERTIFICATE",
    "CLIENT_KEY",
];
/// The other variables.
const OTHERS: [&str; 10] = [
    "OTEL_SDK_DISABLED",
    "OTEL_TRACES_EXPORTER",
    "OTEL_METRICS_EXPORTER",
    "OTEL_METRIC_EXPORT_INTERVAL",
    "OTEL_RESOURCE_ATTRIBUTES",
    "OTEL_SERVICE_NAME",
    "OTEL_BSP_MAX_QUEUE_SIZE",
    "OTEL_BSP_MAX_EXPORT_BATCH_SIZE",
    "OTEL_BSP_SCHEDULE_DELAY",
    "OTEL_BSP_EXPORT_TIMEOUT",
];

/// Every variable that is read.
pub(crate) fn variables() -> impl Iterator<Item = String> {
    let of_exporters = OF_EXPORTERS.into_iter().flat_map(|what| {
        ["", "TRACES_", "METRICS_"].map(|signal| format!("OTEL_EXPORTER_OTLP_{signal}{what}"))
    });
    of_exporters.chain(OTHERS.map(str::to_owned))
}

/// Whether a variable of this name is read.
pub(crate) fn is_variable(name: &str) -> bool {
    variables().any(|known| known == name)
}

/// What the variables say.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Config {
    /// Where spans go; `None` where nothing is to be exported.
    pub(crate) traces: Option<Signal>,
    /// Where metrics go.
    pub(crate) metrics: Option<Signal>,
    /// How spans are batched.
    pub(crate) batch: Batch,
    /// The pause between two exports of metrics.
    pub(crate) metric_interval: Duration,
    /// Attributes of the probe's own resource (`OTEL_RESOURCE_ATTRIBUTES`, `OTEL_SERVICE_NAME`).
    pub(crate) resource: Vec<(String, String)>,
    /// What was not understood and left at its default, for the log. No values stand in it.
    pub(crate) warnings: Vec<String>,
}

/// Where and how one signal is sent.
#[derive(Clone, PartialEq)]
pub(crate) struct Signal {
    /// gRPC or HTTP.
    pub(crate) protocol: Protocol,
    /// The URL: with its path for HTTP, the origin alone for gRPC.
    pub(crate) endpoint: Uri,
    /// Extra headers; marked sensitive, since keys stand in them.
    pub(crate) headers: HeaderMap,
    /// The most time that one request may take.
    pub(crate) timeout: Duration,
    /// Compress requests with gzip.
    pub(crate) gzip: bool,
    /// Certificates.
    pub(crate) tls: Tls,
}

impl fmt::Debug for Signal {
    /// Leaves out the headers' values and the endpoint's userinfo and query.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signal")
            .field("protocol", &self.protocol)
            .field("endpoint", &self.shown_endpoint())
            .field("headers", &self.headers.keys().collect::<Vec<_>>())
            .field("timeout", &self.timeout)
            .field("gzip", &self.gzip)
            .field("tls", &self.tls)
            .finish()
    }
}

impl Signal {
    /// The endpoint without userinfo and query, for logs.
    pub(crate) fn shown_endpoint(&self) -> String {
        let scheme = self.endpoint.scheme_str().unwrap_or("http");
        let host = self.endpoint.host().unwrap_or("");
        let port = self.endpoint.port_u16();
        let port = port.map(|port| format!(":{port}")).unwrap_or_default();
        format!("{scheme}://{host}{port}{}", self.endpoint.path())
    }
}

/// The protocol of an OTLP exporter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Protocol {
    /// `grpc`
    Grpc,
    /// `http/protobuf`
    HttpProtobuf,
}

/// Certificate files, PEM.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Tls {
    /// What the server's certificate is checked against; `None`: the system's roots.
    pub(crate) certificate: Option<PathBuf>,
    /// Our certificate chain, with its key: both or none.
    pub(crate) client: Option<(PathBuf, PathBuf)>,
}

/// `OTEL_BSP_*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Batch {
    /// The pause between two batches.
    pub(crate) schedule_delay: Duration,
    /// The most time that one batch may take, retries not counted.
    pub(crate) export_timeout: Duration,
    /// The most spans that wait.
    pub(crate) max_queue_size: usize,
    /// The most spans in one batch.
    pub(crate) max_batch_size: usize,
}

/// A variable that cannot be used. The messages name no value: keys may stand in it.
#[derive(Debug, Error, PartialEq, Eq)]
pub(crate) enum ConfigError {
    /// An endpoint is not a URL.
    #[error("{0} is not a URL like http://collector:4317")]
    Endpoint(String),
    /// A header is not `key=value` or not a header.
    #[error("{0} is not a list of key=value headers")]
    Headers(String),
    /// A client certificate without its key, or the other way round.
    #[error("{0} needs both the client certificate and the client key")]
    ClientPair(String),
}

impl Config {
    /// Reads the variables through `lookup`, which is `std::env::var` but in tests.
    pub(crate) fn from_env(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let mut reader = Reader {
            lookup: &lookup,
            warnings: Vec::new(),
        };
        let disabled = reader
            .text("OTEL_SDK_DISABLED")
            .is_some_and(|it| it.eq_ignore_ascii_case("true"));
        let traces = !disabled && reader.exports("OTEL_TRACES_EXPORTER");
        let metrics = !disabled && reader.exports("OTEL_METRICS_EXPORTER");
        Ok(Self {
            traces: traces.then(|| reader.signal("TRACES")).transpose()?,
            metrics: metrics.then(|| reader.signal("METRICS")).transpose()?,
            batch: reader.batch(),
            metric_interval: reader.millis("OTEL_METRIC_EXPORT_INTERVAL", Duration::from_mins(1)),
            resource: reader.resource(),
            warnings: reader.warnings,
        })
    }

    /// A configuration that exports nothing.
    #[cfg(test)]
    pub(crate) fn nothing() -> Self {
        let off = |name: &str| (name == "OTEL_SDK_DISABLED").then(|| "true".to_owned());
        Self::from_env(off).expect("no endpoint is read when the SDK is disabled")
    }
}

struct Reader<'a> {
    lookup: &'a dyn Fn(&str) -> Option<String>,
    warnings: Vec<String>,
}

impl Reader<'_> {
    fn text(&self, name: &str) -> Option<String> {
        let value = (self.lookup)(name)?;
        let value = value.trim();
        (!value.is_empty()).then(|| value.to_owned())
    }

    /// The variable of the signal, else that of all signals, with the name that was used.
    fn of_signal(&self, signal: &str, what: &str) -> Option<(String, String)> {
        let own = format!("OTEL_EXPORTER_OTLP_{signal}_{what}");
        let general = format!("OTEL_EXPORTER_OTLP_{what}");
        let names = [own, general].into_iter();
        let mut found = names.filter_map(|name| Some((self.text(&name)?, name)));
        found.next()
    }

    fn exports(&mut self, name: &str) -> bool {
        let Some(value) = self.text(name) else {
            return true;
        };
        let mut otlp = false;
        for exporter in value.split(',').map(str::trim) {
            match exporter {
                "otlp" => otlp = true,
                // Prometheus is served in any case where the address is configured.
                "none" | "prometheus" => {}
                _ => self.warn(name, "knows otlp and none"),
            }
        }
        otlp
    }

    fn signal(&mut self, signal: &str) -> Result<Signal, ConfigError> {
        let protocol = self.protocol(signal);
        Ok(Signal {
            protocol,
            endpoint: self.endpoint(signal, protocol)?,
            headers: self.headers(signal)?,
            timeout: self.timeout(signal),
            gzip: self.gzip(signal),
            tls: self.tls(signal)?,
        })
    }

    fn protocol(&mut self, signal: &str) -> Protocol {
        match self.of_signal(signal, "PROTOCOL") {
            Some((value, _)) if value == "grpc" => Protocol::Grpc,
            Some((value, name)) if value != "http/protobuf" => {
                self.warn(&name, "knows grpc and http/protobuf");
                Protocol::HttpProtobuf
            }
            _ => Protocol::HttpProtobuf,
        }
    }

    fn endpoint(&self, signal: &str, protocol: Protocol) -> Result<Uri, ConfigError> {
        let own = format!("OTEL_EXPORTER_OTLP_{signal}_ENDPOINT");
        let general = "OTEL_EXPORTER_OTLP_ENDPOINT".to_owned();
        let path = format!("v1/{}", signal.to_ascii_lowercase());
        match protocol {
            Protocol::Grpc => {
                let found = self.of_signal(signal, "ENDPOINT");
                let (value, name) =
                    found.unwrap_or_else(|| ("http://localhost:4317".to_owned(), general));
                let value = if value.contains("://") {
                    value
                } else {
                    let scheme = if self.insecure(signal) {
                        "http"
                    } else {
                        "https"
                    };
                    format!("{scheme}://{value}")
                };
                url(&value, name)
            }
            // The signal's own URL is used as it is, the general one is a base.
            Protocol::HttpProtobuf => {
                if let Some(value) = self.text(&own) {
                    return url(&value, own);
                }
                let base = self.text(&general);
                let base = base.unwrap_or_else(|| "http://localhost:4318".to_owned());
                url(&format!("{}/{path}", base.trim_end_matches('/')), general)
            }
        }
    }

    fn insecure(&self, signal: &str) -> bool {
        let value = self.of_signal(signal, "INSECURE");
        value.is_some_and(|(value, _)| value.eq_ignore_ascii_case("true"))
    }

    fn headers(&self, signal: &str) -> Result<HeaderMap, ConfigError> {
        let mut headers = HeaderMap::new();
        let Some((list, name)) = self.of_signal(signal, "HEADERS") else {
            return Ok(headers);
        };
        let bad = || ConfigError::Headers(name.clone());
        for (key, value) in keyvalue::parse(&list).map_err(|_error| bad())? {
            let key = HeaderName::from_bytes(key.as_bytes()).map_err(|_error| bad())?;
            let mut value = HeaderValue::from_str(&value).map_err(|_error| bad())?;
            value.set_sensitive(true);
            headers.append(key, value);
        }
        Ok(headers)
    }

    fn timeout(&mut self, signal: &str) -> Duration {
        let default = Duration::from_secs(10);
        match self.of_signal(signal, "TIMEOUT") {
            Some((_, name)) => self.millis(&name, default),
            None => default,
        }
    }

    fn gzip(&mut self, signal: &str) -> bool {
        match self.of_signal(signal, "COMPRESSION") {
            Some((value, _)) if value == "gzip" => true,
            Some((value, name)) if value != "none" => {
                self.warn(&name, "knows gzip and none");
                false
            }
            _ => false,
        }
    }

    fn tls(&self, signal: &str) -> Result<Tls, ConfigError> {
        let file = |what| self.of_signal(signal, what).map(|(path, _)| path.into());
        let client = match (file("CLIENT_CERTIFICATE"), file("CLIENT_KEY")) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (None, None) => None,
            _ => {
                return Err(ConfigError::ClientPair(
                    "OTEL_EXPORTER_OTLP_CLIENT_*".to_owned(),
                ));
            }
        };
        Ok(Tls {
            certificate: file("CERTIFICATE"),
            client,
        })
    }

    fn batch(&mut self) -> Batch {
        let max_queue_size = self.count("OTEL_BSP_MAX_QUEUE_SIZE", 2048);
        let max_batch_size = self.count("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 512);
        Batch {
            schedule_delay: self.millis("OTEL_BSP_SCHEDULE_DELAY", SCHEDULE_DELAY),
            export_timeout: self.millis("OTEL_BSP_EXPORT_TIMEOUT", Duration::from_secs(30)),
            max_queue_size,
            max_batch_size: max_batch_size.min(max_queue_size),
        }
    }

    fn resource(&mut self) -> Vec<(String, String)> {
        let list = self.text("OTEL_RESOURCE_ATTRIBUTES").unwrap_or_default();
        let mut attributes = keyvalue::parse(&list).unwrap_or_else(|error| {
            self.warn("OTEL_RESOURCE_ATTRIBUTES", &error.to_string());
            Vec::new()
        });
        if let Some(name) = self.text("OTEL_SERVICE_NAME") {
            attributes.push(("service.name".to_owned(), name));
        }
        attributes
    }

    /// A duration in milliseconds, more than none.
    fn millis(&mut self, name: &str, default: Duration) -> Duration {
        let millis = self.count(
            name,
            usize::try_from(default.as_millis()).unwrap_or(usize::MAX),
        );
        Duration::from_millis(millis as u64)
    }

    /// A positive number.
    fn count(&mut self, name: &str, default: usize) -> usize {
        let Some(value) = self.text(name) else {
            return default;
        };
        match value.parse() {
            Ok(count) if count > 0 => count,
            _ => {
                self.warn(name, "is not a positive number");
                default
            }
        }
    }

    fn warn(&mut self, name: &str, problem: &str) {
        self.warnings
            .push(format!("{name} {problem}; its default is used"));
    }
}

/// Reads a URL.
fn url(text: &str, name: String) -> Result<Uri, ConfigError> {
    let uri = text.parse::<Uri>().ok().filter(|uri| {
        let scheme = matches!(uri.scheme_str(), Some("http" | "https"));
        scheme && uri.host().is_some_and(|host| !host.is_empty())
    });
    uri.ok_or(ConfigError::Endpoint(name))
}

#[cfg(test)]
mod tests;
