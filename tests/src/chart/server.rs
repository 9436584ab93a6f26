//! What the chart makes is what this API server takes, every field of it.

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::World;
use super::wrong::example_files;
use crate::webhook::setup::path;

/// Values that make objects of all kinds.
const MOST: [&[&str]; 5] = [
    &[],
    &[
        "--set=webhook.restartRollouts=true",
        "--set=networkPolicy.apiServers={10.0.0.0/28}",
        "--set=monitoring.podMonitors=true",
        "--set=monitoring.rules=true",
        "--set=monitoring.dashboards=true",
        "--set=imagePullSecrets[0].name=registry",
    ],
    &["--set=probe.capabilities={BPF,PERFMON,SYS_PTRACE}"],
    &[
        "--set=probe.privileged=true",
        "--set=probe.seLinuxOptions.type=spc_t",
    ],
    &[
        "--set=webhook.certificates.mode=files",
        "--set=webhook.certificates.secretName=ours",
        "--set=webhook.certificates.caBundle=-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----",
        "--set=collector.enabled=false",
        "--set=collector.endpoint=http://collector.observability:4317",
    ],
];

/// Kinds of others, which this API server does not know.
const FOREIGN: [&str; 2] = ["monitoring.coreos.com/", "cert-manager.io/"];

/// Sends each object for a dry run that knows every field, and is warned of none.
pub async fn takes(world: &World) -> Result<String> {
    let (mut taken, mut foreign) = (0, 0);
    let examples = example_files()?;
    let examples = examples.iter().map(|file| vec!["--values", file.as_str()]);
    let cases = MOST.iter().map(|values| values.to_vec()).chain(examples);
    for values in cases {
        for object in world.helm.template(&values)? {
            let api = object["apiVersion"].as_str().context("an apiVersion")?;
            if FOREIGN.iter().any(|it| api.starts_with(it)) {
                foreign += 1;
                continue;
            }
            dry_run(world, &object)
                .await
                .with_context(|| format!("{values:?}"))?;
            taken += 1;
        }
    }
    Ok(format!(
        "{taken} objects; {foreign} of the operators of Prometheus and certificates not tried"
    ))
}

async fn dry_run(world: &World, object: &Value) -> Result<()> {
    let path = path(object)?;
    let at = format!("{path}?fieldManager=e2e&force=true&dryRun=All&fieldValidation=Strict");
    let answer = world.cluster.send("PATCH", &at, object).await?;
    ensure!(answer.warnings.is_empty(), "{path}: {:?}", answer.warnings);
    answer.object(&path)?;
    Ok(())
}
