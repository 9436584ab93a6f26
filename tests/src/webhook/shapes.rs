//! Pods as the KAOS operator makes them, with its telemetry off, and as others make them.

use serde_json::{Value, json};

/// A kind of pod that the webhook knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A KAOS agent.
    Agent,
    /// A KAOS MCP server.
    McpServer,
    /// A KAOS model API that is `LiteLLM`.
    Proxy,
    /// A KAOS model API that is Ollama: its container has no `env` at all.
    Hosted,
    /// A KAOS memory store.
    MemoryStore,
    /// A model server that is no KAOS component, labelled by its user.
    LlmServer,
    /// An agent of another product, labelled by its user.
    ForeignAgent,
}

impl Shape {
    /// All kinds.
    pub const ALL: [Self; 7] = [
        Self::Agent,
        Self::McpServer,
        Self::Proxy,
        Self::Hosted,
        Self::MemoryStore,
        Self::LlmServer,
        Self::ForeignAgent,
    ];

    /// What the pod and its component are called.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::McpServer => "mcpserver",
            Self::Proxy => "modelapi-proxy",
            Self::Hosted => "modelapi-hosted",
            Self::MemoryStore => "memorystore",
            Self::LlmServer => "llm-server",
            Self::ForeignAgent => "foreign-agent",
        }
    }

    /// What docs/environment.md calls it; none for what has no variables.
    #[must_use]
    pub const fn documented(self) -> Option<&'static str> {
        match self {
            Self::Agent | Self::ForeignAgent => Some("agent"),
            Self::McpServer => Some("mcpserver"),
            Self::Proxy => Some("modelapi (proxy)"),
            Self::MemoryStore => Some("memorystore"),
            Self::Hosted | Self::LlmServer => None,
        }
    }

    /// The name of the component's own container.
    #[must_use]
    pub const fn container(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::McpServer => "mcp-server",
            Self::Proxy | Self::Hosted => "model-api",
            Self::MemoryStore => "memory",
            Self::LlmServer | Self::ForeignAgent => "main",
        }
    }

    /// A pod by that name. `component` is the custom resource's name.
    #[must_use]
    pub fn pod(self, pod: &str, component: &str) -> Value {
        let mut labels = self.labels(component);
        labels["tier"] = "e2e".into();
        let mut metadata = json!({"name": pod, "labels": labels});
        if !matches!(self, Self::LlmServer | Self::ForeignAgent) {
            metadata["annotations"] = json!({"kaos.tools/pod-spec-hash": "0123456789abcdef"});
        }
        json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": metadata,
            "spec": {"containers": [self.main_container()]},
        })
    }

    fn labels(self, component: &str) -> Value {
        match self {
            Self::Agent => json!({"app": "agent", "agent": component}),
            Self::McpServer => json!({"app": "mcpserver", "mcpserver": component}),
            Self::Proxy | Self::Hosted => json!({"app": "modelapi", "modelapi": component}),
            Self::MemoryStore => json!({"app": "memorystore", "memorystore": component}),
            Self::LlmServer => json!({"telemetry.kaos.tools/component": "llm-server"}),
            Self::ForeignAgent => json!({"telemetry.kaos.tools/component": "agent"}),
        }
    }

    fn main_container(self) -> Value {
        let port = match self {
            Self::Hosted => 11434,
            Self::MemoryStore => 8080,
            _ => 8000,
        };
        let mut container = json!({
            "name": self.container(),
            "image": format!("registry.invalid/{}:1", self.name()),
            "ports": [{"name": "http", "containerPort": port}],
        });
        let env = match self {
            Self::Agent => json!([
                {"name": "AGENT_NAME", "value": "a"},
                {"name": "MODEL_API_URL", "value": "http://modelapi-m:8000"},
                {"name": "MCP_SERVER_echo-mcp_URL", "value": "http://mcpserver-echo-mcp:8000"},
            ]),
            Self::McpServer => json!([
                {"name": "MCP_TOOLS_STRING", "value": "def echo(text): return text"},
            ]),
            Self::Proxy => json!([
                {"name": "PROXY_API_KEY", "valueFrom": {"secretKeyRef": {"name": "k", "key": "k"}}},
                {"name": "LITELLM_LOG", "value": "INFO"},
            ]),
            Self::MemoryStore => json!([{"name": "KAOS_MEMORY_STORAGE_TYPE", "value": "sqlite"}]),
            Self::ForeignAgent => json!([{"name": "MODE", "value": "serve"}]),
            Self::Hosted | Self::LlmServer => Value::Null,
        };
        if !env.is_null() {
            container["env"] = env;
        }
        match self {
            Self::Proxy => {
                container["args"] =
                    json!(["--config", "/etc/litellm/config.yaml", "--port", "8000"]);
            }
            Self::Hosted => {
                container["command"] = json!(["ollama"]);
                container["args"] = json!(["serve"]);
            }
            _ => {}
        }
        container
    }
}

/// The variables of a pod's container; an empty list if it has none.
#[must_use]
pub fn env<'a>(pod: &'a Value, container: &str) -> &'a [Value] {
    let containers = pod["spec"]["containers"].as_array();
    let found = containers
        .into_iter()
        .flatten()
        .find(|it| it["name"] == container);
    found
        .and_then(|it| it["env"].as_array())
        .map(Vec::as_slice)
        .unwrap_or_default()
}
