//! The Event that tells an owner of its pods.

use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

use super::Owner;

const REASON: &str = "TelemetryNotInjected";
const COMPONENT: &str = "kaos-webhook";
/// Names of objects have at most 253 bytes; the rest is for what we put behind.
const MAX_NAME: usize = 200;

/// An Event (`v1`) for server-side apply.
///
/// Its name follows from the owner: replicas that say the same thing write the same Event, and a
/// new count takes the place of the old one.
pub(super) fn event(
    namespace: &str,
    owner: &Owner,
    uid: &str,
    pods: usize,
    now: Timestamp,
) -> Value {
    let time = now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    json!({
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": name(owner, uid), "namespace": namespace},
        "involvedObject": {
            "apiVersion": owner.api_version,
            "kind": owner.kind,
            "name": owner.name,
            "namespace": namespace,
            "uid": uid,
        },
        "type": "Warning",
        "reason": REASON,
        "message": message(namespace, owner, pods),
        "source": {"component": COMPONENT},
        "reportingComponent": COMPONENT,
        "reportingInstance": COMPONENT,
        "firstTimestamp": time,
        "lastTimestamp": time,
        "count": 1,
    })
}

/// The Event's name.
pub(super) fn name(owner: &Owner, uid: &str) -> String {
    let short: String = owner.name.chars().take(MAX_NAME).collect();
    // A part of a name does not end so.
    let short = short.trim_end_matches(['-', '.']);
    format!("{short}.{uid}.telemetry")
}

fn message(namespace: &str, owner: &Owner, pods: usize) -> String {
    let what = match pods {
        1 => "1 pod runs".to_owned(),
        pods => format!("{pods} pods run"),
    };
    let remedy = match owner.rollout() {
        Some(_) => {
            let kind = owner.kind.to_lowercase();
            let name = &owner.name;
            format!("`kubectl rollout restart {kind}/{name} --namespace {namespace}` gives it")
        }
        None => "a new pod in its place gets it".to_owned(),
    };
    format!(
        "{what} without the telemetry environment of this namespace as it is now: created before \
         the opt-in, by other settings, or while the webhook was away; {remedy}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(kind: &str, name: &str) -> Owner {
        Owner {
            api_version: if kind == "Pod" { "v1" } else { "apps/v1" }.into(),
            kind: kind.into(),
            name: name.into(),
            uid: None,
        }
    }

    #[test]
    fn the_same_finding_has_the_same_name_and_another_owner_another() {
        let now = Timestamp::UNIX_EPOCH;
        let one = event("agents", &owner("Deployment", "agent-a"), "u1", 1, now);
        let two = event("agents", &owner("Deployment", "agent-a"), "u1", 2, now);
        assert_eq!(one["metadata"], two["metadata"]);
        assert_ne!(one["message"], two["message"]);
        let again = event("agents", &owner("Deployment", "agent-a"), "u2", 1, now);
        assert_ne!(one["metadata"], again["metadata"]);
        assert_eq!(one["lastTimestamp"], "1970-01-01T00:00:00Z");
    }

    #[test]
    fn the_message_says_the_next_command_where_there_is_one() {
        let text = message("agents", &owner("Deployment", "agent-a"), 2);
        assert!(text.contains("2 pods run"), "{text}");
        let command = "kubectl rollout restart deployment/agent-a --namespace agents";
        assert!(text.contains(command), "{text}");
        let text = message("agents", &owner("Pod", "lone"), 1);
        assert!(
            text.contains("1 pod runs") && !text.contains("kubectl"),
            "{text}"
        );
    }

    #[test]
    fn a_long_name_fits() {
        let long = owner("Deployment", &"x".repeat(253));
        assert!(name(&long, "0c7fbd3c-9cd9-4a29-a13f-7a3a1e6b4f0b").len() <= 253);
        let cut = owner("Deployment", &format!("{}-.-yy", "x".repeat(MAX_NAME - 3)));
        assert!(name(&cut, "u1").ends_with("xx.u1.telemetry"));
    }
}
