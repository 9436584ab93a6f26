//! What this host lets the probe do.

use std::fs;
use std::path::Path;

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    /// What.
    pub(crate) what: &'static str,
    /// Whether it is as it should be.
    pub(crate) ok: bool,
    /// What was found.
    pub(crate) found: String,
    /// What to do, empty when nothing.
    pub(crate) advice: &'static str,
}

/// `CAP_SYS_PTRACE`, `CAP_PERFMON`, `CAP_BPF` (capabilities(7)).
const CAPABILITIES: [(u32, &str); 3] = [(19, "SYS_PTRACE"), (38, "PERFMON"), (39, "BPF")];
/// `CAP_SYS_ADMIN`
const SYS_ADMIN: u32 = 21;

/// Looks at everything that the probe depends on.
pub(crate) fn findings() -> Vec<Finding> {
    vec![
        kernel(),
        type_information(),
        capabilities(),
        uprobes(),
        lockdown(),
        mounts(&read("/proc/self/mounts")),
    ]
}

fn kernel() -> Finding {
    let release = read("/proc/sys/kernel/osrelease");
    Finding {
        what: "kernel",
        ok: version(&release).is_some_and(|version| version >= (5, 10)),
        found: release,
        advice: "a kernel of 5.10 or newer is needed",
    }
}

/// Major and minor of a release such as `6.1.0-13-cloud-amd64`.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

fn type_information() -> Finding {
    let ok = Path::new(crate::kernel::VMLINUX).is_file();
    Finding {
        what: "type information",
        ok,
        found: format!(
            "{} {}",
            crate::kernel::VMLINUX,
            if ok { "is there" } else { "is missing" }
        ),
        advice: "the kernel must be built with CONFIG_DEBUG_INFO_BTF",
    }
}

fn capabilities() -> Finding {
    let missing = missing_capabilities();
    Finding {
        what: "capabilities",
        ok: missing.is_none(),
        found: missing.map_or_else(
            || "all that are needed".to_owned(),
            |missing| format!("without {missing}"),
        ),
        advice: CAPABLE,
    }
}

/// What to do without the capabilities.
pub(crate) const CAPABLE: &str = "run as root, or with CAP_BPF, CAP_PERFMON and CAP_SYS_PTRACE";

/// The capabilities that this process would need and has not.
pub(crate) fn missing_capabilities() -> Option<String> {
    missing_of(effective())
}

/// The capabilities of this process that are in force, as bits.
fn effective() -> u64 {
    let status = read("/proc/self/status");
    let mut lines = status.lines();
    let line = lines.find_map(|line| line.strip_prefix("CapEff:"));
    line.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok())
        .unwrap_or(0)
}

/// `CAP_SYS_ADMIN` stands for all of them.
fn missing_of(effective: u64) -> Option<String> {
    let has = |bit: u32| effective >> bit & 1 == 1;
    let missing = CAPABILITIES.iter().filter(|(bit, _)| !has(*bit));
    let missing: Vec<&str> = missing.map(|(_, name)| *name).collect();
    (!missing.is_empty() && !has(SYS_ADMIN)).then(|| missing.join(", "))
}

fn uprobes() -> Finding {
    let there = Path::new("/sys/bus/event_source/devices/uprobe/type").is_file();
    let allowed = effective() >> SYS_ADMIN & 1 == 1;
    Finding {
        what: "uprobes",
        ok: there && allowed,
        found: match (there, allowed) {
            (true, true) => "can be made",
            // Which stable kernels have taken that over, their numbers do not say.
            (true, false) => "may be refused: kernels since 2025 want CAP_SYS_ADMIN for them",
            (false, _) => "the kernel has none",
        }
        .to_owned(),
        advice: "TLS is seen only on kernels with CONFIG_UPROBES, where /sys is mounted, and with \
                 CAP_SYS_ADMIN; plain calls are seen without",
    }
}

fn lockdown() -> Finding {
    let state = read("/sys/kernel/security/lockdown");
    let confidential = state.contains("[confidentiality]");
    Finding {
        what: "lockdown",
        ok: !confidential,
        found: if state.is_empty() {
            "off".to_owned()
        } else {
            state
        },
        advice: "lockdown=confidentiality forbids reading user memory; integrity allows it",
    }
}

/// The file systems that one may think of. Tracepoints are attached by type information and
/// nothing is pinned, so most of them are not needed.
fn mounts(table: &str) -> Finding {
    let place = |kind: &str| {
        // `device place type options …`; the first mount of a type is the usual one.
        let mut fields = table.lines().map(|line| line.split(' '));
        fields.find_map(|mut fields| {
            let place = fields.nth(1)?;
            (fields.next()? == kind).then_some(place)
        })
    };
    let say = |kind: &str| {
        place(kind).map_or_else(
            || format!("no {kind}"),
            |place| format!("{kind} on {place}"),
        )
    };
    let needed = ["proc", "sysfs"];
    let others = ["tracefs", "bpf", "debugfs"].map(say).join(", ");
    Finding {
        what: "mounts",
        ok: needed.iter().all(|kind| place(kind).is_some()),
        found: format!("{}; not needed: {others}", needed.map(say).join(", ")),
        advice: "/proc and /sys must be mounted: mount -t proc proc /proc, mount -t sysfs sysfs /sys",
    }
}

fn read(path: &str) -> String {
    fs::read_to_string(path)
        .unwrap_or_default()
        .trim()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_of_distributions_are_read() {
        assert_eq!(version("6.1.0-13-cloud-amd64"), Some((6, 1)));
        assert_eq!(version("5.15.0"), Some((5, 15)));
        assert_eq!(version("x"), None);
    }

    #[test]
    fn sys_admin_stands_for_the_others() {
        assert_eq!(missing_of(1 << 19 | 1 << 38 | 1 << 39), None);
        assert_eq!(missing_of(1 << 21), None);
        assert_eq!(missing_of(1 << 19).as_deref(), Some("PERFMON, BPF"));
    }

    #[test]
    fn mounts_are_named_whether_they_are_needed_or_not() {
        let table = "proc /proc proc rw 0 0\nsysfs /sys sysfs rw 0 0\nx /t tracefs rw 0 0\n";
        let finding = mounts(table);
        assert!(finding.ok);
        assert_eq!(
            finding.found,
            "proc on /proc, sysfs on /sys; not needed: tracefs on /t, no bpf, no debugfs"
        );
        assert!(!mounts("proc /proc proc rw 0 0").ok);
    }

    #[test]
    fn every_finding_says_what_it_found() {
        for finding in findings() {
            assert!(!finding.found.is_empty(), "{finding:?}");
        }
    }
}
