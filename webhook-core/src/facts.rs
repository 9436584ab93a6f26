//! What is known of the cluster when a review arrives: an immutable snapshot.

mod component;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use rpds::HashTrieMapSync as Map;

pub use component::{ComponentFacts, Telemetry};

use crate::names;
use crate::settings::Settings;

/// The components of one namespace.
type Components = Map<(Kind, Box<str>), ComponentFacts>;

/// Settings, namespaces and components at one moment.
///
/// Cloning costs three reference counts, and an update copies one path of a trie: the rim may
/// derive a snapshot for each watch event, with ten thousand components too.
#[derive(Debug, Clone)]
pub struct Facts {
    settings: Arc<Settings>,
    settings_known: bool,
    config_hash: Arc<str>,
    namespaces: Map<Box<str>, Arc<NamespaceFacts>>,
    components: Map<Box<str>, Components>,
    /// What holds for namespaces that are not known.
    others: Option<Arc<NamespaceFacts>>,
}

/// What kind of component a pod runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// An agent of KAOS, or of another product.
    Agent,
    /// A server of tools.
    McpServer,
    /// A way to models: `LiteLLM` as a proxy, or Ollama.
    ModelApi,
    /// KAOS's memory service.
    MemoryStore,
    /// A model server that is no KAOS component.
    LlmServer,
}

/// The labels and annotations of a namespace that the webhook cares for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NamespaceFacts {
    opted_in: bool,
    excluded: bool,
    annotations: BTreeMap<&'static str, String>,
}

impl Facts {
    /// Knows no namespace and no component yet.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            config_hash: settings.hash().into(),
            settings: Arc::new(settings),
            settings_known: true,
            namespaces: Map::new_sync(),
            components: Map::new_sync(),
            others: None,
        }
    }

    /// Knows nothing, not even settings: nothing is to be decided by it.
    #[must_use]
    pub fn unknown() -> Self {
        Self {
            settings_known: false,
            ..Self::new(Settings::default())
        }
    }

    /// The same, where nobody can look at namespaces: each one that is not known counts as opted
    /// in, as the API server's own selector saw it.
    #[must_use]
    pub fn trusting_the_selector(&self) -> Self {
        let opted_in = NamespaceFacts::new([(names::INJECT, "enabled")], []);
        Self {
            others: Some(Arc::new(opted_in)),
            ..self.clone()
        }
    }

    /// The same with other settings.
    #[must_use]
    pub fn with_settings(&self, settings: Settings) -> Self {
        Self {
            config_hash: settings.hash().into(),
            settings: Arc::new(settings),
            settings_known: true,
            ..self.clone()
        }
    }

    /// The same with this namespace, new or changed.
    #[must_use]
    pub fn with_namespace(&self, name: &str, facts: NamespaceFacts) -> Self {
        Self {
            namespaces: self.namespaces.insert(name.into(), Arc::new(facts)),
            ..self.clone()
        }
    }

    /// The same without this namespace. Its components go by their own watch: one of a namespace of
    /// the same name may have come already.
    #[must_use]
    pub fn without_namespace(&self, name: &str) -> Self {
        Self {
            namespaces: self.namespaces.remove(name),
            ..self.clone()
        }
    }

    /// The same with this component, new or changed.
    #[must_use]
    pub fn with_component(
        &self,
        kind: Kind,
        namespace: &str,
        name: &str,
        facts: ComponentFacts,
    ) -> Self {
        let there = self.components.get(namespace).cloned();
        let there = there.unwrap_or_else(Map::new_sync);
        let there = there.insert((kind, name.into()), facts);
        Self {
            components: self.components.insert(namespace.into(), there),
            ..self.clone()
        }
    }

    /// The same without this component.
    #[must_use]
    pub fn without_component(&self, kind: Kind, namespace: &str, name: &str) -> Self {
        let Some(there) = self.components.get(namespace) else {
            return self.clone();
        };
        let there = there.remove(&(kind, Box::from(name)));
        Self {
            components: self.components.insert(namespace.into(), there),
            ..self.clone()
        }
    }

    /// The same with exactly these namespaces: for the first list of a watch.
    #[must_use]
    pub fn with_all_namespaces<N: Into<Box<str>>>(
        &self,
        namespaces: impl IntoIterator<Item = (N, NamespaceFacts)>,
    ) -> Self {
        let namespaces = namespaces.into_iter();
        Self {
            namespaces: namespaces
                .map(|(name, facts)| (name.into(), Arc::new(facts)))
                .collect(),
            ..self.clone()
        }
    }

    /// The same with no component of this kind, then those given: for the first list of a watch.
    #[must_use]
    pub fn with_all_components<'a>(
        &self,
        kind: Kind,
        components: impl IntoIterator<Item = (&'a str, &'a str, ComponentFacts)>,
    ) -> Self {
        let mut all: Map<Box<str>, Components> = Map::new_sync();
        for (namespace, there) in &self.components {
            let others = there.iter().filter(|((of, _), _)| *of != kind);
            let others: Map<_, _> = others.map(|(key, it)| (key.clone(), it.clone())).collect();
            all.insert_mut(namespace.clone(), others);
        }
        for (namespace, name, facts) in components {
            if !all.contains_key(namespace) {
                all.insert_mut(namespace.into(), Map::new_sync());
            }
            if let Some(there) = all.get_mut(namespace) {
                there.insert_mut((kind, name.into()), facts);
            }
        }
        Self {
            components: all,
            ..self.clone()
        }
    }

    /// The settings of this snapshot.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// False until settings were read once: those that it has are nobody's wish.
    #[must_use]
    pub fn settings_known(&self) -> bool {
        self.settings_known
    }

    /// [`Settings::hash`] of this snapshot's settings.
    #[must_use]
    pub fn config_hash(&self) -> &str {
        &self.config_hash
    }

    /// What is known of a namespace; none if it was never seen.
    #[must_use]
    pub fn namespace(&self, name: &str) -> Option<&NamespaceFacts> {
        let known = self.namespaces.get(name).or(self.others.as_ref());
        known.map(AsRef::as_ref)
    }

    /// What is known of a component's custom resource; none if there is none.
    #[must_use]
    pub fn component(&self, kind: Kind, namespace: &str, name: &str) -> Option<&ComponentFacts> {
        let there = self.components.get(namespace)?;
        there.get(&(kind, Box::from(name)))
    }
}

impl NamespaceFacts {
    /// Keeps what matters of a namespace's labels and annotations.
    pub fn new<'a>(
        labels: impl IntoIterator<Item = (&'a str, &'a str)>,
        annotations: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Self {
        let known = |key: &str| {
            let mut all = names::ANNOTATIONS.iter();
            all.find(|it| it.of_namespace && it.name == key)
        };
        let kept = annotations
            .into_iter()
            .filter_map(|(key, value)| Some((known(key)?.name, names::cut(value).to_owned())));
        Self {
            opted_in: labels
                .into_iter()
                .any(|label| label == (names::INJECT, "enabled")),
            excluded: false,
            annotations: kept.collect(),
        }
    }

    /// The same of a namespace that API servers never ask about, whatever its labels say.
    #[must_use]
    pub fn excluded(self) -> Self {
        Self {
            opted_in: false,
            excluded: true,
            ..self
        }
    }

    /// True if the namespace has the label that opts it in, and is not excluded.
    #[must_use]
    pub fn opted_in(&self) -> bool {
        self.opted_in
    }

    /// True if API servers never ask about it.
    #[must_use]
    pub fn is_excluded(&self) -> bool {
        self.excluded
    }

    /// The value of one of [`crate::names::ANNOTATIONS`].
    #[must_use]
    pub fn annotation(&self, name: &str) -> Option<&str> {
        self.annotations.get(name).map(String::as_str)
    }
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 5] = [
        Self::Agent,
        Self::McpServer,
        Self::ModelApi,
        Self::MemoryStore,
        Self::LlmServer,
    ];

    /// As labels spell it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::McpServer => "mcpserver",
            Self::ModelApi => "modelapi",
            Self::MemoryStore => "memorystore",
            Self::LlmServer => "llm-server",
        }
    }

    /// The container that the KAOS operator makes for a component; none for other products.
    #[must_use]
    pub const fn kaos_container(self) -> Option<&'static str> {
        Some(match self {
            Self::Agent => "agent",
            Self::McpServer => "mcp-server",
            Self::ModelApi => "model-api",
            Self::MemoryStore => "memory",
            Self::LlmServer => return None,
        })
    }

    /// The name that the KAOS operator gives to the service of the resource `name`.
    #[must_use]
    pub fn kaos_service(self, name: &str) -> String {
        match self {
            Self::MemoryStore => format!("memorystore-{name}"),
            _ => name.to_owned(),
        }
    }

    /// The kind that labels spell so.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn component(endpoint: &str) -> ComponentFacts {
        let telemetry = json!({"enabled": true, "endpoint": endpoint});
        ComponentFacts::from_spec(Kind::ModelApi, &json!({"telemetry": telemetry}))
    }

    #[test]
    fn a_snapshot_does_not_change_with_the_next() {
        let empty = Facts::new(Settings::default());
        let one = empty.with_component(Kind::Agent, "a", "x", component("http://1"));
        let two = one.with_component(Kind::Agent, "a", "x", component("http://2"));
        assert_eq!(empty.component(Kind::Agent, "a", "x"), None);
        assert_eq!(
            one.component(Kind::Agent, "a", "x"),
            Some(&component("http://1"))
        );
        assert_eq!(
            two.component(Kind::Agent, "a", "x"),
            Some(&component("http://2"))
        );
        assert_eq!(two.component(Kind::McpServer, "a", "x"), None);
        let none = two.without_component(Kind::Agent, "a", "x");
        assert_eq!(none.component(Kind::Agent, "a", "x"), None);
        let gone = two
            .with_namespace("a", NamespaceFacts::default())
            .without_namespace("a");
        assert_eq!(gone.namespace("a"), None);
        // What a namespace of the same name has brought already is known on.
        let kept = gone.component(Kind::Agent, "a", "x");
        assert_eq!(kept, Some(&component("http://2")));
    }

    #[test]
    fn a_list_replaces_all_of_its_kind_and_nothing_else() {
        let facts = Facts::new(Settings::default())
            .with_component(Kind::Agent, "a", "old", component(""))
            .with_component(Kind::ModelApi, "a", "stays", component(""))
            .with_all_components(Kind::Agent, [("b", "new", component(""))]);
        assert_eq!(facts.component(Kind::Agent, "a", "old"), None);
        assert!(facts.component(Kind::ModelApi, "a", "stays").is_some());
        assert!(facts.component(Kind::Agent, "b", "new").is_some());
    }

    #[test]
    fn no_more_is_kept_than_tells_that_it_is_too_long() {
        let long = "é".repeat(1 << 20);
        let facts = NamespaceFacts::new([], [(names::ENDPOINT, long.as_str())]);
        let kept = facts.annotation(names::ENDPOINT).unwrap();
        assert!(!names::fits(kept) && kept.len() < 5000);
        let telemetry = component(&long).telemetry.unwrap();
        assert!(telemetry.endpoint.unwrap().len() < 5000);
    }

    #[test]
    fn only_what_matters_of_a_namespace_is_kept() {
        let annotations = [
            ("telemetry.kaos.tools/endpoint", "http://c"),
            ("telemetry.kaos.tools/containers", "of pods only"),
            ("secret", "x"),
        ];
        let facts = NamespaceFacts::new([(names::INJECT, "enabled")], annotations);
        assert!(facts.opted_in());
        assert_eq!(facts.annotations.len(), 1);
        assert!(!NamespaceFacts::new([(names::INJECT, "disabled")], []).opted_in());
    }
}
