//! Which instructions the kernel's uprobes emulate instead of single-stepping them.
//!
//! Source: `arch/x86/kernel/uprobes.c` of Linux 5.10 to 6.18, `branch_setup_xol_ops` and
//! `push_setup_xol_ops`. Kernels from 6.18 emulate multi-byte `nop` too; it is left out here,
//! because the answer has to hold for all of them. `endbr64` is single-stepped everywhere.

/// The instruction that marks a target of indirect branches (Intel CET), four bytes.
const ENDBR64: [u8; 4] = [0xf3, 0x0f, 0x1e, 0xfa];
/// The operand-size prefix, with which a branch is not emulated but a `nop` is.
const OPERAND_SIZE: u8 = 0x66;
/// The prefix that compilers once put before branches for memory protection; it does nothing.
const BND: u8 = 0xf2;
/// The prefix that makes a `push` one of r8 to r15; any other prefix is single-stepped.
const REX_B: u8 = 0x41;

/// Whether the kernel emulates the instruction that these bytes begin with.
///
/// Conservative: an unusual encoding counts as single-stepped.
pub(crate) fn is_emulated(code: &[u8]) -> bool {
    let push = matches!(*code, [0x50..=0x57, ..] | [REX_B, 0x50..=0x57, ..]);
    let nop = matches!(*code, [0x90, ..] | [OPERAND_SIZE, 0x90, ..]);
    // call rel32, jmp rel32, jmp rel8, jcc rel8, jcc rel32; also with the bnd prefix.
    let branch = code.strip_prefix(&[BND]).unwrap_or(code);
    let near = matches!(
        *branch,
        [0xe8 | 0xe9 | 0xeb | 0x70..=0x7f, ..] | [0x0f, 0x80..=0x8f, ..]
    );
    push || nop || near
}

/// How many bytes of `endbr64` stand at the start of a function: 4 or 0.
///
/// The stack pointer is the same before and after it, so that a hook right behind it sees the
/// return address and all arguments as a hook on the first instruction does.
pub(crate) fn endbr_length(code: &[u8]) -> u64 {
    if code.starts_with(&ENDBR64) { 4 } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pushes_branches_and_calls_are_emulated() {
        let emulated: [&[u8]; 12] = [
            &[0x55],                         // push rbp
            &[0x41, 0x57],                   // push r15
            &[0x90],                         // nop
            &[0x66, 0x90],                   // xchg ax,ax
            &[0xe8, 0, 0, 0, 0],             // call
            &[0xf2, 0xe8, 0, 0, 0, 0],       // bnd call
            &[0xe9, 0, 0, 0, 0],             // jmp
            &[0xeb, 0],                      // jmp short
            &[0x78, 0],                      // js short
            &[0x0f, 0x88, 0, 0, 0, 0],       // js
            &[0xf2, 0x0f, 0x84, 0, 0, 0, 0], // bnd je
            &[0x41, 0x50],                   // push r8
        ];
        for code in emulated {
            assert!(is_emulated(code), "{code:02x?}");
        }
    }

    #[test]
    fn everything_else_is_single_stepped() {
        let stepped: [&[u8]; 12] = [
            &[],
            &[0xf3, 0x0f, 0x1e, 0xfa], // endbr64
            &[0x48, 0x83, 0xec, 0x18], // sub rsp,0x18
            &[0xc3],                   // ret
            &[0x48, 0x55],             // push rbp with an idle REX.W
            &[0x42, 0x55],             // push rbp with an idle REX.X
            &[0x66, 0x55],             // push bp
            &[0x66, 0xe8, 0, 0, 0, 0], // callw
            &[0xff, 0xd0],             // call rax
            &[0xff, 0x25, 0, 0, 0, 0], // jmp [rip]
            &[0xe3, 0],                // jrcxz
            &[0x0f, 0x1f, 0x44, 0, 0], // nopl, emulated from 6.18 only
        ];
        for code in stepped {
            assert!(!is_emulated(code), "{code:02x?}");
        }
    }

    #[test]
    fn endbr_is_stepped_over() {
        assert_eq!(endbr_length(&[0xf3, 0x0f, 0x1e, 0xfa, 0x55]), 4);
        assert_eq!(endbr_length(&[0xf3, 0x0f, 0x1e, 0xfb, 0x55]), 0);
        assert_eq!(endbr_length(&[0xf3]), 0);
    }
}
