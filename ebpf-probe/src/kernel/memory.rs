//! Gives back what loading took.

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
