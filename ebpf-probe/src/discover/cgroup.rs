//! Which container of which pod a process runs in, by its control groups.
//!
//! Runtimes write pod and container into the path, each in its own way: under the cgroupfs driver
//! `…/pod<uid>/<id>`, under the systemd driver `…-pod<uid>.slice/<runtime>-<id>.scope`, where the
//! uid has `_` for `-`. In a cgroup namespace of our own paths begin with `/..`.

/// Digits of a container's id, in every runtime.
const ID: usize = 64;
/// Bytes of a pod's uid in its usual form.
const UID: usize = 36;

/// Where a process runs. Each part is `None` where the path does not say it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    /// The pod's uid, as the API server has it: 36 characters with `-`, or 32 digits without for
    /// pods that a kubelet runs from a file.
    pub(crate) pod: Option<String>,
    /// The container's id, 64 hexadecimal digits.
    pub(crate) container: Option<String>,
}

/// The place that `/proc/PID/cgroup` tells.
///
/// On hybrid hosts only some of the hierarchies have the container: the line that tells most
/// is taken.
pub(crate) fn place(table: &str) -> Place {
    let paths = table.lines().filter_map(|line| line.splitn(3, ':').nth(2));
    let places = paths.map(of_path);
    places
        .reduce(|best, next| {
            if tells(&next) > tells(&best) {
                next
            } else {
                best
            }
        })
        .unwrap_or_default()
}

fn tells(place: &Place) -> u8 {
    u8::from(place.container.is_some()) + u8::from(place.pod.is_some())
}

/// A container may make groups below its own: the innermost pod and the first id below it count.
fn of_path(path: &str) -> Place {
    let parts: Vec<&str> = path.split('/').collect();
    let pod = parts.iter().rposition(|part| uid(part).is_some());
    let below = &parts[pod.map_or(0, |at| at + 1)..];
    let mut ids = below.iter().filter_map(|part| id(part));
    // Without a pod around it, a container within a container is the one that runs the process.
    let container = if pod.is_some() {
        ids.next()
    } else {
        ids.next_back()
    };
    Place {
        pod: pod.and_then(|at| uid(parts[at])),
        container,
    }
}

/// `<id>`, `<runtime>-<id>.scope`, `<runtime>-<id>`. CRI-O's monitor (`crio-conmon-<id>`) is no
/// part of the container.
fn id(part: &str) -> Option<String> {
    let part = part.strip_suffix(".scope").unwrap_or(part);
    let (runtime, digits) = part.rsplit_once('-').unwrap_or(("", part));
    let is_id = digits.len() == ID && digits.bytes().all(|it| it.is_ascii_hexdigit());
    (is_id && !runtime.ends_with("conmon")).then(|| digits.to_ascii_lowercase())
}

/// `pod<uid>`, `<anything>-pod<uid>.slice`.
fn uid(part: &str) -> Option<String> {
    let part = part.strip_suffix(".slice").unwrap_or(part);
    let (before, uid) = part.rsplit_once("pod")?;
    if !(before.is_empty() || before.ends_with('-')) {
        return None;
    }
    let uid = uid.replace('_', "-").to_ascii_lowercase();
    let digits = uid.bytes().filter(u8::is_ascii_hexdigit).count();
    let dashes = uid.bytes().filter(|it| *it == b'-').count();
    let usual = uid.len() == UID && dashes == 4;
    ((usual || uid.len() == 32) && digits == 32).then_some(uid)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const UID: &str = "d144abd2-0a1d-4123-8df8-5278315f32a4";

    fn id() -> String {
        "a074435aeb14c0de".repeat(4)
    }

    #[test]
    fn every_driver_and_runtime_is_read() {
        let (id, under) = (id(), UID.replace('-', "_"));
        for line in [
            format!("0::/kubepods/besteffort/pod{UID}/{id}"),
            format!("0::/kubepods/pod{UID}/{id}"),
            format!("11:memory:/kubepods/burstable/pod{UID}/{id}"),
            format!(
                "0::/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod{under}.slice/cri-containerd-{id}.scope"
            ),
            format!("0::/kubepods.slice/kubepods-pod{under}.slice/crio-{id}.scope"),
            format!(
                "0::/kubepods.slice/kubepods-pod{under}.slice/crio-{id}.scope/container/init.scope"
            ),
            format!("4:cpu,cpuacct:/kubepods.slice/kubepods-pod{under}.slice/docker-{id}.scope"),
            // From a cgroup namespace of our own.
            format!(
                "0::/../../kubepods-burstable.slice/kubepods-burstable-pod{under}.slice/cri-containerd-{id}.scope"
            ),
            // Kubernetes in a container.
            format!(
                "0::/docker/{}/kubelet/kubepods/pod{UID}/{id}",
                "b".repeat(64)
            ),
        ] {
            let found = place(&line);
            assert_eq!(found.pod.as_deref(), Some(UID), "{line}");
            assert_eq!(found.container.as_deref(), Some(id.as_str()), "{line}");
        }
    }

    #[test]
    fn on_hybrid_hosts_the_hierarchy_that_tells_most_counts() {
        let id = id();
        let table = format!("12:memory:/kubepods/pod{UID}/{id}\n1:name=systemd:/init\n0::/\n");
        assert_eq!(place(&table).container, Some(id.clone()));
        let table = format!("0::/\n12:memory:/kubepods/pod{UID}/{id}\n");
        assert_eq!(place(&table).pod.as_deref(), Some(UID));
    }

    #[test]
    fn what_is_no_container_is_none() {
        let id = id();
        for line in [
            "0::/".to_owned(),
            "0::/system.slice/podman.service".to_owned(),
            "0::/kubepods/podd144abd2/short".to_owned(),
            format!("0::/kubepods.slice/crio-conmon-{id}.scope"),
            format!("0::/user.slice/{id}0"),
            "nonsense".to_owned(),
        ] {
            assert_eq!(place(&line), Place::default(), "{line}");
        }
        let alone = place(&format!("0::/system.slice/docker-{id}.scope"));
        assert_eq!((alone.pod, alone.container), (None, Some(id)));
    }

    #[test]
    fn pods_of_files_have_a_uid_without_dashes() {
        let uid = "0123456789abcdef".repeat(2);
        let found = place(&format!("0::/kubepods/pod{uid}/{}", id()));
        assert_eq!(found.pod, Some(uid));
    }

    proptest! {
        #[test]
        fn any_text_gives_ids_of_the_right_form(table in "([0-9]{1,2}:[a-z=]{0,8}:)?(/[a-z0-9._-]{0,80}){0,6}\n?") {
            let Place { pod, container } = place(&table);
            prop_assert!(pod.is_none_or(|it| it.len() == super::UID || it.len() == 32));
            prop_assert!(container.is_none_or(|it| it.len() == ID));
        }
    }
}
