//! The objects through which the API server finds the webhook, as the product writes them.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use serde::Deserialize as _;
use serde_json::{Value, json};

use super::World;
use super::cluster::Cluster;

/// The webhook's own namespace.
pub const HOME: &str = "kaos-telemetry";
/// The name of all its objects.
pub const NAME: &str = "kaos-webhook";
/// The endpoint of the tests' settings. It is known to drop prompts, and each row of the table
/// of variables is needed for it.
pub const STRIPPED: &str = "http://$(KAOS_TELEMETRY_NODE_IP):4317";
/// The sampler of the tests' settings.
pub const SAMPLER: &str = "parentbased_traceidratio";
/// Its argument.
pub const SAMPLER_ARG: &str = "0.5";

/// Where the API server calls.
#[derive(Clone, Copy, Debug)]
pub enum Route<'a> {
    /// Straight to a URL without a path.
    Url(&'a str),
    /// To the endpoints of the webhook's Service.
    Service,
}

/// Settings in which each row of the table of variables has a value.
#[must_use]
pub fn settings() -> Value {
    json!({
        "endpoint": STRIPPED,
        "contentStripped": [STRIPPED],
        "sampler": SAMPLER,
        "samplerArg": SAMPLER_ARG,
    })
}

/// Registers the webhook by its own manifest. Without a bundle that is left to the webhook.
///
/// Gives how long the API server will wait for it, in seconds.
pub async fn register(world: &World, route: Route<'_>, ca: Option<&str>) -> Result<u64> {
    // Deleted first: what another registration wrote shall not stay beside this one.
    unregister(world).await?;
    let mut timeout = 0;
    for object in manifest(world, route, ca)? {
        let seconds = &object["webhooks"][0]["timeoutSeconds"];
        timeout = seconds.as_u64().unwrap_or(timeout);
        world.cluster.apply(&path(&object)?, &object).await?;
    }
    Ok(timeout)
}

/// Takes the webhook out of the API server's sight.
///
/// It goes on by the old registration for a moment; whoever then waits for a new one to be taken
/// up must not take the old one for it, and meet the gap between them.
pub async fn unregister(world: &World) -> Result<()> {
    let name = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations";
    world.cluster.delete(&format!("{name}/{NAME}")).await?;
    world.forgets().await
}

/// Those replicas of the Service that are to get requests, by their ports.
///
/// Replicas on one address differ by port, and a slice has one port for all its addresses.
pub async fn endpoints(cluster: &Cluster, ports: &[u16]) -> Result<()> {
    let slices = format!("/apis/discovery.k8s.io/v1/namespaces/{HOME}/endpointslices");
    let list = cluster.get(&slices).await?;
    let there = list["items"].as_array().context("a list")?;
    let names = there
        .iter()
        .filter_map(|it| it["metadata"]["name"].as_str());
    let wanted: Vec<String> = ports.iter().map(|port| format!("{NAME}-{port}")).collect();
    for (name, port) in wanted.iter().zip(ports) {
        let slice = json!({
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "name": name,
                "namespace": HOME,
                "labels": {"kubernetes.io/service-name": NAME, "made-by": "e2e"},
            },
            "addressType": "IPv4",
            "ports": [{"name": "https", "port": port, "protocol": "TCP"}],
            "endpoints": [{"addresses": [cluster.address()], "conditions": {"ready": true}}],
        });
        cluster.apply(&format!("{slices}/{name}"), &slice).await?;
    }
    let ours = |name: &&str| name.starts_with(&format!("{NAME}-"));
    for name in names
        .filter(ours)
        .filter(|name| !wanted.iter().any(|it| it == name))
    {
        cluster.delete(&format!("{slices}/{name}")).await?;
    }
    Ok(())
}

/// A kubeconfig for the webhook's own service account: it shall get along with its own rights.
pub async fn kubeconfig(cluster: &Cluster, folder: &Path) -> Result<PathBuf> {
    let path = format!("/api/v1/namespaces/{HOME}/serviceaccounts/{NAME}/token");
    let wish = json!({"spec": {"expirationSeconds": 7200}});
    let answer = cluster.send("POST", &path, &wish).await?;
    let token = answer.object("a token")?["status"]["token"].clone();
    let ours = std::env::var("KUBECONFIG").context("KUBECONFIG is set")?;
    let mut config: Value = serde_norway::from_str(&std::fs::read_to_string(ours)?)?;
    config["users"][0]["user"] = json!({"token": token});
    config["contexts"][0]["context"]["namespace"] = HOME.into();
    let file = folder.join("webhook.kubeconfig");
    std::fs::write(&file, config.to_string())?;
    Ok(file)
}

/// The objects of the product's own manifest.
pub fn manifest(world: &World, route: Route<'_>, ca: Option<&str>) -> Result<Vec<Value>> {
    let mut command = Command::new(&world.binary);
    command.args(["manifest", "--restart", "--namespace", HOME]);
    if let Route::Url(url) = route {
        command.args(["--url", url]);
    }
    if let Some(ca) = ca {
        let file = world.folder.join("bundle.pem");
        std::fs::write(&file, ca)?;
        command.arg("--ca-file").arg(file);
    }
    let output = command.output().context("run kaos-webhook manifest")?;
    if !output.status.success() {
        bail!("manifest: {}", String::from_utf8_lossy(&output.stderr));
    }
    objects(&String::from_utf8(output.stdout)?).context("read the manifest")
}

/// The objects of a YAML text; documents without any are passed over.
pub fn objects(text: &str) -> Result<Vec<Value>> {
    let documents = serde_norway::Deserializer::from_str(text);
    let objects: Vec<Value> = documents
        .map(Value::deserialize)
        .collect::<Result<_, _>>()?;
    Ok(objects.into_iter().filter(|it| !it.is_null()).collect())
}

/// Where an object belongs in the API.
pub fn path(object: &Value) -> Result<String> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let api = text(&object["apiVersion"]).context("an apiVersion")?;
    let kind = text(&object["kind"]).context("a kind")?.to_lowercase();
    let name = text(&object["metadata"]["name"]).context("a name")?;
    let root = if api == "v1" {
        "/api/v1".to_owned()
    } else {
        format!("/apis/{api}")
    };
    let namespace = text(&object["metadata"]["namespace"]);
    let within = namespace.map_or(String::new(), |it| format!("/namespaces/{it}"));
    Ok(format!("{root}{within}/{}/{name}", plural(&kind)))
}

/// As the API spells a kind in paths: by the rules of English.
fn plural(kind: &str) -> String {
    match kind.strip_suffix('y') {
        Some(stem) => format!("{stem}ies"),
        None if kind.ends_with('s') => format!("{kind}es"),
        None => format!("{kind}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_find_their_place() {
        let of = |api: &str, kind: &str, namespace: Option<&str>| {
            let metadata = json!({"name": "n", "namespace": namespace});
            path(&json!({"apiVersion": api, "kind": kind, "metadata": metadata})).expect("a path")
        };
        assert_eq!(
            of("v1", "Service", Some("x")),
            "/api/v1/namespaces/x/services/n"
        );
        let role = of("rbac.authorization.k8s.io/v1", "ClusterRole", None);
        assert_eq!(role, "/apis/rbac.authorization.k8s.io/v1/clusterroles/n");
        let policy = of("networking.k8s.io/v1", "NetworkPolicy", Some("x"));
        assert!(policy.ends_with("/networkpolicies/n"), "{policy}");
        let class = of("scheduling.k8s.io/v1", "PriorityClass", None);
        assert!(class.ends_with("/priorityclasses/n"), "{class}");
    }
}
