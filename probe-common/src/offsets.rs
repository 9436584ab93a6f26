//! Where this kernel keeps the few fields that are needed. User space reads them from BTF and
//! hands them over before the programs load; nothing here is compiled in.

/// The field does not exist on this kernel.
pub const ABSENT: u16 = u16::MAX;

/// Byte offsets; [`ABSENT`] where a field does not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Offsets {
    /// `task_struct.files`
    pub task_files: u16,
    /// `task_struct.group_leader`
    pub task_group_leader: u16,
    /// `task_struct.signal`
    pub task_signal: u16,
    /// `signal_struct.live`
    pub signal_live: u16,
    /// `task_struct.start_boottime` (`real_start_time` before 5.5)
    pub task_start: u16,
    /// `task_struct.thread.fsbase`
    pub task_fsbase: u16,
    /// `task_struct.tgid`
    pub task_tgid: u16,
    /// `task_struct.pid`
    pub task_pid: u16,
    /// `files_struct.fdt`
    pub files_fdt: u16,
    /// `fdtable.fd`
    pub fdt_fd: u16,
    /// `file.private_data`
    pub file_private: u16,
    /// `socket.file`
    pub socket_file: u16,
    /// `socket.sk`
    pub socket_sk: u16,
    /// `file.f_flags`
    pub file_flags: u16,
    /// `sock.sk_socket`
    pub sk_socket: u16,
    /// `sock.sk_protocol` (a 16-bit field since 5.6)
    pub sk_protocol: u16,
    /// `sock_common.skc_family`
    pub skc_family: u16,
    /// `sock_common.skc_num`
    pub skc_num: u16,
    /// `sock_common.skc_dport`
    pub skc_dport: u16,
    /// `sock_common.skc_rcv_saddr`
    pub skc_rcv_saddr: u16,
    /// `sock_common.skc_daddr`
    pub skc_daddr: u16,
    /// `sock_common.skc_v6_rcv_saddr`
    pub skc_v6_rcv_saddr: u16,
    /// `sock_common.skc_v6_daddr`
    pub skc_v6_daddr: u16,
    /// `sock_common.skc_net`
    pub skc_net: u16,
    /// `net.ns.inum`
    pub net_inum: u16,
    /// `sock.sk_shutdown`
    pub sk_shutdown: u16,
    /// `tcp_sock.copied_seq`
    pub tcp_copied_seq: u16,
    /// `tcp_sock.write_seq`
    pub tcp_write_seq: u16,
    /// `tcp_sock.rcv_nxt`
    pub tcp_rcv_nxt: u16,
    /// `tcp_sock.bytes_received`
    pub tcp_bytes_received: u16,
    /// `tcp_sock.snd_una`
    pub tcp_snd_una: u16,
    /// `tcp_sock.bytes_acked`
    pub tcp_bytes_acked: u16,
    /// `msghdr.msg_iter`
    pub msghdr_iter: u16,
    /// `iov_iter.iter_type` (`type` before 5.14)
    pub iter_type: u16,
    /// `iov_iter.iov_offset`
    pub iter_offset: u16,
    /// `iov_iter.count`
    pub iter_count: u16,
    /// `iov_iter.ubuf` (since 6.0)
    pub iter_ubuf: u16,
    /// `iov_iter.__iov` (`iov` before 6.4)
    pub iter_iov: u16,
    /// `iov_iter.nr_segs`
    pub iter_segments: u16,
    /// Not an offset: which bits of the type's first byte are the type; before 5.14 the lowest
    /// one is the direction.
    pub iter_type_mask: u16,
    /// Not an offset: `ITER_UBUF`.
    pub kind_ubuf: u16,
    /// Not an offset: `ITER_IOVEC`.
    pub kind_iovec: u16,
    /// Not an offset: how many arguments `tcp_recvmsg` has: 6 before 5.19, 5 before 7.2, then 4.
    pub receive_arguments: u16,
}

impl Offsets {
    /// All absent.
    pub const NONE: Self = Self {
        task_files: ABSENT,
        task_group_leader: ABSENT,
        task_signal: ABSENT,
        signal_live: ABSENT,
        task_start: ABSENT,
        task_fsbase: ABSENT,
        task_tgid: ABSENT,
        task_pid: ABSENT,
        files_fdt: ABSENT,
        fdt_fd: ABSENT,
        file_private: ABSENT,
        socket_file: ABSENT,
        socket_sk: ABSENT,
        file_flags: ABSENT,
        sk_socket: ABSENT,
        sk_protocol: ABSENT,
        skc_family: ABSENT,
        skc_num: ABSENT,
        skc_dport: ABSENT,
        skc_rcv_saddr: ABSENT,
        skc_daddr: ABSENT,
        skc_v6_rcv_saddr: ABSENT,
        skc_v6_daddr: ABSENT,
        skc_net: ABSENT,
        net_inum: ABSENT,
        sk_shutdown: ABSENT,
        tcp_copied_seq: ABSENT,
        tcp_write_seq: ABSENT,
        tcp_rcv_nxt: ABSENT,
        tcp_bytes_received: ABSENT,
        tcp_snd_una: ABSENT,
        tcp_bytes_acked: ABSENT,
        msghdr_iter: ABSENT,
        iter_type: ABSENT,
        iter_offset: ABSENT,
        iter_count: ABSENT,
        iter_ubuf: ABSENT,
        iter_iov: ABSENT,
        iter_segments: ABSENT,
        iter_type_mask: ABSENT,
        kind_ubuf: ABSENT,
        kind_iovec: ABSENT,
        receive_arguments: ABSENT,
    };
}
