//! What a node takes of the machine, and gives back: folders, settings of the kernel, control
//! groups, processes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Map, Value};

use crate::cmd::{run, succeeds};

/// Where kubelet, containerd and runc keep things, whatever they are told. In the node's own mounts
/// they lie in the cluster's folder.
const FOLDERS: [&str; 6] = [
    "/etc/cni/net.d",
    "/run/containerd",
    "/var/lib/cni",
    "/var/lib/kubelet",
    "/var/log/containers",
    "/var/log/pods",
];

/// What the kubelet changes.
const SETTINGS: [&str; 5] = [
    "kernel/keys/root_maxbytes",
    "kernel/keys/root_maxkeys",
    "kernel/panic",
    "kernel/panic_on_oops",
    "vm/overcommit_memory",
];
const SAVED: &str = "settings.json";
const NAMESPACE: &str = "mounts";
/// The kernel needs a moment to bury what was killed.
const GONE_WITHIN: Duration = Duration::from_secs(10);

/// Takes it. The process must be in a mount namespace of its own.
pub(super) fn take(folder: &Path) -> Result<()> {
    if let [first, ..] = pod_groups().as_slice() {
        bail!(
            "{} is there: a kubelet runs on this machine, or `cargo xtask cluster down` is due",
            first.display()
        );
    }
    let mut saved = Map::new();
    for setting in SETTINGS {
        let value = fs::read_to_string(Path::new("/proc/sys").join(setting));
        if let Ok(value) = value {
            saved.insert(setting.to_owned(), value.trim().into());
        }
    }
    fs::write(folder.join(SAVED), Value::Object(saved).to_string())?;
    fs::write(
        folder.join(NAMESPACE),
        mounts_of("self").context("read our own namespace")?,
    )?;
    for at in FOLDERS {
        let ours = inside(folder, at);
        for path in [Path::new(at), &ours] {
            fs::create_dir_all(path).with_context(|| format!("make {}", path.display()))?;
        }
        run(Command::new("mount")
            .arg("--bind")
            .args([&ours, Path::new(at)]))?;
    }
    Ok(())
}

/// Gives back what [`take`] took, and ends what runs in pods. All else has been stopped before.
pub(super) fn give_back(folder: &Path) -> Result<()> {
    let Ok(namespace) = fs::read_to_string(folder.join(NAMESPACE)) else {
        return Ok(());
    };
    let within = mounts_of("self").is_some_and(|ours| ours == namespace);
    let deadline = Instant::now() + GONE_WITHIN;
    // Names of namespaces are given again: without a shim in ours, pods are somebody else's.
    if within || !shims(&namespace).is_empty() {
        while (kill_pods() || kill_shims(&namespace)) && Instant::now() < deadline {
            sleep(Duration::from_millis(50));
        }
    }
    if within {
        unmount(folder)?;
    }
    while !pod_groups().iter().all(|group| remove(group)) && Instant::now() < deadline {
        sleep(Duration::from_millis(50));
    }
    for at in FOLDERS.into_iter().chain(["/etc/cni"]) {
        // Somebody else's are not empty.
        fs::remove_dir(at).ok();
    }
    let saved: Map<String, Value> = serde_json::from_str(&fs::read_to_string(folder.join(SAVED))?)?;
    for (setting, value) in &saved {
        let path = Path::new("/proc/sys").join(setting);
        fs::write(&path, value.as_str().unwrap_or_default())
            .with_context(|| format!("put back {}", path.display()))?;
    }
    Ok(())
}

/// Takes away all mounts of the cluster: what it wrote can then be removed.
fn unmount(folder: &Path) -> Result<()> {
    let mounts = fs::read_to_string("/proc/self/mounts")?;
    let paths = mounts.lines().filter_map(|line| line.split(' ').nth(1));
    let ours = |path: &&str| {
        let path = Path::new(path);
        path.starts_with(folder) || FOLDERS.iter().any(|at| path.starts_with(at))
    };
    // The last first; one that is under another is gone with it.
    for path in paths.filter(ours).collect::<Vec<_>>().iter().rev() {
        succeeds(Command::new("umount").args(["--lazy", path]));
    }
    Ok(())
}

fn inside(folder: &Path, path: &str) -> PathBuf {
    folder.join("node").join(path.trim_start_matches('/'))
}

/// The control groups of pods, one for each hierarchy that has one.
fn pod_groups() -> Vec<PathBuf> {
    let root = Path::new("/sys/fs/cgroup");
    let hierarchies = fs::read_dir(root).into_iter().flatten().flatten();
    let mut groups: Vec<PathBuf> = hierarchies.map(|it| it.path().join("kubepods")).collect();
    groups.push(root.join("kubepods"));
    groups.retain(|group| group.is_dir());
    groups
}

/// Kills all in pods; true if there was somebody.
fn kill_pods() -> bool {
    let mut some = false;
    for group in pod_groups() {
        for group in below(&group) {
            let pids = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
            for pid in pids.lines().filter_map(|line| line.parse().ok()) {
                some = true;
                kill(pid);
            }
        }
    }
    some
}

/// Kills what looks after containers; true if there was one.
fn kill_shims(namespace: &str) -> bool {
    let shims = shims(namespace);
    for pid in &shims {
        kill(*pid);
    }
    !shims.is_empty()
}

/// The processes with these mounts that look after containers.
fn shims(namespace: &str) -> Vec<i32> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let names = processes.filter_map(|entry| entry.file_name().into_string().ok());
    let shim = |pid: &i32| {
        let program = fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
        let name = program.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("containerd-shim")
            && mounts_of(&pid.to_string()).is_some_and(|its| its == namespace)
    };
    names
        .filter_map(|name| name.parse().ok())
        .filter(shim)
        .collect()
}

fn kill(pid: i32) {
    if let Some(pid) = Pid::from_raw(pid) {
        // One that has ended meanwhile is what we want.
        kill_process(pid, Signal::KILL).ok();
    }
}

/// The mount namespace of a process, as the kernel names it; `None` if it is gone.
fn mounts_of(process: &str) -> Option<String> {
    let link = fs::read_link(format!("/proc/{process}/ns/mnt")).ok()?;
    link.into_os_string().into_string().ok()
}

/// A control group and those below it, the lowest first.
fn below(group: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in fs::read_dir(group).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            all.extend(below(&entry.path()));
        }
    }
    all.push(group.to_owned());
    all
}

/// True once the control group and all below it are gone.
fn remove(group: &Path) -> bool {
    below(group)
        .iter()
        .all(|group| fs::remove_dir(group).is_ok())
}
