//! The offsets of this kernel, by name, with the names that older kernels used.

use std::cell::RefCell;

use anyhow::{Context as _, ensure};
use probe_common::offsets::{ABSENT, Offsets};

use super::btf::Btf;
use super::helpers::Helpers;

/// Where the kernel keeps its own type information.
pub(crate) const VMLINUX: &str = "/sys/kernel/btf/vmlinux";

/// Reads the offsets of the running kernel, and what it offers to programs.
pub(super) fn of_this_kernel() -> anyhow::Result<(Offsets, Helpers)> {
    let blob = std::fs::read(VMLINUX).with_context(|| {
        format!(
            "cannot read {VMLINUX}: the probe needs a kernel built with CONFIG_DEBUG_INFO_BTF \
             (5.10 or newer in every large distribution)"
        )
    })?;
    let btf = Btf::parse(&blob).context("cannot read the kernel's type information")?;
    Ok((from_btf(&btf)?, Helpers::of(&btf)))
}

fn from_btf(btf: &Btf<'_>) -> anyhow::Result<Offsets> {
    let short = |n: Option<u32>| n.and_then(|n| u16::try_from(n).ok()).unwrap_or(ABSENT);
    Ok(Offsets {
        kind_ubuf: short(btf.enumerator("iter_type", "ITER_UBUF")),
        kind_iovec: short(btf.enumerator("iter_type", "ITER_IOVEC")),
        receive_arguments: short(btf.parameters("tcp_recvmsg")),
        ..from_types(&|name, path| btf.offset(name, path))?
    })
}

/// The offsets, from a look-up by structure and path of fields. The kernel half tests none for
/// [`ABSENT`] but those of IPv6, which a kernel may be built without; what only the taps on
/// functions read is tested by [`needed_by_functions`].
fn from_types(offset: &dyn Fn(&str, &str) -> Option<u32>) -> anyhow::Result<Offsets> {
    let perhaps = |name: &str, paths: &[&str]| {
        paths
            .iter()
            .find_map(|path| offset(name, path))
            .and_then(|n| u16::try_from(n).ok())
            .unwrap_or(ABSENT)
    };
    let missing = RefCell::new(Vec::new());
    let find = |name: &str, paths: &[&str]| {
        let found = perhaps(name, paths);
        if found == ABSENT {
            missing.borrow_mut().push(format!("{name}.{}", paths[0]));
        }
        found
    };
    let offsets = Offsets {
        task_files: find("task_struct", &["files"]),
        task_group_leader: find("task_struct", &["group_leader"]),
        task_signal: find("task_struct", &["signal"]),
        signal_live: find("signal_struct", &["live"]),
        task_start: find("task_struct", &["start_boottime", "real_start_time"]),
        task_fsbase: find("task_struct", &["thread.fsbase"]),
        task_tgid: find("task_struct", &["tgid"]),
        task_pid: find("task_struct", &["pid"]),
        files_fdt: find("files_struct", &["fdt"]),
        fdt_fd: find("fdtable", &["fd"]),
        file_private: find("file", &["private_data"]),
        socket_file: find("socket", &["file"]),
        socket_sk: find("socket", &["sk"]),
        file_flags: find("file", &["f_flags"]),
        sk_socket: find("sock", &["sk_socket"]),
        sk_protocol: find("sock", &["sk_protocol"]),
        skc_family: find("sock_common", &["skc_family"]),
        skc_num: find("sock_common", &["skc_num"]),
        skc_dport: find("sock_common", &["skc_dport"]),
        skc_rcv_saddr: find("sock_common", &["skc_rcv_saddr"]),
        skc_daddr: find("sock_common", &["skc_daddr"]),
        skc_v6_rcv_saddr: perhaps("sock_common", &["skc_v6_rcv_saddr"]),
        skc_v6_daddr: perhaps("sock_common", &["skc_v6_daddr"]),
        skc_net: find("sock_common", &["skc_net.net", "skc_net"]),
        net_inum: find("net", &["ns.inum"]),
        sk_shutdown: find("sock", &["sk_shutdown"]),
        tcp_copied_seq: find("tcp_sock", &["copied_seq"]),
        tcp_write_seq: find("tcp_sock", &["write_seq"]),
        tcp_rcv_nxt: find("tcp_sock", &["rcv_nxt"]),
        tcp_bytes_received: find("tcp_sock", &["bytes_received"]),
        tcp_snd_una: find("tcp_sock", &["snd_una"]),
        tcp_bytes_acked: find("tcp_sock", &["bytes_acked"]),
        msghdr_iter: perhaps("msghdr", &["msg_iter"]),
        iter_type: perhaps("iov_iter", &["iter_type", "type"]),
        iter_offset: perhaps("iov_iter", &["iov_offset"]),
        iter_count: perhaps("iov_iter", &["count"]),
        iter_ubuf: perhaps("iov_iter", &["ubuf"]),
        iter_iov: perhaps("iov_iter", &["__iov", "iov"]),
        iter_segments: perhaps("iov_iter", &["nr_segs"]),
        iter_type_mask: match offset("iov_iter", "iter_type") {
            Some(_) => 0xff,
            None => 0xfe,
        },
        kind_ubuf: ABSENT,
        kind_iovec: ABSENT,
        receive_arguments: ABSENT,
    };
    let missing = missing.into_inner();
    ensure!(
        missing.is_empty(),
        "this kernel has no {}: please report its version",
        missing.join(", ")
    );
    Ok(offsets)
}

/// Whether all is known that a tap on the kernel's functions reads. Before 6.0 nothing is `ubuf`.
pub(super) fn needed_by_functions(offsets: &Offsets) -> anyhow::Result<()> {
    needed(&[
        ("msghdr.msg_iter", offsets.msghdr_iter),
        ("iov_iter.iter_type", offsets.iter_type),
        ("iov_iter.iov_offset", offsets.iter_offset),
        ("iov_iter.count", offsets.iter_count),
        ("iov_iter.__iov", offsets.iter_iov),
        ("iov_iter.nr_segs", offsets.iter_segments),
        ("ITER_IOVEC", offsets.kind_iovec),
        ("tcp_recvmsg", offsets.receive_arguments),
    ])
}

fn needed(fields: &[(&str, u16)]) -> anyhow::Result<()> {
    for (name, offset) in fields {
        ensure!(
            *offset != ABSENT,
            "this kernel has no {name}: please report its version"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_kernel_has_every_field() {
        let Ok(blob) = std::fs::read(VMLINUX) else {
            panic!("{VMLINUX} cannot be read: this test wants a kernel with BTF");
        };
        let btf = Btf::parse(&blob).unwrap();
        let offsets = from_btf(&btf).unwrap();
        // The first word of `struct sock` is `sock_common`, whose first words are the addresses.
        assert_eq!(offsets.skc_daddr, 0);
        assert_eq!(offsets.skc_rcv_saddr, 4);
        let missing = format!("{offsets:?}").matches("65535").count();
        assert_eq!(missing, 0, "{offsets:?}");
    }

    #[test]
    fn a_field_that_is_not_there_is_named_and_ipv6_may_be_missing() {
        let without = |fields: &'static [&str]| {
            from_types(&move |_, path| (!fields.contains(&path)).then_some(8))
        };
        let ipv4 = without(&["skc_v6_rcv_saddr", "skc_v6_daddr"]).unwrap();
        assert_eq!((ipv4.skc_v6_daddr, ipv4.skc_daddr), (ABSENT, 8));
        // Where there are two names, either will do.
        assert!(without(&["start_boottime"]).is_ok());
        let error = without(&["live", "sk_shutdown"]).unwrap_err().to_string();
        assert!(
            error.contains("no signal_struct.live, sock.sk_shutdown:"),
            "{error}"
        );
    }
}
