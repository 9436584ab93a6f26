//! Memory of the kernel's and of ours.

use rustix::process::{Resource, Rlimit, setrlimit};

/// Lifts the limit on locked memory, which kernels before 5.11 hold maps against. Newer ones do
/// not, so a refusal is not told here: where it matters, the maps are refused too.
pub(super) fn lift_limit() {
    let unlimited = Rlimit {
        current: None,
        maximum: None,
    };
    let _ = setrlimit(Resource::Memlock, unlimited);
}

/// Returns free memory to the system: reading the kernel's type information takes some 30 MB
/// for a moment, which the allocator would otherwise keep for good.
#[expect(unsafe_code, reason = "a call into the C library")]
pub(super) fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it has no preconditions (malloc_trim(3)).
    unsafe {
        libc::malloc_trim(0);
    }
}
