//! The TCP ports of a process: the sockets among its descriptors, looked up in its network
//! namespace's tables.

use std::collections::HashSet;
use std::fs;

/// The most descriptors that are looked at.
const MOST: usize = 4096;

/// Local ports of the process's TCP sockets.
pub(crate) fn of(tgid: u32) -> Vec<u16> {
    let sockets = sockets(tgid);
    let mut ports = Vec::new();
    for table in ["tcp", "tcp6"] {
        let Ok(lines) = fs::read_to_string(format!("/proc/{tgid}/net/{table}")) else {
            continue;
        };
        let found = lines
            .lines()
            .skip(1)
            .filter_map(parse)
            .filter(|(_, inode)| sockets.contains(inode));
        ports.extend(found.map(|(port, _)| port));
    }
    ports.sort_unstable();
    ports.dedup();
    ports
}

/// Whether the process has an established connection to a port, be it of whatever host.
pub(super) fn is_connected(tgid: u32, port: u16) -> bool {
    let sockets = sockets(tgid);
    let table = |name| fs::read_to_string(format!("/proc/{tgid}/net/{name}")).unwrap_or_default();
    ["tcp", "tcp6"].into_iter().any(|name| {
        let lines = table(name);
        let mut found = lines.lines().skip(1).filter_map(established);
        found.any(|(peer, inode)| peer == port && sockets.contains(&inode))
    })
}

/// The peer's port and the inode of an established connection's line.
fn established(line: &str) -> Option<(u16, u64)> {
    const ESTABLISHED: &str = "01";
    let mut fields = line.split_ascii_whitespace().skip(2);
    let port = fields.next()?.rsplit_once(':')?.1;
    if fields.next()? != ESTABLISHED {
        return None;
    }
    let inode = fields.nth(5)?.parse().ok()?;
    Some((u16::from_str_radix(port, 16).ok()?, inode))
}

fn sockets(tgid: u32) -> HashSet<u64> {
    let Ok(entries) = fs::read_dir(format!("/proc/{tgid}/fd")) else {
        return HashSet::new();
    };
    let targets = entries
        .take(MOST)
        .filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    targets
        .filter_map(|target| {
            target
                .to_str()?
                .strip_prefix("socket:[")?
                .strip_suffix(']')?
                .parse()
                .ok()
        })
        .collect()
}

/// Local port and inode of a line: `sl local_address rem_address st queues … inode` (`proc_net_tcp`).
fn parse(line: &str) -> Option<(u16, u64)> {
    let mut fields = line.split_ascii_whitespace();
    let port = fields.nth(1)?.rsplit_once(':')?.1;
    let inode = fields.nth(7)?.parse().ok()?;
    Some((u16::from_str_radix(port, 16).ok()?, inode))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_of_this_process_is_found() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(of(std::process::id()).contains(&port));
        drop(listener);
        assert!(!of(std::process::id()).contains(&port));
    }

    #[test]
    fn a_connection_of_this_process_is_found_while_it_stands() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let me = std::process::id();
        assert!(!is_connected(me, port), "to listen is not to be connected");
        let client = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
        assert!(is_connected(me, port));
        drop((client, listener));
        assert!(!is_connected(me, port));
    }

    #[test]
    fn a_line_gives_port_and_inode() {
        let line = "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4242 1 0 100";
        assert_eq!(parse(line), Some((8080, 4242)));
        assert_eq!(parse("  sl  local_address"), None);
    }
}
