//! Proofs about thin wrappers: that each successful way through a function passes one callee,
//! and that the function's arguments stand in known registers when it is called.

use iced_x86::Register;
use object::read::ReadRef;

use super::flow::{self, Flow, Refusal, Subject, Target, Transfer};
use super::values::{Registers, Value};
use crate::image::Image;
use crate::symbols::GotSlot;

/// Calls that could be the wrapped one, and ways into it: each costs a walk of the function, and
/// real wrappers have one of each.
const MAX_CANDIDATES: usize = 4;

/// Which register holds the `size_t *` for the byte count when the callee is entered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Out {
    /// `internal(ssl, buf, num, *count)`.
    Rcx,
    /// `internal(ssl, buf, num, flags, *count)`, OpenSSL 3.3 and later.
    R8,
}

/// Where the exported function itself gets its `size_t *` from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Count {
    /// It returns the count and keeps the variable on its stack.
    Local,
    /// It is the argument with this index.
    Argument(u8),
}

/// A wrapper around one internal function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Inner {
    /// The `call` (or tail `jmp`) instructions that lead into the callee, each emulated.
    pub(crate) calls: Vec<u64>,
    /// Whether they are tail jumps.
    pub(crate) is_jump: bool,
    /// The internal function.
    pub(crate) callee: u64,
    /// Where the count goes.
    pub(crate) out: Out,
}

/// The one internal function that `subject` wraps, if that can be proven.
pub(crate) fn inner<'d, R: ReadRef<'d>>(
    image: &Image<R>,
    slots: &[GotSlot],
    subject: Subject,
    count: Count,
    flow: &Flow,
) -> Option<Inner> {
    flow.transfers
        .iter()
        .filter(|way| out_register(&way.registers, count).is_some())
        .take(MAX_CANDIDATES)
        .find_map(|way| prove(image, slots, subject, count, &flow.transfers, way))
}

/// Whether the callee of `candidate` is what `subject` wraps:
/// all ways into it have the arguments in place, no success goes around it, and nothing else is
/// called behind it. So a check that is handed the same arguments before is not mistaken for it.
fn prove<'d, R: ReadRef<'d>>(
    image: &Image<R>,
    slots: &[GotSlot],
    subject: Subject,
    count: Count,
    transfers: &[Transfer],
    candidate: &Transfer,
) -> Option<Inner> {
    let Target::Address(callee) = candidate.target else {
        return None;
    };
    let out = out_register(&candidate.registers, count)?;
    let ways = || {
        transfers
            .iter()
            .filter(|way| way.target == candidate.target)
    };
    let few = ways().count() <= MAX_CANDIDATES;
    let alike = few
        && ways().all(|way| {
            way.emulated
                && way.is_jump == candidate.is_jump
                && out_register(&way.registers, count) == Some(out)
        });
    let proven = alike
        && ways().all(|way| is_last(image, slots, subject, way))
        && always_passes(image, slots, subject, candidate.target);
    proven.then(|| Inner {
        calls: ways().map(|way| way.address).collect(),
        is_jump: candidate.is_jump,
        callee,
        out,
    })
}

/// Whether nothing is called behind `call`, but for what does not come back (the alarm of the
/// stack protector).
fn is_last<'d, R: ReadRef<'d>>(
    image: &Image<R>,
    slots: &[GotSlot],
    subject: Subject,
    call: &Transfer,
) -> bool {
    let Some(next) = call.comes_back else {
        return call.is_jump;
    };
    let start = (next, call.registers.after_call());
    let behind = flow::explore_from(image, slots, subject, start, None);
    behind.is_ok_and(|flow| {
        flow.transfers
            .iter()
            .all(|way| !way.is_jump && way.comes_back.is_none())
    })
}

/// Whether each path that does not pass `target` returns a constant of 0 or less.
///
/// Shown on the function without the paths behind calls of `target`.
pub(crate) fn always_passes<'d, R: ReadRef<'d>>(
    image: &Image<R>,
    slots: &[GotSlot],
    subject: Subject,
    target: Target,
) -> bool {
    let Ok(around): Result<Flow, Refusal> = flow::explore(image, slots, subject, Some(target))
    else {
        return false;
    };
    let fails = |value: &Value| matches!(value, Value::Constant(value) if value.cast_signed() <= 0);
    let leaves_elsewhere = around
        .transfers
        .iter()
        .any(|transfer| transfer.is_jump && transfer.target != target);
    around.returns.iter().all(fails) && !leaves_elsewhere
}

/// The register of the count, if the first three arguments are in place too.
fn out_register(registers: &Registers, count: Count) -> Option<Out> {
    let length = registers.get(Register::RDX);
    let in_place = registers.get(Register::RDI) == Value::Argument(0)
        && registers.get(Register::RSI) == Value::Argument(1)
        && matches!(length, Value::Argument(2) | Value::Extended(2));
    let is_count = |value: Value| match count {
        Count::Local => matches!(value, Value::Stack(_)),
        Count::Argument(index) => value == Value::Argument(index),
    };
    let fourth = registers.get(Register::RCX);
    let is_flags = matches!(fourth, Value::Constant(0) | Value::Argument(3));
    if !in_place {
        None
    } else if is_count(fourth) {
        Some(Out::Rcx)
    } else if is_flags && is_count(registers.get(Register::R8)) {
        Some(Out::R8)
    } else {
        None
    }
}
