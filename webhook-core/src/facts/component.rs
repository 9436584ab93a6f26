//! What a component's custom resource says.

use serde_json::Value;

use super::Kind;
use crate::names;

/// What a component's custom resource says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ComponentFacts {
    /// Its `telemetry` block; none if it has none.
    pub telemetry: Option<Telemetry>,
    /// True if it brings its own `LiteLLM` configuration (`ModelAPI` only).
    pub own_config: bool,
    /// True if that has the callback that makes spans.
    pub own_callback: bool,
}

/// A `telemetry` block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Telemetry {
    /// Absent counts as false, as KAOS has it.
    pub enabled: bool,
    /// Where OTLP goes, by gRPC. None if absent or empty.
    pub endpoint: Option<Box<str>>,
}

impl ComponentFacts {
    /// Reads a KAOS custom resource's `spec`.
    #[must_use]
    pub fn from_spec(kind: Kind, spec: &Value) -> Self {
        let block = match kind {
            Kind::Agent => &spec["config"]["telemetry"],
            _ => &spec["telemetry"],
        };
        let telemetry = block.as_object().map(|block| Telemetry {
            enabled: block.get("enabled").and_then(Value::as_bool) == Some(true),
            endpoint: block
                .get("endpoint")
                .and_then(Value::as_str)
                .filter(|endpoint| !endpoint.is_empty())
                .map(|endpoint| Box::from(names::cut(endpoint))),
        });
        let config = &spec["proxyConfig"]["configYaml"];
        Self {
            telemetry,
            own_config: !config.is_null(),
            own_callback: config["fromString"].as_str().is_some_and(has_callback),
        }
    }
}

/// Whether a configuration of `LiteLLM` names its callback for OpenTelemetry.
fn has_callback(config: &str) -> bool {
    let Ok(config) = serde_norway::from_str::<Value>(config) else {
        return false;
    };
    let names_it = |list: &Value| match list {
        Value::Array(names) => names.iter().any(|it| it == "otel"),
        name => name == "otel",
    };
    let settings = &config["litellm_settings"];
    names_it(&settings["callbacks"]) || names_it(&settings["success_callback"])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn blocks_are_read_as_kaos_reads_them() {
        let of = |kind, spec| ComponentFacts::from_spec(kind, &spec).telemetry;
        assert_eq!(
            of(Kind::Agent, json!({"telemetry": {"enabled": true}})),
            None
        );
        let block = json!({"endpoint": "http://c:4317"});
        let off = of(Kind::Agent, json!({"config": {"telemetry": block}})).unwrap();
        assert!(!off.enabled, "a block without enabled is off");
        let on = of(
            Kind::McpServer,
            json!({"telemetry": {"enabled": true, "endpoint": ""}}),
        );
        let (enabled, endpoint) = (true, None);
        assert_eq!(on, Some(Telemetry { enabled, endpoint }));
        assert_eq!(of(Kind::McpServer, json!(null)), None);
    }

    #[test]
    fn a_callback_of_the_users_own_configuration_is_seen() {
        let of = |config: Value| {
            let spec = json!({"proxyConfig": {"configYaml": config}});
            let facts = ComponentFacts::from_spec(Kind::ModelApi, &spec);
            (facts.own_config, facts.own_callback)
        };
        let text = |text: &str| of(json!({"fromString": text}));
        assert_eq!(of(Value::Null), (false, false));
        assert_eq!(of(json!({"fromSecretKeyRef": {}})), (true, false));
        for with in [
            "litellm_settings:\n  callbacks: [prometheus, otel]\n",
            "litellm_settings: {success_callback: [otel]}",
            "litellm_settings: {callbacks: otel}",
        ] {
            assert_eq!(text(with), (true, true), "{with}");
        }
        for without in ["", "a: [", "litellm_settings: {callbacks: [hotel]}", "otel"] {
            assert_eq!(text(without), (true, false), "{without}");
        }
    }
}
