//! KAOS's custom resources: what their telemetry blocks say.

use std::sync::Arc;

use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{Config, watcher};
use kube::{Client, ResourceExt as _};

use super::{Change, Patience, Shared, follow};
use crate::metrics::Metrics;
use webhook_core::{ComponentFacts, Kind};

/// A kind of KAOS component, as its CRD calls it.
#[derive(Clone, Copy, Debug)]
pub struct Resource {
    kind: Kind,
    name: &'static str,
    plural: &'static str,
}

/// All that have a `telemetry` block.
pub const RESOURCES: [Resource; 4] = [
    resource(Kind::Agent, "Agent", "agents"),
    resource(Kind::McpServer, "MCPServer", "mcpservers"),
    resource(Kind::ModelApi, "ModelAPI", "modelapis"),
    resource(Kind::MemoryStore, "MemoryStore", "memorystores"),
];

const fn resource(kind: Kind, name: &'static str, plural: &'static str) -> Resource {
    Resource { kind, name, plural }
}

/// Objects in one page of a list. Agents carry instructions and can be long.
const PAGE: u32 = 100;

/// One component: namespace, name and what matters of it.
pub(super) type Component = (String, String, ComponentFacts);

/// Follows all components of one kind forever. CRDs may be absent, come later and go.
pub async fn run(client: Client, resource: Resource, facts: Shared, metrics: Arc<Metrics>) {
    let Resource { kind, name, plural } = resource;
    let described = GroupVersionKind::gvk("kaos.tools", "v1alpha1", name);
    let described = ApiResource::from_gvk_with_plural(&described, plural);
    let api = Api::<DynamicObject>::all_with(client, &described);
    let config = Config::default().page_size(PAGE);
    let events = watcher(api, config).backoff(Patience::default());
    let trim = |object| trim(kind, &object);
    follow(events, plural, &metrics, trim, |change| {
        apply(&facts, kind, change);
    })
    .await;
}

fn trim(kind: Kind, object: &DynamicObject) -> Component {
    let namespace = object.namespace().unwrap_or_default();
    let facts = ComponentFacts::from_spec(kind, &object.data["spec"]);
    (namespace, object.name_any(), facts)
}

pub(super) fn apply(facts: &Shared, kind: Kind, change: Change<Component>) {
    let put = |all: &[Component]| {
        let all = all
            .iter()
            .map(|(namespace, name, it)| (namespace.as_str(), name.as_str(), it.clone()));
        let all: Vec<_> = all.collect();
        facts.rcu(|facts| facts.with_all_components(kind, all.iter().cloned()));
    };
    match change {
        Change::All(all) => put(&all),
        Change::One((namespace, name, it)) => {
            facts.rcu(|facts| facts.with_component(kind, &namespace, &name, it.clone()));
        }
        Change::Gone((namespace, name, _)) => {
            facts.rcu(|facts| facts.without_component(kind, &namespace, &name));
        }
        Change::NoSuchResource => put(&[]),
    }
}
