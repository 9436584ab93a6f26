//! What a process holds in its memory, the ring that the kernel half writes to among it.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};

/// How much is read at once.
const PIECE: usize = 1 << 20;

/// The probe's process in a pod of this machine.
pub fn probe() -> Result<u32> {
    let processes = fs::read_dir("/proc")?.flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let in_pod = |pid: &u32| {
        let of = |file: &str| fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
        of("comm").trim() == "kaos-probe" && of("cgroup").contains("kubepods")
    };
    pids.into_iter()
        .find(in_pod)
        .context("no probe runs in a pod")
}

/// Which of the texts are anywhere in a process's memory, in the order in which they are given.
pub fn holds(pid: u32, texts: &[&str]) -> Result<Vec<bool>> {
    let folder = Path::new("/proc").join(pid.to_string());
    let maps = fs::read_to_string(folder.join("maps"))?;
    let memory = File::open(folder.join("mem"))?;
    let mut found = vec![false; texts.len()];
    let mut bytes = 0;
    for (start, end) in maps.lines().filter_map(readable) {
        bytes += search(&memory, start, end, texts, &mut found);
    }
    ensure!(bytes > 0, "nothing could be read of process {pid}'s memory");
    Ok(found)
}

/// The bounds of a mapping that may be read.
fn readable(line: &str) -> Option<(u64, u64)> {
    let mut words = line.split(' ');
    let (start, end) = words.next()?.split_once('-')?;
    let number = |text| u64::from_str_radix(text, 16).ok();
    words.next()?.starts_with('r').then_some(())?;
    Some((number(start)?, number(end)?))
}

/// Searches a mapping; gives how many bytes of it were read. Some of the kernel's own are refused,
/// and any may be gone by now.
fn search(memory: &File, start: u64, end: u64, texts: &[&str], found: &mut [bool]) -> usize {
    let longest = texts.iter().map(|text| text.len()).max().unwrap_or(0);
    let mut piece = vec![0; PIECE + longest];
    let (mut at, mut read) = (start, 0);
    while at < end {
        // A little of the next piece too: a text may lie across both.
        let length = piece.len().min(usize::try_from(end - at).unwrap_or(PIECE));
        let Ok(count) = memory.read_at(&mut piece[..length], at) else {
            break;
        };
        if count == 0 {
            break;
        }
        for (text, found) in texts.iter().zip(found.iter_mut()) {
            *found |= contains(&piece[..count], text.as_bytes());
        }
        read += count.min(PIECE);
        at += count.min(PIECE) as u64;
    }
    read
}

fn contains(bytes: &[u8], text: &[u8]) -> bool {
    let Some((first, rest)) = text.split_first() else {
        return true;
    };
    let mut starts = bytes.iter().enumerate().filter(|(_, byte)| *byte == first);
    starts.any(|(at, _)| bytes[at + 1..].starts_with(rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_memory_is_searched() {
        let there = ["a text that lies", "in the heap"].join(" ");
        assert_eq!(holds(std::process::id(), &[&there]).unwrap(), [true]);
    }

    #[test]
    fn a_text_is_found_wherever_it_stands() {
        assert!(contains(b"xabc", b"abc") && contains(b"aabcx", b"abc"));
        assert!(!contains(b"abxabd", b"abc") && !contains(b"ab", b"abc"));
    }

    #[test]
    fn only_readable_mappings_are_looked_at() {
        assert_eq!(readable("1000-2000 r--p 0 0:0 0"), Some((0x1000, 0x2000)));
        assert_eq!(readable("1000-2000 ---p 0 0:0 0"), None);
        assert_eq!(readable(""), None);
    }
}
