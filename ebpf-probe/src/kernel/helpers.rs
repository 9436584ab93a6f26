//! Which of the programs that come in two kinds this kernel takes.

use super::btf::Btf;

/// Programs that come in two kinds, and the kind for kernels without `bpf_loop` (before 5.17).
const OLDER: [(&str, &str); 12] = [
    ("sys_exit", "sys_exit_older"),
    ("send_fexit", "send_fexit_older"),
    ("send_return", "send_return_older"),
    ("receive_fentry", "receive_fentry_older"),
    ("receive_fexit", "receive_fexit_older"),
    ("receive_return", "receive_return_older"),
    ("accept_fexit", "accept_fexit_older"),
    ("tls_return", "tls_return_older"),
    ("python_copied", "python_copied_older"),
    ("go_tls_copies", "go_tls_copies_older"),
    ("go_tls_returns", "go_tls_returns_older"),
    ("go_tls_write", "go_tls_write_older"),
];

/// What the kernel offers to programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Helpers {
    /// All that we use.
    Newer,
    /// No loops: of an operation of more than 1 MiB the first pieces are captured, the rest is a
    /// hole.
    Older,
}

impl Helpers {
    /// What the kernel with this type information has.
    pub(super) fn of(btf: &Btf<'_>) -> Self {
        match btf.enumerator("bpf_func_id", "BPF_FUNC_loop") {
            Some(_) => Self::Newer,
            None => Self::Older,
        }
    }

    /// The program to load in the place of `name`.
    pub(super) fn program(self, name: &'static str) -> &'static str {
        let older = OLDER.iter().find(|(newer, _)| *newer == name);
        match (self, older) {
            (Self::Older, Some((_, older))) => older,
            _ => name,
        }
    }
}
