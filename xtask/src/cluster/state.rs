//! What `up` leaves for `down`: which processes are a cluster's.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};

use super::host;

/// How long a part may take to stop by itself before it is killed.
const STOP_WITHIN: Duration = Duration::from_secs(10);

/// A process, told from a later one of the same id by when it began.
struct Part {
    name: String,
    pid: i32,
    began: u64,
}

/// Writes down a cluster's processes, by name and id.
pub(super) fn write(folder: &Path, parts: &[(&str, u32)]) -> Result<()> {
    let parts: Vec<Value> = parts
        .iter()
        .map(|(name, pid)| json!({"name": name, "pid": pid, "began": began(*pid)}))
        .collect();
    fs::write(file(folder), serde_json::to_string_pretty(&parts)?)?;
    Ok(())
}

/// The names of the parts that run; `None` if `folder` holds no cluster.
pub(super) fn running(folder: &Path) -> Result<Option<Vec<String>>> {
    let Some(parts) = read(folder)? else {
        return Ok(None);
    };
    let names = parts.into_iter().filter(Part::runs).map(|part| part.name);
    Ok(Some(names.collect()))
}

/// The process of a part that runs.
pub(super) fn pid(folder: &Path, name: &str) -> Result<Option<i32>> {
    let parts = read(folder)?.unwrap_or_default();
    let mut running = parts.into_iter().filter(Part::runs);
    Ok(running.find(|part| part.name == name).map(|part| part.pid))
}

/// Stops the parts that run and what runs in pods, and removes the folder.
pub(super) fn stop(folder: &Path) -> Result<()> {
    for part in read(folder)?.unwrap_or_default() {
        part.stop();
    }
    host::give_back(folder)?;
    fs::remove_dir_all(folder).with_context(|| format!("cannot remove {}", folder.display()))
}

impl Part {
    fn runs(&self) -> bool {
        let began = u32::try_from(self.pid).ok().and_then(began);
        began == Some(self.began)
    }

    fn stop(&self) {
        let Some(group) = Pid::from_raw(self.pid).filter(|_| self.runs()) else {
            return;
        };
        // One that ends meanwhile is what we want: errors tell nothing here.
        kill_process_group(group, Signal::TERM).ok();
        let deadline = Instant::now() + STOP_WITHIN;
        while self.runs() && Instant::now() < deadline {
            sleep(Duration::from_millis(20));
        }
        if self.runs() {
            kill_process_group(group, Signal::KILL).ok();
        }
    }
}

fn read(folder: &Path) -> Result<Option<Vec<Part>>> {
    let Ok(text) = fs::read_to_string(file(folder)) else {
        return Ok(None);
    };
    let parts: Vec<Value> =
        serde_json::from_str(&text).context("the cluster's state is damaged")?;
    let part = |value: &Value| {
        Some(Part {
            name: value["name"].as_str()?.to_owned(),
            pid: i32::try_from(value["pid"].as_i64()?).ok()?,
            began: value["began"].as_u64()?,
        })
    };
    Ok(Some(parts.iter().filter_map(part).collect()))
}

fn file(folder: &Path) -> PathBuf {
    folder.join("processes.json")
}

/// When a process began, in clock ticks since boot; `None` if it is gone or is a zombie.
fn began(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything, so fields are counted behind it.
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split(' ');
    let state = fields.next()?;
    // The 22nd field of all, two of which came before.
    let began = fields.nth(18)?.parse().ok()?;
    (state != "Z").then_some(began)
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::CommandExt as _;
    use std::process::Command;

    use super::*;

    fn scratch(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("xtask-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("can be made");
        folder
    }

    #[test]
    fn what_was_written_down_is_stopped() {
        let folder = scratch("stop");
        let mut child = Command::new("sleep")
            .arg("1000")
            .process_group(0)
            .spawn()
            .expect("starts");
        write(&folder, &[("sleep", child.id())]).expect("is written");
        assert_eq!(
            running(&folder).expect("is read"),
            Some(vec!["sleep".to_owned()])
        );
        stop(&folder).expect("stops");
        assert!(!child.wait().expect("ended").success());
        assert_eq!(running(&folder).expect("is read"), None);
    }

    #[test]
    fn a_later_process_of_the_same_id_is_left_alone() {
        let folder = scratch("reuse");
        let pid = std::process::id();
        let stale = json!([{"name": "us", "pid": pid, "began": 1}]);
        fs::write(file(&folder), stale.to_string()).expect("is written");
        assert_eq!(running(&folder).expect("is read"), Some(Vec::new()));
        stop(&folder).expect("we are alive");
    }
}
