//! Places within one function, by disassembly. The Go compiler puts no data between
//! instructions, so that a function is decoded from its start to its end.

use iced_x86::{
    Decoder, DecoderOptions, FlowControl, Instruction, InstructionInfoFactory, Mnemonic, OpAccess,
    OpKind, Register,
};
use object::read::ReadRef;

use super::table::Span;
use super::{Hook, Site};
use crate::image::Image;
use crate::tls::Cost;
use crate::x86::emulation::is_emulated;

/// `(*persistConn).roundTrip` has some 4000 bytes.
const MAX_SIZE: u64 = 64 << 10;
/// The check of the stack is one of the first instructions.
const PROLOGUE: usize = 6;
/// `ret`s that are hooked at most; `Read` has eight.
const MAX_RETURNS: usize = 32;
/// `g.stackguard0`, which the check compares with.
const STACK_GUARD: u64 = 16;
/// The registers of the first three arguments, and of the goroutine.
const HELD: [Register; 4] = [Register::RAX, Register::RBX, Register::RCX, Register::R14];

/// A decoded function.
pub(super) struct Function {
    code: Vec<Step>,
    /// File offset less address.
    skew: u64,
}

struct Step {
    instruction: Instruction,
    emulated: bool,
}

impl Function {
    /// All instructions of a function; `None` where there is something else.
    pub(super) fn decode<'d, R: ReadRef<'d>>(
        image: &Image<R>,
        text: u64,
        span: Span,
    ) -> Option<Self> {
        let address = text.checked_add(span.start.into())?;
        let size = u64::from(span.end.checked_sub(span.start)?);
        if size > MAX_SIZE || !image.is_code(address) {
            return None;
        }
        let bytes = image.address_bytes(address, size)?;
        if bytes.len() as u64 != size {
            return None;
        }
        let mut code = Vec::new();
        for instruction in &mut Decoder::with_ip(64, bytes, address, DecoderOptions::NONE) {
            let at = usize::try_from(instruction.ip().checked_sub(address)?).ok()?;
            if instruction.is_invalid() {
                return None;
            }
            let emulated = is_emulated(bytes.get(at..)?);
            code.push(Step {
                instruction,
                emulated,
            });
        }
        let skew = image.offset_of(address)?.wrapping_sub(address);
        Some(Self { code, skew })
    }

    /// Where the function begins: behind the comparison of the stack, with all arguments still
    /// in their registers.
    pub(super) fn beginning(&self, hook: Hook) -> Option<Site> {
        let check = self.code.iter().take(PROLOGUE).position(checks_stack)?;
        let jump = self.code.get(check + 1)?;
        if jump.instruction.mnemonic() != Mnemonic::Jbe {
            return None;
        }
        let pushes = |step: &&Step| {
            step.instruction.mnemonic() == Mnemonic::Push
                && step.instruction.op0_register() == Register::RBP
        };
        let place = self.code.get(check + 2).filter(pushes).unwrap_or(jump);
        let mut info = InstructionInfoFactory::new();
        let mut before = self.code.iter().take(check + 1);
        let holds = before.all(|step| keeps_arguments(&step.instruction, &mut info));
        let first = self.code.first()?.instruction.ip();
        let at = place.instruction.ip();
        let around = self.targets().any(|target| target > first && target <= at);
        (holds && !around).then(|| self.site(place, hook))
    }

    /// The one call of the function at `callee`; `None` if there are several.
    pub(super) fn only_call(&self, callee: u64, hook: Hook) -> Option<Site> {
        let calls = |step: &&Step| {
            step.instruction.mnemonic() == Mnemonic::Call && target(step) == Some(callee)
        };
        let mut calls = self.code.iter().filter(calls);
        let (call, None) = (calls.next()?, calls.next()) else {
            return None;
        };
        Some(self.site(call, hook))
    }

    /// Every way out.
    pub(super) fn returns(&self, hook: Hook) -> Option<Vec<Site>> {
        let returns = |step: &&Step| step.instruction.flow_control() == FlowControl::Return;
        let all: Vec<Site> = self
            .code
            .iter()
            .filter(returns)
            .take(MAX_RETURNS + 1)
            .map(|step| self.site(step, hook))
            .collect();
        (1..=MAX_RETURNS).contains(&all.len()).then_some(all)
    }

    fn targets(&self) -> impl Iterator<Item = u64> {
        self.code.iter().filter_map(target)
    }

    fn site(&self, step: &Step, hook: Hook) -> Site {
        let address = step.instruction.ip();
        Site {
            file_offset: address.wrapping_add(self.skew),
            address,
            hook,
            cost: if step.emulated {
                Cost::Emulated
            } else {
                Cost::SingleStep
            },
        }
    }
}

/// Where a direct call or jump goes.
fn target(step: &Step) -> Option<u64> {
    (step.instruction.op0_kind() == OpKind::NearBranch64)
        .then(|| step.instruction.near_branch_target())
}

/// `cmp rsp, [r14+16]`, or another register in place of rsp where the frame is large.
fn checks_stack(step: &Step) -> bool {
    let code = &step.instruction;
    code.mnemonic() == Mnemonic::Cmp
        && code.op1_kind() == OpKind::Memory
        && code.memory_base() == Register::R14
        && code.memory_index() == Register::None
        && code.memory_displacement64() == STACK_GUARD
}

fn keeps_arguments(code: &Instruction, info: &mut InstructionInfoFactory) -> bool {
    info.info(code).used_registers().iter().all(|used| {
        let reads = matches!(
            used.access(),
            OpAccess::None | OpAccess::Read | OpAccess::CondRead | OpAccess::NoMemAccess
        );
        reads || !HELD.contains(&used.register().full_register())
    })
}
