//! What a hook site is.

/// What a hooked function does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Function {
    /// Plaintext comes in: `SSL_read`, `SSL_read_ex`.
    Read,
    /// Plaintext goes out: `SSL_write`, `SSL_write_ex`, `SSL_write_ex2`.
    Write,
    /// `SSL_shutdown`: this side has nothing more to say.
    Shutdown,
    /// `SSL_free`: the pointer means nothing from here on.
    Free,
}

/// Whether a site sees the way in or the way out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum When {
    /// A uprobe: fires before the instruction runs.
    Entry,
    /// A uretprobe: fires when the function that begins here has returned.
    Return,
}

/// Where the arguments and the byte count stand (System V AMD64 on x86-64, AAPCS64 on Arm, where
/// read x0 for rdi, x1 for rsi, x2 for rdx, x3 for rcx, x4 for r8).
///
/// **Pairing.** Key the entry by thread and compare stack pointers: the return hook belongs to
/// the entry whose stack pointer plus [`Site::return_stack_delta`] is the stack pointer at the
/// return hook. A callee of an `Inner` site has other callers too (OpenSSL's own BIO for TLS
/// within TLS); their returns have other stack pointers, and are not ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Abi {
    /// `f(ssl = rdi, buf = rsi, num = rdx)`; returns the byte count as `int`, 0 or less means
    /// none. Of [`Function::Shutdown`] and [`Function::Free`] only `ssl` means anything.
    Direct,
    /// `f(ssl = rdi, buf = rsi, num = rdx, count = rcx)`; returns 1 for success, the byte count
    /// is at `*count`.
    DirectEx,
    /// `f(ssl = rdi, buf = rsi, num = rdx, flags = rcx, count = r8)`; as [`Abi::DirectEx`].
    DirectEx2,
    /// The `call` of an internal function with the registers of [`Abi::DirectEx`]; the function
    /// returns more than 0 for success, the byte count is at `*count`. `num` may be the 32-bit
    /// argument, extended.
    InnerRcx,
    /// The `call` of an internal function with the registers of [`Abi::DirectEx2`]; returns as
    /// [`Abi::InnerRcx`].
    InnerR8,
}

/// What one hit costs in the hooked thread (measured: docs/tls.md).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cost {
    /// The kernel emulates the instruction: about half a microsecond.
    Emulated,
    /// The kernel single-steps a copy of the instruction: three times that on bare metal, some
    /// 20 µs in a virtual machine.
    SingleStep,
}

/// One place to hook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// Where in the file: what the kernel wants for a uprobe.
    pub file_offset: u64,
    /// The same place as an address before relocation.
    pub address: u64,
    /// What the hooked function does.
    pub function: Function,
    /// The exported functions that this site serves; several share the return of one callee.
    pub symbols: Vec<&'static str>,
    /// The way in or the way out.
    pub when: When,
    /// Where the arguments and the count stand.
    pub abi: Abi,
    /// What a hit costs.
    pub cost: Cost,
    /// The stack pointer at the return hook less the stack pointer at the entry hook, in bytes:
    /// 8 where the entry hook sees the return address on top of the stack, 0 at a `call` and on
    /// Arm.
    pub return_stack_delta: u8,
    /// Why this place was chosen, a sentence for `doctor`.
    pub why: &'static str,
}

/// An exported function that needs no site, because it always goes through another that has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forward {
    /// The function without a site.
    pub from: &'static str,
    /// The function that it goes through.
    pub to: &'static str,
}

/// All sites of one file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OpenSslSites {
    /// The sites, by file offset; no two of one offset and [`When`].
    pub sites: Vec<Site>,
    /// Functions that are seen by way of another.
    pub forwards: Vec<Forward>,
    /// Functions whose bytes may be counted twice, because they may go through another hooked
    /// function and this could be neither proven nor ruled out.
    pub uncertain: Vec<&'static str>,
}

impl OpenSslSites {
    /// The dearest cost of the sites that see data.
    #[must_use]
    pub fn worst_cost(&self) -> Cost {
        let transfers = self
            .sites
            .iter()
            .filter(|site| matches!(site.function, Function::Read | Function::Write));
        transfers
            .map(|site| site.cost)
            .max()
            .unwrap_or(Cost::Emulated)
    }
}

/// The functions that are hooked.
pub(super) const HOOKED: [(&str, Function); 7] = [
    ("SSL_read", Function::Read),
    ("SSL_read_ex", Function::Read),
    ("SSL_write", Function::Write),
    ("SSL_write_ex", Function::Write),
    ("SSL_write_ex2", Function::Write),
    ("SSL_shutdown", Function::Shutdown),
    ("SSL_free", Function::Free),
];

/// The functions that look at data without taking it; what they share must not be hooked.
pub(super) const PEEKS: [&str; 2] = ["SSL_peek", "SSL_peek_ex"];

/// All names that are looked up.
pub(super) const LOOKED_UP: [&str; 9] = [
    "SSL_read",
    "SSL_read_ex",
    "SSL_write",
    "SSL_write_ex",
    "SSL_write_ex2",
    "SSL_shutdown",
    "SSL_free",
    "SSL_peek",
    "SSL_peek_ex",
];

/// What the function of this name does, if it is hooked.
pub(super) fn function_of(name: &str) -> Option<Function> {
    HOOKED
        .iter()
        .find(|(hooked, _function)| *hooked == name)
        .map(|(_name, function)| *function)
}

/// The convention of an exported function that is hooked itself.
pub(super) fn direct_abi(name: &str) -> Abi {
    match name {
        "SSL_read_ex" | "SSL_write_ex" => Abi::DirectEx,
        "SSL_write_ex2" => Abi::DirectEx2,
        _ => Abi::Direct,
    }
}
