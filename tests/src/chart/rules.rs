//! The alert rules, by promtool.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use super::World;
use super::helm::chart;

/// Checks them, and holds them against series that are known.
pub fn hold(world: &World) -> Result<String> {
    let rules = chart().join("rules");
    for words in [
        ["check", "rules", "alerts.yaml"],
        ["test", "rules", "tests.yaml"],
    ] {
        let mut promtool = Command::new(&world.promtool);
        let output = promtool.args(words).current_dir(&rules).output();
        let output = output.with_context(|| format!("run {}", world.promtool.display()))?;
        ensure!(
            output.status.success(),
            "promtool {}: {}{}",
            words.join(" "),
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
        );
    }
    Ok("checked and tested".to_owned())
}
