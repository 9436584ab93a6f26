//! The chart and `kaos-webhook manifest` say the same.

use std::collections::BTreeMap;
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use super::World;
use crate::webhook::setup::{HOME, NAME, objects};

/// What the manifest leaves to the chart.
const CHART_ONLY: [&str; 5] = [
    "ConfigMap",
    "Deployment",
    "PodDisruptionBudget",
    "Secret",
    "Lease",
];

/// Options of the manifest, and the values that mean the same.
const CASES: [(&[&str], &[&str]); 3] = [
    (&[], &[]),
    (&["--restart"], &["--set=webhook.restartRollouts=true"]),
    (
        &["--port=9443", "--api-server=10.0.0.0/28"],
        &[
            "--set=webhook.port=9443",
            "--set=networkPolicy.apiServers={10.0.0.0/28}",
        ],
    ),
];

/// Compares what both make.
pub fn agrees(world: &World) -> Result<String> {
    let mut compared = 0;
    for (options, values) in CASES {
        let mut command = Command::new(&world.webhook);
        command
            .args(["manifest", "--namespace", HOME])
            .args(options);
        let output = command.output().context("run kaos-webhook manifest")?;
        ensure!(output.status.success(), "manifest {options:?} fails");
        let wanted = by_kind(objects(&String::from_utf8(output.stdout)?)?)?;
        let mut made = by_kind(world.helm.template(values)?)?;
        made.retain(|(kind, _), _| !CHART_ONLY.contains(&kind.as_str()));
        for (key, object) in &wanted {
            let Some(found) = made.remove(key) else {
                bail!("{options:?}: the chart has no {key:?}");
            };
            ensure!(found == *object, "{key:?}: {found:#} instead of {object:#}");
            compared += 1;
        }
        ensure!(
            made.is_empty(),
            "{options:?}: the manifest has no {:?}",
            made.keys()
        );
    }
    Ok(format!("{compared} objects"))
}

/// The webhook's objects by kind and name, without what helm writes on all of its own.
fn by_kind(objects: Vec<Value>) -> Result<BTreeMap<(String, String), Value>> {
    let mut found = BTreeMap::new();
    for mut object in objects {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let kind = text(&object["kind"]).context("a kind")?;
        let name = text(&object["metadata"]["name"]).context("a name")?;
        if name != NAME {
            continue;
        }
        let metadata = object["metadata"].as_object_mut().context("metadata")?;
        metadata.remove("labels");
        found.insert((kind, name), object);
    }
    Ok(found)
}
