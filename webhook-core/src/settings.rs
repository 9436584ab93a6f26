//! The configuration: what the `ConfigMap` holds and Helm values write.

mod default;

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

pub(crate) use default::{LOG_LEVELS, SAMPLERS};

use crate::decision::endpoint::{self, Endpoint};
use crate::decision::is_line;

/// What is injected where nothing closer says otherwise.
///
/// Read from YAML with the names in camelCase; what is left out has the default that
/// `kaos-webhook default-config` prints.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a key of its own in the YAML"
)]
pub struct Settings {
    /// False leaves every pod alone.
    pub enabled: bool,
    /// Where OTLP goes, a URL; none by default, then only closer levels give one.
    pub endpoint: Option<String>,
    /// How OTLP goes there.
    pub protocol: Protocol,
    /// Whether components that export prompts may be switched on.
    pub agent_content: AgentContent,
    /// Endpoints that are known to drop prompts, answers and tool arguments.
    pub content_stripped: Vec<String>,
    /// `OTEL_TRACES_SAMPLER`, when it is to be injected.
    pub sampler: Option<String>,
    /// `OTEL_TRACES_SAMPLER_ARG`.
    pub sampler_arg: Option<String>,
    /// `OTEL_PROPAGATORS`, names with commas between them; empty injects none.
    pub propagators: String,
    /// `LOG_LEVEL` of KAOS components: TRACE, DEBUG, INFO, WARNING or ERROR.
    pub log_level: Option<String>,
    /// Resource attributes of every component, as they are, not percent-encoded.
    pub resource_attributes: BTreeMap<String, String>,
    /// False leaves `OTEL_RESOURCE_ATTRIBUTES` alone.
    pub compose_resource_attributes: bool,
    /// True injects into init containers with `restartPolicy: Always` too.
    pub native_sidecars: bool,
    /// Containers that are never a component's own.
    pub sidecars: Vec<String>,
    /// Variables never to inject.
    pub never_inject: Vec<String>,
    /// Namespaces to leave alone, whatever their labels.
    pub excluded_namespaces: Vec<String>,
    /// True lets the probe keep prompts and answers where no annotation says otherwise.
    pub capture_content: bool,
}

/// `OTEL_EXPORTER_OTLP_PROTOCOL`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize, Serialize)]
pub enum Protocol {
    /// OTLP over gRPC, by custom on port 4317.
    #[serde(rename = "grpc")]
    Grpc,
    /// OTLP over HTTP, by custom on port 4318.
    #[serde(rename = "http/protobuf")]
    HttpProtobuf,
}

/// What becomes of components whose SDK exports full prompts and answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AgentContent {
    /// Inject only where the endpoint is one of [`Settings::content_stripped`].
    Strip,
    /// Inject, prompts and all.
    Allow,
}

/// Why a configuration is refused; says the line where YAML has one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// Not YAML, an unknown key or a value of the wrong type; the text has line and column.
    #[error("{0}")]
    Yaml(String),
    /// A value that cannot be right.
    #[error("{key}: {what}{}", place(*.line))]
    Value {
        /// The key in the YAML.
        key: &'static str,
        /// What is wrong with its value.
        what: String,
        /// Where the key stands, from 1; none if it has no line of its own.
        line: Option<usize>,
    },
}

impl Settings {
    /// Reads and validates; an empty text gives the defaults.
    pub fn from_yaml(text: &str) -> Result<Self, SettingsError> {
        let settings: Option<Self> = serde_norway::from_str(text)
            .map_err(|error| SettingsError::Yaml(without_values(&error.to_string())))?;
        let settings = settings.unwrap_or_default();
        settings.validate().map_err(|error| match error {
            SettingsError::Value { key, what, .. } => SettingsError::Value {
                key,
                what,
                line: line_of(key, text),
            },
            error @ SettingsError::Yaml(_) => error,
        })?;
        Ok(settings)
    }

    /// The whole configuration as YAML, as [`Settings::from_yaml`] reads it.
    ///
    /// # Panics
    ///
    /// Never: strings, lists and maps of strings are YAML.
    #[must_use]
    pub fn to_yaml(&self) -> String {
        serde_norway::to_string(self).expect("settings are strings, lists and maps of strings")
    }

    /// Refuses values that would be wrong in every pod.
    pub fn validate(&self) -> Result<(), SettingsError> {
        let refuse = |key, what: String| {
            let line = None;
            Err(SettingsError::Value { key, what, line })
        };
        if let Some(endpoint) = &self.endpoint
            && let Err(fault) = Endpoint::parse(endpoint).and_then(|it| it.speaks(self.protocol))
        {
            return refuse("endpoint", fault.to_string());
        }
        for (index, endpoint) in self.content_stripped.iter().enumerate() {
            if let Err(fault) = Endpoint::parse(endpoint) {
                return refuse("contentStripped", format!("entry {index} {fault}"));
            }
            if !endpoint::is_one_place(endpoint) {
                let why = "this host may be another one by the will of some namespace: \
                           write name.namespace.svc, or a dot at the end of a domain";
                return refuse("contentStripped", format!("entry {index}: {why}"));
            }
        }
        if let Some(sampler) = &self.sampler
            && !SAMPLERS.contains(&sampler.as_str())
        {
            return refuse("sampler", "is none that SDKs know".to_owned());
        }
        let not_a_line = || "is empty, or has characters that no variable can hold".to_owned();
        if !self.propagators.is_empty() && !is_line(&self.propagators) {
            return refuse("propagators", not_a_line());
        }
        if { self.sampler_arg.as_ref() }.is_some_and(|it| !is_line(it)) {
            return refuse("samplerArg", not_a_line());
        }
        if let Some(index) = self.never_inject.iter().position(|it| !is_line(it)) {
            return refuse("neverInject", format!("entry {index} {}", not_a_line()));
        }
        if let Some(level) = &self.log_level
            && !LOG_LEVELS.contains(&level.as_str())
        {
            return refuse("logLevel", "is not a level of KAOS".to_owned());
        }
        for name in self.resource_attributes.keys() {
            if name.is_empty() {
                return refuse("resourceAttributes", "a name is empty".to_owned());
            }
        }
        Ok(())
    }

    /// 16 hexadecimal digits that change with the configuration.
    #[must_use]
    pub fn hash(&self) -> String {
        // FNV-1a: the same in each build and on each machine, and nobody attacks it.
        let hash = self
            .to_yaml()
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
            });
        format!("{hash:016x}")
    }

    /// The same of a signal's own endpoint, which has the signal's path where HTTP is spoken.
    pub(crate) fn strips_signal(&self, endpoint: &str) -> bool {
        let bare = ["/v1/traces", "/v1/logs"];
        let bare = { bare }.iter().find_map(|path| endpoint.strip_suffix(path));
        self.strips(endpoint) || bare.is_some_and(|it| self.strips(it))
    }

    /// True if what is sent to `endpoint` is known to lose prompts and answers on its way.
    pub(crate) fn strips(&self, endpoint: &str) -> bool {
        self.content_stripped
            .iter()
            .any(|known| endpoint::same(known, endpoint))
    }
}

/// The line, from 1, that begins with a key: those of settings are at the top.
fn line_of(key: &str, text: &str) -> Option<usize> {
    let begins = |line: &str| {
        let rest = line.trim_start_matches(['"', '\'']).strip_prefix(key);
        rest.is_some_and(|it| it.trim_start_matches(['"', '\'', ' ']).starts_with(':'))
    };
    Some(text.lines().position(begins)? + 1)
}

fn place(line: Option<usize>) -> String {
    line.map_or_else(String::new, |line| format!(" at line {line}"))
}

/// What a parser says, without the value that it quotes: an endpoint may hold a password.
fn without_values(said: &str) -> String {
    let start = ["unknown variant ", "invalid type: ", "invalid value: "]
        .into_iter()
        .filter_map(|it| said.find(it))
        .min();
    match (start, said.rfind(", expected ")) {
        (Some(start), Some(end)) if start < end => {
            format!("{}not so{}", &said[..start], &said[end..])
        }
        _ => said.to_owned(),
    }
}

impl Protocol {
    /// As the variable spells it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Grpc => "grpc",
            Self::HttpProtobuf => "http/protobuf",
        }
    }

    /// The protocol that is spelled so.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Grpc, Self::HttpProtobuf]
            .into_iter()
            .find(|protocol| protocol.as_str() == text)
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_is_read_again() {
        let defaults = Settings::default();
        assert_eq!(
            Settings::from_yaml(&defaults.to_yaml()),
            Ok(defaults.clone())
        );
        assert_eq!(Settings::from_yaml(""), Ok(defaults.clone()));
        assert_eq!(Settings::from_yaml("# nothing\n"), Ok(defaults));
        // As the page says to those whose images bring their own.
        let quiet = Settings::from_yaml("logLevel: null").unwrap();
        assert_eq!(quiet.log_level, None);
    }

    #[test]
    fn an_error_says_the_line_and_the_reason() {
        let said = |text: &str| Settings::from_yaml(text).unwrap_err().to_string();
        let unknown = said("enabled: true\nendpiont: http://c:4317\n");
        assert!(
            unknown.contains("endpiont") && unknown.contains("line 2"),
            "{unknown}"
        );
        let kind = said("protocol: http\n");
        assert!(
            kind.contains("http/protobuf") && kind.contains("line 1"),
            "{kind}"
        );
        assert_eq!(
            said("endpoint: collector:4317"),
            "endpoint: has no http:// or https:// at line 1"
        );
        assert_eq!(
            said("# ours\nprotocol: http/protobuf\n'endpoint' : http://c:4317"),
            "endpoint: is a gRPC port, but the protocol is http/protobuf at line 3"
        );
        assert_eq!(
            said("{endpoint: 'http://c:4317', protocol: http/protobuf}"),
            "endpoint: is a gRPC port, but the protocol is http/protobuf"
        );
        assert!(said("sampler: sometimes").starts_with("sampler: "));
        assert!(said("logLevel: loud").starts_with("logLevel: "));
        assert!(said("contentStripped: [c]").starts_with("contentStripped: "));
        assert!(said("resourceAttributes: {'': a}").starts_with("resourceAttributes: "));
    }

    #[test]
    fn what_no_variable_can_hold_is_refused() {
        let said = |text: &str| Settings::from_yaml(text).unwrap_err().to_string();
        assert!(said(r#"propagators: "b3\0""#).starts_with("propagators: "));
        assert!(said(r#"samplerArg: "0.1\n""#).starts_with("samplerArg: "));
        assert!(said(r#"neverInject: [A, "B\0"]"#).starts_with("neverInject: entry 1 "));
        assert!(Settings::from_yaml("propagators: ''").is_ok());
    }

    #[test]
    fn no_error_says_a_value() {
        for text in [
            "contentStripped: ['https://user:swordfish@c:0']",
            "endpoint: https://user:swordfish@c:0",
            "protocol: https://user:swordfish@c",
            "agentContent: 'x`, expected swordfish'",
            "enabled: swordfish",
            "contentStripped: swordfish",
            "sampler: swordfish",
            "logLevel: swordfish",
            "swordfish",
        ] {
            let error = Settings::from_yaml(text).unwrap_err();
            let said = format!("{error} {error:?}");
            assert!(!said.contains("swordfish"), "{said}");
        }
    }

    #[test]
    fn a_host_that_each_namespace_has_is_not_known() {
        let refused = |text: &str| {
            let yaml = format!("contentStripped: ['https://c.example.com', '{text}']");
            Settings::from_yaml(&yaml).err().map(|it| it.to_string())
        };
        for text in [
            "http://otel-collector:4317",
            "https://u:p.w@collector/a.b",
            // A pod `otel-collector` of a headless Service `telemetry`, in each namespace.
            "http://otel-collector.telemetry:4317",
            "https://vendor.example/a.b.c",
            "http://u:a.b.c@collector.telemetry",
            "http://collector..telemetry",
            "http://10.1:4317",
            // A pod `otlp` of a headless Service `vendor` in a namespace `dev`.
            "http://otlp.vendor.dev",
            "http://collector.telemetry.svcs:4317",
            "http://$(KAOS_TELEMETRY_NODE_IP)x:4317",
        ] {
            let said = refused(text).unwrap();
            assert!(
                said.starts_with("contentStripped: entry 1: this host"),
                "{said}"
            );
        }
        for text in [
            "http://otel-collector.telemetry.svc:4317",
            "http://otel-collector.telemetry.svc.cluster.local:4317",
            "http://otlp.eu.vendor.dev",
            "http://otlp.vendor.dev.",
            "http://10.0.0.1:4317",
            "http://[::1]:4317",
            "http://localhost:4317",
            "https://vendor.example.:4317",
            "https://otlp.vendor.example",
            "http://$(KAOS_TELEMETRY_NODE_IP):4317",
        ] {
            assert_eq!(refused(text), None, "{text}");
        }
    }

    #[test]
    fn the_hash_changes_with_the_settings() {
        let hash = |text| Settings::from_yaml(text).unwrap().hash();
        assert_eq!(hash("sampler: always_on"), hash("{sampler: always_on}"));
        assert_ne!(hash("sampler: always_on"), hash("sampler: always_off"));
        assert_eq!(hash("").len(), 16);
    }
}
