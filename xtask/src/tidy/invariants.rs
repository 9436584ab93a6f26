//! The walls between the parts, as ARCHITECTURE.md names them.

use super::{Complaint, File, mentions};

/// A wall: code in `inside`, but not in `doors`, does not say `words`.
struct Wall {
    inside: &'static [&'static str],
    doors: &'static [&'static str],
    words: &'static [&'static str],
    /// Lines that say this may.
    but: &'static [&'static str],
    why: &'static str,
}

/// What touches the world outside or depends on the moment.
const WORLD: [&str; 11] = [
    "std::fs",
    "std::env",
    "std::process",
    "std::thread",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "tokio",
    "Instant::now",
    "SystemTime::now",
    "async fn",
];

const WALLS: [Wall; 5] = [
    Wall {
        inside: &[
            "ebpf-probe/src/",
            "probe-core/",
            "probe-elf/",
            "xtask/",
            "bench/",
        ],
        // The floor that the probe is compared with is a probe of its own, and never shipped.
        doors: &["ebpf-probe/src/kernel", "bench/src/floor.rs"],
        words: &["aya::", "use aya"],
        but: &[],
        why: "only the module `kernel` touches aya, and the floor of the benchmark",
    },
    Wall {
        inside: &["ebpf-probe/src/"],
        doors: &["ebpf-probe/src/discover"],
        words: &["\"/proc"],
        // A program may name itself and its own descriptors.
        but: &["\"/proc/self/exe\"", "\"/proc/self/fd/"],
        why: "only the module `discover` touches /proc",
    },
    Wall {
        inside: &["probe-core/src/", "probe-elf/src/"],
        doors: &[],
        words: &WORLD,
        but: &[],
        why: "the pure stages take bytes and clock values and give values",
    },
    Wall {
        inside: &[
            "webhook/src/certs/pair",
            "webhook/src/certs/plan",
            "webhook-core/src/",
        ],
        doors: &[],
        words: &WORLD,
        but: &[],
        why: "what is decided is made of values alone: nothing on the admission path waits",
    },
    Wall {
        inside: &["probe-common/src/"],
        doors: &[],
        words: &["std::", "extern crate std", "alloc::"],
        but: &[],
        why: "probe-common depends on core only",
    },
];

pub(super) fn check(file: &File) -> Vec<Complaint> {
    if !file.is_rust() {
        return Vec::new();
    }
    let starts = |folders: &[&str]| folders.iter().any(|folder| file.path.starts_with(folder));
    let mut complaints = Vec::new();
    for Wall {
        inside,
        doors,
        words,
        but,
        why,
    } in &WALLS
    {
        // This file names the words, and would be caught by them.
        if !starts(inside) || starts(doors) || file.path == "xtask/src/tidy/invariants.rs" {
            continue;
        }
        let lines: Vec<&str> = file.text.lines().collect();
        let excused = |line: usize| but.iter().any(|but| lines[line - 1].contains(but));
        for (line, word) in mentions(file, words).filter(|(line, _)| !excused(*line)) {
            complaints.push(file.complaint(line, format!("`{}`: {why}", word.trim_matches('"'))));
        }
    }
    complaints
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::file;

    #[test]
    fn each_wall_stands() {
        for (path, line) in [
            ("ebpf-probe/src/agent.rs", "use aya::Ebpf;"),
            (
                "ebpf-probe/src/agent.rs",
                "let status = read(\"/proc/self/status\");",
            ),
            ("probe-core/src/call/mod.rs", "let now = Instant::now();"),
            ("probe-elf/src/lib.rs", "use std::fs;"),
            ("probe-common/src/lib.rs", "use std::fmt;"),
        ] {
            assert_eq!(
                check(&file(path, &format!("{line}\n"))).len(),
                1,
                "{path}: {line}"
            );
        }
    }

    #[test]
    fn each_wall_has_its_door() {
        for (path, line) in [
            ("ebpf-probe/src/kernel/load.rs", "use aya::Ebpf;"),
            (
                "ebpf-probe/src/discover/maps.rs",
                "let maps = read(\"/proc/self/maps\");",
            ),
            ("probe-core/src/call/mod.rs", "// as std::fs does"),
            ("ebpf-probe/src/agent.rs", "use std::fs;"),
            (
                "ebpf-probe/src/cli/run.rs",
                "let me = Command::new(\"/proc/self/exe\");",
            ),
            ("probe-core/src/call/tests.rs", "use std::fs;"),
        ] {
            assert_eq!(
                check(&file(path, &format!("{line}\n"))),
                [],
                "{path}: {line}"
            );
        }
    }
}
