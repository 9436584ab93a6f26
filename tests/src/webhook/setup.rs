//! The objects through which the API server finds the webhook.

use anyhow::Result;
use serde_json::{Value, json};

use super::cluster::Cluster;

/// The webhook's own namespace.
pub const HOME: &str = "kaos-telemetry";
/// The name of its Service and of its configuration.
pub const NAME: &str = "kaos-webhook";
/// What the API server waits for an answer, in seconds.
pub const TIMEOUT: u64 = 3;

/// Where the API server calls.
#[derive(Clone, Copy, Debug)]
pub enum Route<'a> {
    /// Straight to a URL.
    Url(&'a str),
    /// To the endpoints of the webhook's Service.
    Service,
}

/// Registers the webhook, as the chart does. With an empty bundle it is left to the webhook.
pub async fn register(cluster: &Cluster, route: Route<'_>, ca_bundle: Option<&str>) -> Result<()> {
    let mut client = match route {
        Route::Url(url) => json!({"url": url}),
        Route::Service => json!({
            "service": {"name": NAME, "namespace": HOME, "path": "/mutate", "port": 443},
        }),
    };
    if let Some(bundle) = ca_bundle {
        client["caBundle"] = openssl::base64::encode_block(bundle.as_bytes()).into();
    }
    // Deleted first: server-side apply would leave the other kind of route, or an old bundle.
    unregister(cluster).await?;
    cluster
        .apply(CONFIGURATION, &configuration(&client))
        .await?;
    Ok(())
}

/// Takes the webhook out of the API server's sight.
pub async fn unregister(cluster: &Cluster) -> Result<()> {
    cluster.delete(CONFIGURATION).await
}

/// The Service, with the ports of those replicas that are to get requests.
pub async fn endpoints(cluster: &Cluster, ports: &[u16]) -> Result<()> {
    let base = format!("/api/v1/namespaces/{HOME}/services/{NAME}");
    let service = json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": NAME, "namespace": HOME},
        "spec": {"ports": [{"name": "https", "port": 443, "protocol": "TCP"}]},
    });
    cluster.apply(&base, &service).await?;
    let slices = format!("/apis/discovery.k8s.io/v1/namespaces/{HOME}/endpointslices");
    // Replicas on one address differ by port, and a slice has one port for all its addresses.
    for number in 0..2 {
        let name = format!("{NAME}-{number}");
        let path = format!("{slices}/{name}");
        let Some(port) = ports.get(number) else {
            cluster.delete(&path).await?;
            continue;
        };
        let slice = json!({
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "name": name,
                "namespace": HOME,
                "labels": {"kubernetes.io/service-name": NAME},
            },
            "addressType": "IPv4",
            "ports": [{"name": "https", "port": port, "protocol": "TCP"}],
            "endpoints": [{"addresses": [cluster.address()], "conditions": {"ready": true}}],
        });
        cluster.apply(&path, &slice).await?;
    }
    Ok(())
}

const CONFIGURATION: &str =
    "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/kaos-webhook";

fn configuration(client: &Value) -> Value {
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": NAME},
        "webhooks": [{
            "name": "pods.telemetry.kaos.tools",
            "admissionReviewVersions": ["v1"],
            "sideEffects": "None",
            "failurePolicy": "Ignore",
            "reinvocationPolicy": "IfNeeded",
            "timeoutSeconds": TIMEOUT,
            "clientConfig": client,
            "rules": [{
                "operations": ["CREATE"],
                "apiGroups": [""],
                "apiVersions": ["v1"],
                "resources": ["pods"],
                "scope": "Namespaced",
            }],
            "namespaceSelector": {
                "matchLabels": {"telemetry.kaos.tools/inject": "enabled"},
                "matchExpressions": [{
                    "key": "kubernetes.io/metadata.name",
                    "operator": "NotIn",
                    "values": ["kube-system", "kube-node-lease", "kube-public", HOME],
                }],
            },
            "matchConditions": [{"name": "component", "expression": COMPONENT}],
        }],
    })
}

/// One of the two forms of labels. Selectors have no "or".
const COMPONENT: &str = "has(object.metadata.labels) && (\
    (\"app\" in object.metadata.labels && object.metadata.labels[\"app\"] in \
    [\"agent\", \"mcpserver\", \"modelapi\", \"memorystore\"] && \
    object.metadata.labels[\"app\"] in object.metadata.labels) || \
    \"telemetry.kaos.tools/component\" in object.metadata.labels)";
