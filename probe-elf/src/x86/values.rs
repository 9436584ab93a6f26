//! What is known of the general registers at one point of a function, and how an instruction
//! changes it.
//!
//! A value is known only if it is so on every path: where paths join, what differs is unknown.

use iced_x86::{Instruction, InstructionInfoFactory, Mnemonic, OpAccess, OpKind, Register};

/// What a register holds, in terms of the function's entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Value {
    /// The argument with this index (System V AMD64: rdi, rsi, rdx, rcx, r8), unchanged.
    Argument(u8),
    /// The low 32 bits of the argument, extended by sign or by zero.
    Extended(u8),
    /// The stack pointer at entry plus this many bytes.
    Stack(i32),
    /// A constant; the upper 32 bits are 0.
    Constant(u32),
    /// Anything.
    Unknown,
}

/// The registers that carry the arguments, in order (System V AMD64 ABI, 3.2.3).
const ARGUMENTS: [Register; 5] = [
    Register::RDI,
    Register::RSI,
    Register::RDX,
    Register::RCX,
    Register::R8,
];
/// The registers that a call may change (System V AMD64 ABI, figure 3.4).
const CALL_CLOBBERED: [Register; 9] = [
    Register::RAX,
    Register::RCX,
    Register::RDX,
    Register::RSI,
    Register::RDI,
    Register::R8,
    Register::R9,
    Register::R10,
    Register::R11,
];

/// The sixteen general registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Registers([Value; 16]);

impl Registers {
    /// At the entry of a function with so many arguments.
    pub(crate) fn at_entry(arguments: u8) -> Self {
        let mut registers = Self([Value::Unknown; 16]);
        for (index, register) in (0..arguments).zip(ARGUMENTS) {
            registers.set(register, Value::Argument(index));
        }
        registers.set(Register::RSP, Value::Stack(0));
        registers
    }

    /// What a 64-bit general register holds; unknown for any other register.
    pub(crate) fn get(&self, register: Register) -> Value {
        slot(register).map_or(Value::Unknown, |slot| self.0[slot])
    }

    /// Keeps what is the same in both; true if that changed anything here.
    pub(crate) fn join(&mut self, other: &Self) -> bool {
        let before = *self;
        for (mine, theirs) in self.0.iter_mut().zip(other.0) {
            if *mine != theirs {
                *mine = Value::Unknown;
            }
        }
        *self != before
    }

    /// After a call has returned.
    pub(crate) fn after_call(mut self) -> Self {
        for register in CALL_CLOBBERED {
            self.set(register, Value::Unknown);
        }
        self
    }

    /// After an instruction that is no branch.
    pub(crate) fn after(mut self, code: &Instruction, info: &mut InstructionInfoFactory) -> Self {
        let result = self.result_of(code);
        match (code.mnemonic(), self.get(Register::RSP)) {
            (Mnemonic::Push, Value::Stack(at)) => self.set(Register::RSP, stack(at, -8)),
            (Mnemonic::Pop, rsp) => {
                self.set(code.op0_register(), Value::Unknown);
                let popped = if let Value::Stack(at) = rsp {
                    stack(at, 8)
                } else {
                    rsp
                };
                self.set(Register::RSP, popped);
            }
            (Mnemonic::Leave, _) => {
                let frame = self.get(Register::RBP);
                let left = if let Value::Stack(at) = frame {
                    stack(at, 8)
                } else {
                    Value::Unknown
                };
                self.set(Register::RSP, left);
                self.set(Register::RBP, Value::Unknown);
            }
            _ => {
                self.forget_written(code, info);
                if let Some(value) = result {
                    self.set(code.op0_register(), value);
                }
            }
        }
        self
    }

    /// The value that the instruction's first operand gets, where it is one that we follow.
    fn result_of(&self, code: &Instruction) -> Option<Value> {
        if code.op_count() < 2 || code.op0_kind() != OpKind::Register {
            return None;
        }
        let (to, from) = (code.op0_register(), code.op1_register());
        let from_register = code.op1_kind() == OpKind::Register;
        match code.mnemonic() {
            Mnemonic::Mov if from_register && to.is_gpr64() => Some(self.get(from)),
            Mnemonic::Mov if from_register && to.is_gpr32() => {
                Some(extended(self.get(from.full_register())))
            }
            Mnemonic::Mov if is_immediate(code) && to.is_gpr64() => {
                Some(u32::try_from(code.immediate(1)).map_or(Value::Unknown, Value::Constant))
            }
            Mnemonic::Mov if is_immediate(code) && to.is_gpr32() => {
                Some(Value::Constant(code.immediate(1) as u32))
            }
            Mnemonic::Movsxd if from_register && to.is_gpr64() => {
                match extended(self.get(from.full_register())) {
                    // The constant's own sign extension is of no use to anybody here.
                    Value::Constant(_) => Some(Value::Unknown),
                    value => Some(value),
                }
            }
            Mnemonic::Xor | Mnemonic::Sub
                if from_register && to == from && !to.is_gpr8() && !to.is_gpr16() =>
            {
                Some(Value::Constant(0))
            }
            // How -1 is made when size counts.
            Mnemonic::Or
                if is_immediate(code) && to.is_gpr32() && code.immediate(1) as u32 == u32::MAX =>
            {
                Some(Value::Constant(u32::MAX))
            }
            Mnemonic::Add | Mnemonic::Sub | Mnemonic::Lea if to.is_gpr64() => self.moved(code),
            _ => None,
        }
    }

    /// A stack address, moved by a constant.
    fn moved(&self, code: &Instruction) -> Option<Value> {
        let (from, by) = match code.mnemonic() {
            Mnemonic::Lea if code.memory_index() == Register::None => (
                code.memory_base(),
                code.memory_displacement64().cast_signed(),
            ),
            Mnemonic::Add if is_immediate(code) => {
                (code.op0_register(), code.immediate(1).cast_signed())
            }
            Mnemonic::Sub if is_immediate(code) => (
                code.op0_register(),
                code.immediate(1).cast_signed().checked_neg()?,
            ),
            _ => return None,
        };
        let Value::Stack(at) = self.get(from) else {
            return None;
        };
        Some(stack(at, by))
    }

    fn forget_written(&mut self, code: &Instruction, info: &mut InstructionInfoFactory) {
        for used in info.info(code).used_registers() {
            let written = !matches!(
                used.access(),
                OpAccess::None | OpAccess::Read | OpAccess::CondRead | OpAccess::NoMemAccess
            );
            if written {
                self.set(used.register().full_register(), Value::Unknown);
            }
        }
    }

    fn set(&mut self, register: Register, value: Value) {
        if let Some(slot) = slot(register.full_register()) {
            self.0[slot] = value;
        }
    }
}

fn slot(register: Register) -> Option<usize> {
    register
        .is_gpr64()
        .then(|| register.number())
        .filter(|slot| *slot < 16)
}

fn stack(at: i32, by: i64) -> Value {
    let moved = i64::from(at).checked_add(by);
    moved
        .and_then(|moved| i32::try_from(moved).ok())
        .map_or(Value::Unknown, Value::Stack)
}

fn is_immediate(code: &Instruction) -> bool {
    matches!(
        code.op1_kind(),
        OpKind::Immediate8
            | OpKind::Immediate32
            | OpKind::Immediate64
            | OpKind::Immediate8to32
            | OpKind::Immediate8to64
            | OpKind::Immediate32to64
    )
}

/// A 32-bit read of a register, widened.
fn extended(value: Value) -> Value {
    match value {
        Value::Argument(index) | Value::Extended(index) => Value::Extended(index),
        Value::Constant(value) => Value::Constant(value),
        Value::Stack(_) | Value::Unknown => Value::Unknown,
    }
}
