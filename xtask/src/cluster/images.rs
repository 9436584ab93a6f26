//! The images that a cluster of tests has: nothing is pulled.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use crate::image::archive::Image;
use crate::image::base::Base;
use crate::image::tree::Tree;
use crate::image::write_ours;
use crate::paths;
use crate::peers::{Cache, Collector, Node, Peer as _};

/// What holds a pod's namespaces.
pub(super) const PAUSE: &str = "kaos.test/pause:1";
/// The collector that the chart asks for. Here it is the one that the tests are built with.
const COLLECTOR: &str = "ghcr.io/open-telemetry/opentelemetry-collector-releases/\
                         opentelemetry-collector-contrib:0.155.0";
/// Empty folders, over which pods mount the machine's own: a Python with a hundred packages is
/// there already.
const HOST: &str = "kaos.test/host:1";

/// Writes all archives into a folder, and gives them. The probe and the webhook are those that were
/// built for a release.
pub(super) fn write(cache: &Cache, folder: &Path) -> Result<Vec<PathBuf>> {
    let programs = paths::target_dir().join("release");
    for program in ["kaos-probe", "kaos-webhook"] {
        let file = programs.join(program);
        ensure!(
            file.exists(),
            "{} is missing: `cargo xtask image` builds it",
            file.display()
        );
    }
    fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
    let mut files = write_ours(cache, &programs, folder)?;
    let mut add = |reference: &str, tree: &Tree, config: Value| {
        let image = Image {
            reference: reference.to_owned(),
            layers: vec![tree.plain_layer()?],
            config,
        };
        let name = reference.replace(['/', ':'], "-");
        let file = folder.join(format!("{name}.tar"));
        fs::write(&file, image.archive()?.bytes)?;
        files.push(file);
        anyhow::Ok(())
    };
    let mut pause = Tree::default();
    pause.program("catatonit", &Node.install(cache)?.join("usr/bin/catatonit"))?;
    add(PAUSE, &pause, json!({"Entrypoint": ["/catatonit", "-P"]}))?;
    let mut collector = Base::fetch(cache)?.tree()?;
    collector.program("otelcol", &Collector.install(cache)?.join("otelcol"))?;
    add(COLLECTOR, &collector, json!({"Entrypoint": ["/otelcol"]}))?;
    let mut host = Tree::default();
    host.folder("tmp");
    add(HOST, &host, json!({"Env": ["PATH=/usr/bin:/bin"]}))?;
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_collector_has_the_name_that_the_chart_asks_for() {
        let chart = paths::root().join("charts/kaos-telemetry/values.yaml");
        let values = fs::read_to_string(chart).unwrap();
        let (repository, tag) = COLLECTOR.rsplit_once(':').unwrap();
        assert!(values.contains(&format!("repository: {repository}\n")));
        assert!(values.contains(&format!("tag: {tag}\n")));
    }
}
