//! The objects that make API servers call the webhook, and the rights that it needs.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};

use crate::reconcile::TICKET;
use crate::serve::{PATH, TIMEOUT_SECONDS};
use webhook_core::names;

/// The webhook's own namespace if nobody says so.
pub const HOME: &str = "kaos-telemetry";

/// The name of all objects.
pub const NAME: &str = "kaos-webhook";

/// Where health and metrics are.
const ADMIN_PORT: u16 = 8081;

/// What differs between installations.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where the webhook runs.
    pub namespace: String,
    /// How it is called.
    pub target: Target,
    /// Whom to trust, in PEM; the webhook writes it where none is given.
    pub ca: Option<Vec<u8>>,
    /// Whether it may restart rollouts.
    pub restart: bool,
    /// Where API servers call from, as CIDRs; where any is given a policy keeps all others out.
    pub sources: Vec<String>,
}

/// How API servers call.
#[derive(Clone, Debug)]
pub enum Target {
    /// By a Service in front of pods.
    Service {
        /// Of the pods; API servers that sit outside of the cluster's network need it open.
        port: u16,
    },
    /// By a URL without a path.
    Url(String),
}

/// All objects, in the order in which to create them.
#[must_use]
pub fn all(options: &Options) -> Vec<Value> {
    let mut all = vec![account(options)];
    all.extend(cluster_rights(options));
    all.extend(local_rights(options));
    if let Target::Service { port } = options.target {
        all.push(service(options, port));
        if !options.sources.is_empty() {
            all.push(policy(options, port));
        }
    }
    all.push(configuration(options));
    all
}

fn account(options: &Options) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": NAME, "namespace": options.namespace},
    })
}

fn service(options: &Options, port: u16) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": NAME, "namespace": options.namespace},
        "spec": {
            "selector": {"app.kubernetes.io/name": NAME},
            "ports": [{"name": "https", "port": 443, "targetPort": port, "appProtocol": "https"}],
        },
    })
}

/// Only API servers reach the port of reviews; kubelets and scrapers reach the other one.
fn policy(options: &Options, port: u16) -> Value {
    let sources = options.sources.iter();
    let sources: Vec<_> = sources.map(|it| json!({"ipBlock": {"cidr": it}})).collect();
    let tcp = |port: u16| json!([{"protocol": "TCP", "port": port}]);
    json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": NAME, "namespace": options.namespace},
        "spec": {
            "podSelector": {"matchLabels": {"app.kubernetes.io/name": NAME}},
            "policyTypes": ["Ingress"],
            "ingress": [{"from": sources, "ports": tcp(port)}, {"ports": tcp(ADMIN_PORT)}],
        },
    })
}

/// What it reads everywhere, and the one configuration that it writes.
fn cluster_rights(options: &Options) -> [Value; 2] {
    let mut rules = vec![
        rule("", &["namespaces"], &["list", "watch"]),
        rule(
            "kaos.tools",
            &["agents", "mcpservers", "modelapis", "memorystores"],
            &["list", "watch"],
        ),
        named(rule(
            "admissionregistration.k8s.io",
            &["mutatingwebhookconfigurations"],
            &["get", "list", "watch", "patch"],
        )),
        // The reconciler: which pods were missed, and whom to tell.
        rule("", &["pods"], &["get", "list", "watch"]),
        rule("", &["events"], &["create", "patch"]),
    ];
    let mut workloads = rule(
        "apps",
        &["deployments", "statefulsets", "daemonsets"],
        &["get"],
    );
    if options.restart {
        workloads["verbs"] = json!(["get", "patch"]);
    }
    rules.push(workloads);
    [
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRole",
            "metadata": {"name": NAME},
            "rules": rules,
        }),
        binding("ClusterRole", &json!({"name": NAME}), options),
    ]
}

/// What it keeps in its own namespace. Rights to create know no names.
fn local_rights(options: &Options) -> [Value; 2] {
    let mut secret = rule("", &["secrets"], &["get", "list", "watch", "patch"]);
    secret["resourceNames"] = json!([format!("{NAME}-tls")]);
    let mut rules = vec![
        secret,
        rule("", &["secrets"], &["create"]),
        named(rule("", &["configmaps"], &["get", "list", "watch"])),
    ];
    if options.restart {
        let mut ticket = rule("coordination.k8s.io", &["leases"], &["get", "update"]);
        ticket["resourceNames"] = json!([TICKET]);
        rules.extend([
            ticket,
            rule("coordination.k8s.io", &["leases"], &["create"]),
        ]);
    }
    let metadata = json!({"name": NAME, "namespace": options.namespace});
    [
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "Role",
            "metadata": metadata,
            "rules": rules,
        }),
        binding("Role", &metadata, options),
    ]
}

fn rule(group: &str, resources: &[&str], verbs: &[&str]) -> Value {
    json!({"apiGroups": [group], "resources": resources, "verbs": verbs})
}

fn named(mut rule: Value) -> Value {
    rule["resourceNames"] = json!([NAME]);
    rule
}

fn binding(kind: &str, metadata: &Value, options: &Options) -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": format!("{kind}Binding"),
        "metadata": metadata,
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": NAME},
        "subjects": [{"kind": "ServiceAccount", "name": NAME, "namespace": options.namespace}],
    })
}

/// The one webhook: each one more is a call more for each pod.
fn configuration(options: &Options) -> Value {
    let mut client = match &options.target {
        Target::Url(url) => json!({"url": format!("{}{PATH}", url.trim_end_matches('/'))}),
        Target::Service { .. } => json!({
            "service": {"name": NAME, "namespace": options.namespace, "path": PATH, "port": 443},
        }),
    };
    if let Some(ca) = &options.ca {
        client["caBundle"] = BASE64.encode(ca).into();
    }
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": NAME},
        "webhooks": [{
            "name": "pods.telemetry.kaos.tools",
            "admissionReviewVersions": ["v1"],
            "clientConfig": client,
            "failurePolicy": "Ignore",
            "matchPolicy": "Equivalent",
            "reinvocationPolicy": "IfNeeded",
            "sideEffects": "None",
            "timeoutSeconds": TIMEOUT_SECONDS,
            "rules": [{
                "apiGroups": [""],
                "apiVersions": ["v1"],
                "operations": ["CREATE"],
                "resources": ["pods"],
                "scope": "Namespaced",
            }],
            "namespaceSelector": namespaces(options),
            "matchConditions": conditions(),
        }],
    })
}

/// Namespaces that no cluster runs without.
const SYSTEM: [&str; 3] = ["kube-system", "kube-public", "kube-node-lease"];
/// Marks namespaces of the control plane's own.
const CONTROL_PLANE: &str = "control-plane";
/// Marks namespaces that AKS runs, by the value `aks`.
const MANAGED_BY: &str = "kubernetes.azure.com/managedby";

/// Whether the configuration excludes a namespace, opted in or not. `home` is the webhook's own.
#[must_use]
pub fn excludes(name: &str, labels: &BTreeMap<String, String>, home: &str) -> bool {
    SYSTEM.contains(&name)
        || name == home
        || labels.contains_key(CONTROL_PLANE)
        || labels.get(MANAGED_BY).is_some_and(|by| by == "aks")
}

/// Those that are opted in. The last two are what AKS adds where they lack, against whoever
/// writes the configuration again without them.
fn namespaces(options: &Options) -> Value {
    let mut never = SYSTEM.to_vec();
    never.push(&options.namespace);
    json!({
        "matchExpressions": [
            {"key": names::INJECT, "operator": "In", "values": ["enabled"]},
            {"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": never},
            {"key": CONTROL_PLANE, "operator": "DoesNotExist"},
            {"key": MANAGED_BY, "operator": "NotIn", "values": ["aks"]},
        ],
    })
}

/// Components by either form of label, without those that a kubelet runs from files.
/// A condition that fails counts as the webhook's failure, so each key is asked for first.
fn conditions() -> Value {
    let component = names::COMPONENT;
    let labels = "object.metadata.labels";
    json!([
        {
            "name": "component",
            "expression": format!(
                "has({labels}) && ('{component}' in {labels} || ('app' in {labels} && \
                {labels}['app'] in ['agent', 'mcpserver', 'modelapi', 'memorystore'] && \
                {labels}['app'] in {labels}))",
            ),
        },
        {
            "name": "not-a-mirror-pod",
            "expression": format!(
                "!has(object.metadata.annotations) || !('{}' in object.metadata.annotations)",
                names::MIRROR,
            ),
        },
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(target: Target) -> Options {
        Options {
            namespace: "kaos-telemetry".to_owned(),
            target,
            ca: None,
            restart: false,
            sources: Vec::new(),
        }
    }

    #[test]
    fn a_policy_keeps_the_port_to_the_sources_that_are_given() {
        let mut options = options(Target::Service { port: 9443 });
        let policy = |options: &Options| {
            let mut all = all(options).into_iter();
            all.find(|it| it["kind"] == "NetworkPolicy")
        };
        assert_eq!(policy(&options), None);
        options.sources = vec!["10.0.0.0/28".to_owned()];
        let policy = policy(&options).unwrap();
        let rules = policy["spec"]["ingress"].as_array().unwrap();
        assert_eq!(
            rules[0]["from"],
            json!([{"ipBlock": {"cidr": "10.0.0.0/28"}}])
        );
        assert_eq!(rules[0]["ports"][0]["port"], 9443);
        assert!(rules[1]["from"].is_null());
        assert_eq!(rules[1]["ports"][0]["port"], 8081);
    }

    fn webhook(options: &Options) -> Value {
        let all = all(options);
        let configuration = all.last().unwrap();
        assert_eq!(configuration["kind"], "MutatingWebhookConfiguration");
        assert_eq!(configuration["webhooks"].as_array().unwrap().len(), 1);
        configuration["webhooks"][0].clone()
    }

    #[test]
    fn the_webhook_never_blocks_and_never_selects_its_own_namespace() {
        let webhook = webhook(&options(Target::Service { port: 8443 }));
        assert_eq!(webhook["failurePolicy"], "Ignore");
        assert_eq!(webhook["timeoutSeconds"], 2);
        let selector = webhook["namespaceSelector"].to_string();
        assert!(selector.contains("\"kaos-telemetry\""), "{selector}");
        assert_eq!(webhook["clientConfig"]["service"]["path"], "/mutate");
        assert!(webhook["clientConfig"]["caBundle"].is_null());
    }

    #[test]
    fn a_url_has_the_path_once() {
        for url in ["https://[::1]:8443", "https://[::1]:8443/"] {
            let webhook = webhook(&options(Target::Url(url.to_owned())));
            assert_eq!(webhook["clientConfig"]["url"], "https://[::1]:8443/mutate");
        }
    }

    #[test]
    fn rights_to_write_are_named_or_only_to_create() {
        let all = all(&options(Target::Service { port: 8443 }));
        let rules = all
            .iter()
            .flat_map(|it| it["rules"].as_array().cloned().unwrap_or_default());
        for rule in rules {
            let writes = ["patch", "update", "delete", "*"];
            let verbs = rule["verbs"].as_array().unwrap();
            let events = rule["resources"] == json!(["events"]);
            if verbs
                .iter()
                .any(|verb| writes.contains(&verb.as_str().unwrap()))
                && !events
            {
                assert!(rule["resourceNames"].is_array(), "{rule}");
            }
        }
    }
}
