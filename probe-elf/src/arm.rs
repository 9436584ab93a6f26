//! 64-bit Arm: just enough to see that one function only hands over to another.
//!
//! Encodings: Arm Architecture Reference Manual for A-profile, C4.1 "A64 instruction set encoding".

use object::read::ReadRef;

use crate::image::Image;
use crate::symbols::GotSlot;

/// A function that hands over does so within its first few instructions.
const MAX_INSTRUCTIONS: u64 = 16;
const PAGE: u64 = 4096;

/// The function that `address` hands over to: the name behind its first branch, if that branch is
/// a plain `b` or `bl` into the procedure linkage table, or the address that it leads to.
pub(crate) fn hands_over_to<'d, R: ReadRef<'d>>(
    image: &Image<R>,
    slots: &[GotSlot],
    address: u64,
) -> Option<Target> {
    let target = first_branch(&words(image, address), address)?;
    let name = stub_slot(&words(image, target), target)
        .and_then(|slot| slots.iter().find(|known| known.address == slot));
    Some(name.map_or(Target::Address(target), |slot| Target::Name(slot.name)))
}

/// Where a branch leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    /// Code of this file.
    Address(u64),
    /// A function by name.
    Name(&'static str),
}

fn words<'d, R: ReadRef<'d>>(image: &Image<R>, address: u64) -> Vec<u32> {
    let code = image
        .address_bytes(address, 4 * MAX_INSTRUCTIONS)
        .unwrap_or_default();
    let word = |bytes: &[u8]| Some(u32::from_le_bytes(bytes.try_into().ok()?));
    code.chunks_exact(4).filter_map(word).collect()
}

/// The target of the first instruction that can change the flow, if it is `b` or `bl`.
fn first_branch(words: &[u32], address: u64) -> Option<u64> {
    let (index, word) = words
        .iter()
        .enumerate()
        .find(|(_index, word)| is_branch(**word))?;
    // b and bl: 26 bits of signed distance in words.
    (word & 0x7c00_0000 == 0x1400_0000).then_some(())?;
    let distance = i64::from((word << 6).cast_signed() >> 6) * 4;
    let from = address.checked_add(4 * index as u64)?;
    from.checked_add_signed(distance)
}

/// Branches, exceptions and system instructions, without the hints (`nop`, `bti`, `paciasp`).
fn is_branch(word: u32) -> bool {
    let is_hint = word & 0xffff_f01f == 0xd503_201f;
    word & 0x1c00_0000 == 0x1400_0000 && !is_hint
}

/// The slot of a linkage stub: `adrp x16, page; ldr x17, [x16, offset]`, behind `bti c` or not.
fn stub_slot(words: &[u32], address: u64) -> Option<u64> {
    let skip = usize::from(words.first() == Some(&0xd503_245f));
    let (adrp, load) = (*words.get(skip)?, *words.get(skip + 1)?);
    let is_stub = adrp & 0x9f00_001f == 0x9000_0010 && load & 0xffc0_03ff == 0xf940_0211;
    is_stub.then_some(())?;
    let low = (adrp >> 29) & 3;
    let pages = (((adrp >> 5) & 0x7_ffff) << 2) | low;
    let pages = i64::from((pages << 11).cast_signed() >> 11);
    let from = address.checked_add(4 * skip as u64)?;
    let page = (from - from % PAGE).checked_add_signed(pages.checked_mul(PAGE.cast_signed())?)?;
    page.checked_add(u64::from((load >> 10) & 0xfff) * 8)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOV_X4_X3: u32 = 0xaa03_03e4;
    const MOV_X3_0: u32 = 0xd280_0003;
    const BTI_C: u32 = 0xd503_245f;
    const CBZ_X0: u32 = 0xb400_0040;

    #[test]
    fn the_first_branch_is_found_behind_moves_and_hints() {
        let b_forward = 0x1400_0004; // b +16
        let words = [BTI_C, MOV_X4_X3, MOV_X3_0, b_forward];
        assert_eq!(first_branch(&words, 0x1000), Some(0x1000 + 12 + 16));
        let bl_back = 0x97ff_ffff; // bl -4
        assert_eq!(first_branch(&[bl_back], 0x1000), Some(0xffc));
    }

    #[test]
    fn a_condition_before_it_is_no_handing_over() {
        assert_eq!(first_branch(&[CBZ_X0, 0x1400_0004], 0x1000), None);
        assert_eq!(first_branch(&[MOV_X3_0], 0x1000), None);
        assert_eq!(first_branch(&[0xd65f_03c0], 0x1000), None, "ret");
    }

    #[test]
    fn a_stub_names_its_slot() {
        let adrp = 0xb000_0010; // adrp x16, +1 page
        let load = 0xf942_5211; // ldr x17, [x16, #1184]
        assert_eq!(stub_slot(&[adrp, load], 0x1_2340), Some(0x1_3000 + 1184));
        assert_eq!(
            stub_slot(&[BTI_C, adrp, load], 0x1_2340),
            Some(0x1_3000 + 1184)
        );
        assert_eq!(stub_slot(&[load, adrp], 0x1_2340), None);
        assert_eq!(stub_slot(&[], 0x1_2340), None);
    }
}
