//! All paths through one function, with what the registers hold on them.
//!
//! Direct jumps are followed wherever they lead, so that no jump within the function, or from its
//! cold part, is overlooked. What cannot be known (a jump through a table, code that does not
//! decode, two instructions that overlap) is refused.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use iced_x86::{Decoder, DecoderOptions, FlowControl, Instruction, InstructionInfoFactory, OpKind};
use object::read::ReadRef;

use super::code::{Code, LONGEST};
use super::values::{Registers, Value};
use crate::image::Image;
use crate::symbols::GotSlot;

/// A function with more instructions is not a thin wrapper; `SSL_free` has some 400.
const MAX_INSTRUCTIONS: usize = 4096;
/// Visits of instructions. Each may be visited again when a register of it becomes unknown; real
/// functions need fewer than two visits an instruction.
const MAX_STEPS: usize = 20_000;

/// A function to be looked at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Subject {
    /// Its first instruction, before relocation.
    pub(crate) address: u64,
    /// Its size in bytes, more than 0.
    pub(crate) size: u64,
    /// How many arguments it takes.
    pub(crate) arguments: u8,
}

/// Where a call or a tail jump goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    /// Code of this file.
    Address(u64),
    /// A function by name, through the global offset table.
    Name(&'static str),
    /// Through a register or memory.
    Indirect,
}

/// A call, or a jump that leaves the function for good.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Transfer {
    /// The instruction's address.
    pub(crate) address: u64,
    /// Whether the kernel emulates the instruction.
    pub(crate) emulated: bool,
    /// Where it goes.
    pub(crate) target: Target,
    /// Whether it is a tail jump.
    pub(crate) is_jump: bool,
    /// Where a call comes back to; nowhere if it is a jump or the function's last instruction.
    pub(crate) comes_back: Option<u64>,
    /// The registers when it is reached.
    pub(crate) registers: Registers,
}

/// An instruction on the straight line from the entry to the first branch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Step {
    /// The instruction's address.
    pub(crate) address: u64,
    /// Whether the kernel emulates it.
    pub(crate) emulated: bool,
    /// The registers when it is reached.
    pub(crate) registers: Registers,
}

/// Why a function could not be understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The file has no readable code at an address that is jumped to, or it does not decode.
    Undecodable,
    /// A jump through a register or a table, within the function.
    IndirectJump,
    /// Two instructions share bytes.
    Overlap,
    /// The function is too large.
    TooLarge,
    /// A path runs over the end of the function.
    RunsOver,
}

/// The outcome: every way out of the function.
#[derive(Debug, Default)]
pub(crate) struct Flow {
    /// Calls and tail jumps, by address.
    pub(crate) transfers: Vec<Transfer>,
    /// What `rax` holds at each return.
    pub(crate) returns: Vec<Value>,
    /// The instructions that always run first, up to and with the first branch, none of which is
    /// jumped to.
    pub(crate) prefix: Vec<Step>,
}

/// Walks all paths of `subject`. A path ends at a transfer to `cut`.
pub(crate) fn explore<'d, R: ReadRef<'d>>(
    image: &Image<R>,
    slots: &[GotSlot],
    subject: Subject,
    cut: Option<Target>,
) -> Result<Flow, Refusal> {
    let entry = (subject.address, Registers::at_entry(subject.arguments));
    explore_from(image, slots, subject, entry, cut)
}

/// Walks all paths of `subject` that begin at another place than its entry.
pub(crate) fn explore_from<'d, R: ReadRef<'d>>(
    image: &Image<R>,
    slots: &[GotSlot],
    subject: Subject,
    start: (u64, Registers),
    cut: Option<Target>,
) -> Result<Flow, Refusal> {
    let mut walk = Walk {
        code: Code::new(image),
        slots,
        subject,
        cut,
        info: InstructionInfoFactory::new(),
        visited: BTreeMap::new(),
        landed: BTreeSet::new(),
    };
    walk.run(start)?;
    walk.refuse_overlaps()?;
    walk.flow()
}

/// Where a jump stub of the procedure linkage table leads to, if `address` is one.
pub(crate) fn stub_target<'d, R: ReadRef<'d>>(
    image: &Image<R>,
    slots: &[GotSlot],
    address: u64,
) -> Option<&'static str> {
    let code = image.address_bytes(address, 2 * LONGEST)?;
    let skip = super::emulation::endbr_length(code);
    let code = code.get(usize::try_from(skip).ok()?..)?;
    let jump =
        Decoder::with_ip(64, code, address.wrapping_add(skip), DecoderOptions::NONE).decode();
    (jump.flow_control() == FlowControl::IndirectBranch).then(|| slot_name(slots, &jump))?
}

fn slot_name(slots: &[GotSlot], jump: &Instruction) -> Option<&'static str> {
    if !jump.is_ip_rel_memory_operand() {
        return None;
    }
    let address = jump.ip_rel_memory_address();
    slots
        .iter()
        .find(|slot| slot.address == address)
        .map(|slot| slot.name)
}

struct Visit {
    instruction: Instruction,
    emulated: bool,
    registers: Registers,
}

struct Walk<'i, 'd, R> {
    code: Code<'i, 'd, R>,
    slots: &'i [GotSlot],
    subject: Subject,
    cut: Option<Target>,
    info: InstructionInfoFactory,
    visited: BTreeMap<u64, Visit>,
    /// Addresses that some jump leads to.
    landed: BTreeSet<u64>,
}

impl<'d, R: ReadRef<'d>> Walk<'_, 'd, R> {
    fn run(&mut self, start: (u64, Registers)) -> Result<(), Refusal> {
        let mut pending = vec![start];
        let mut steps = 0;
        while let Some((address, registers)) = pending.pop() {
            steps += 1;
            if steps > MAX_STEPS || self.visited.len() > MAX_INSTRUCTIONS {
                return Err(Refusal::TooLarge);
            }
            if let Some(registers) = self.arrive(address, registers)? {
                pending.extend(self.leave(address, registers)?);
            }
        }
        Ok(())
    }

    /// Notes the arrival; gives the registers to go on with if anything is new.
    fn arrive(&mut self, address: u64, registers: Registers) -> Result<Option<Registers>, Refusal> {
        if let Some(visit) = self.visited.get_mut(&address) {
            let changed = visit.registers.join(&registers);
            return Ok(changed.then_some(visit.registers));
        }
        let bytes = self.code.at(address)?;
        let instruction = Decoder::with_ip(64, bytes, address, DecoderOptions::NONE).decode();
        if instruction.is_invalid() {
            return Err(Refusal::Undecodable);
        }
        let emulated = super::emulation::is_emulated(bytes);
        self.visited.insert(
            address,
            Visit {
                instruction,
                emulated,
                registers,
            },
        );
        Ok(Some(registers))
    }

    /// The ways on from an instruction.
    fn leave(
        &mut self,
        address: u64,
        registers: Registers,
    ) -> Result<Vec<(u64, Registers)>, Refusal> {
        let Some(instruction) = self.visited.get(&address).map(|visit| visit.instruction) else {
            return Ok(Vec::new());
        };
        let next = instruction.next_ip();
        match instruction.flow_control() {
            FlowControl::Return | FlowControl::Exception | FlowControl::Interrupt => Ok(Vec::new()),
            FlowControl::Next => {
                let after = registers.after(&instruction, &mut self.info);
                Ok(vec![(self.within(next)?, after)])
            }
            FlowControl::ConditionalBranch => {
                let target = near_target(&instruction)?;
                self.landed.insert(target);
                Ok(vec![(target, registers), (self.within(next)?, registers)])
            }
            FlowControl::UnconditionalBranch => {
                let target = near_target(&instruction)?;
                if self.is_tail(target, &registers) {
                    return Ok(Vec::new());
                }
                self.landed.insert(target);
                Ok(vec![(target, registers)])
            }
            FlowControl::IndirectBranch if slot_name(self.slots, &instruction).is_some() => {
                Ok(Vec::new())
            }
            FlowControl::Call | FlowControl::IndirectCall => {
                let ends = self.is_cut(&instruction) || self.is_past_end(next);
                Ok(if ends {
                    Vec::new()
                } else {
                    vec![(next, registers.after_call())]
                })
            }
            // A tail call through a register looks like a jump table; either may be meant.
            FlowControl::IndirectBranch => Err(Refusal::IndirectJump),
            FlowControl::XbeginXabortXend => Err(Refusal::Undecodable),
        }
    }

    /// A call that is the function's last instruction does not return.
    fn is_past_end(&self, address: u64) -> bool {
        self.subject
            .address
            .checked_add(self.subject.size)
            .is_none_or(|end| address == end)
    }

    fn within(&self, next: u64) -> Result<u64, Refusal> {
        if self.is_past_end(next) {
            Err(Refusal::RunsOver)
        } else {
            Ok(next)
        }
    }

    fn is_inside(&self, address: u64) -> bool {
        address
            .checked_sub(self.subject.address)
            .is_some_and(|at| at < self.subject.size)
    }

    fn is_tail(&self, target: u64, registers: &Registers) -> bool {
        !self.is_inside(target) && at_entry_level(registers)
    }

    fn is_cut(&self, call: &Instruction) -> bool {
        self.cut.is_some_and(|cut| self.target_of(call) == cut)
    }

    fn target_of(&self, instruction: &Instruction) -> Target {
        if let Some(name) = slot_name(self.slots, instruction) {
            return Target::Name(name);
        }
        let Ok(address) = near_target(instruction) else {
            return Target::Indirect;
        };
        stub_target(self.code.image(), self.slots, address)
            .map_or(Target::Address(address), Target::Name)
    }

    fn refuse_overlaps(&self) -> Result<(), Refusal> {
        let mut end = 0;
        for (address, visit) in &self.visited {
            if *address < end {
                return Err(Refusal::Overlap);
            }
            end = visit.instruction.next_ip();
        }
        Ok(())
    }

    fn flow(&self) -> Result<Flow, Refusal> {
        let mut flow = Flow {
            prefix: self.prefix(),
            ..Flow::default()
        };
        for (address, visit) in &self.visited {
            let Visit {
                instruction,
                emulated,
                registers,
            } = visit;
            let control = instruction.flow_control();
            let leaves = match control {
                FlowControl::Return => {
                    flow.returns.push(registers.get(iced_x86::Register::RAX));
                    false
                }
                FlowControl::Call | FlowControl::IndirectCall | FlowControl::IndirectBranch => true,
                FlowControl::UnconditionalBranch => {
                    self.is_tail(near_target(instruction)?, registers)
                }
                _ => false,
            };
            if leaves {
                let is_jump = !matches!(control, FlowControl::Call | FlowControl::IndirectCall);
                let next = instruction.next_ip();
                flow.transfers.push(Transfer {
                    address: *address,
                    emulated: *emulated,
                    target: self.target_of(instruction),
                    is_jump,
                    comes_back: (!is_jump && !self.is_past_end(next)).then_some(next),
                    registers: *registers,
                });
            }
        }
        Ok(flow)
    }

    fn prefix(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        let mut address = self.subject.address;
        while let Some(visit) = self.visited.get(&address) {
            if self.landed.contains(&address) {
                break;
            }
            let Visit {
                instruction,
                emulated,
                registers,
            } = visit;
            steps.push(Step {
                address,
                emulated: *emulated,
                registers: *registers,
            });
            if instruction.flow_control() != FlowControl::Next {
                break;
            }
            address = instruction.next_ip();
        }
        steps
    }
}

fn at_entry_level(registers: &Registers) -> bool {
    registers.get(iced_x86::Register::RSP) == Value::Stack(0)
}

fn near_target(instruction: &Instruction) -> Result<u64, Refusal> {
    if instruction.op0_kind() == OpKind::NearBranch64 {
        Ok(instruction.near_branch_target())
    } else {
        Err(Refusal::Undecodable)
    }
}
