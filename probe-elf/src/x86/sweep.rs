//! A look at each instruction of a function in turn, whether or not it can be reached.

use iced_x86::{Decoder, DecoderOptions, OpKind};
use object::read::ReadRef;

use crate::image::Image;

/// `SSL_peek` has some 200 bytes, with all that it calls inlined some 1000.
const MAX_SIZE: u64 = 64 << 10;

/// All addresses that the function's direct calls and jumps name.
///
/// More than it can really reach, where bytes between functions decode as code; never less, as
/// long as the compiler puts no data between instructions.
pub(crate) fn near_targets<'d, R: ReadRef<'d>>(
    image: &Image<R>,
    address: u64,
    size: u64,
) -> Vec<u64> {
    let code = image
        .address_bytes(address, size.min(MAX_SIZE))
        .unwrap_or_default();
    Decoder::with_ip(64, code, address, DecoderOptions::NONE)
        .iter()
        .filter(|instruction| instruction.op0_kind() == OpKind::NearBranch64)
        .map(|instruction| instruction.near_branch_target())
        .collect()
}
