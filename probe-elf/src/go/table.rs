//! The table of a Go program's functions (`.gopclntab`), which the runtime itself reads, so that
//! `strip` leaves it: names to addresses.

use object::elf::{self, Rela64};
use object::endian::LittleEndian;
use object::pod;
use object::read::ReadRef;

use crate::image::Image;

/// The table of a large program: kubernetes has 20 MB.
const MAX_TABLE: u64 = 64 << 20;
/// `pcHeader.magic` of Go 1.2, 1.16, 1.18 and 1.20 (`internal/abi` and `debug/gosym`).
const MAGICS: [u32; 4] = [0xffff_fffb, 0xffff_fffa, OFFSETS[0], OFFSETS[1]];
/// Those whose functions stand at offsets from the start of the text, as 32-bit numbers.
const OFFSETS: [u32; 2] = [0xffff_fff0, 0xffff_fff1];
/// `pcHeader.textStart`: an address up to Go 1.25, 0 from then on.
const HEADER_TEXT: u64 = 24;
/// `moduledata.text`, which has its own section from Go 1.26 on (`runtime/symtab.go`).
const MODULE_TEXT: u64 = 176;
/// Relocations of a large position-independent program: some hundred thousand.
const MAX_RELOCATIONS: u64 = 64 << 20;

/// The table.
#[derive(Clone, Copy)]
pub(crate) struct Table<'d> {
    bytes: &'d [u8],
    address: u64,
}

/// Where a function stands, from the start of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) start: u32,
    /// Where the next one begins.
    pub(super) end: u32,
}

impl<'d> Table<'d> {
    /// The table of an image, if it is a Go program.
    pub(crate) fn read<R: ReadRef<'d>>(image: &Image<R>) -> Option<Self> {
        let section = [".gopclntab", ".data.rel.ro.gopclntab"]
            .into_iter()
            .find_map(|name| image.section(name))?;
        let bytes = image.file_bytes_up_to(section.offset, section.size.min(MAX_TABLE))?;
        let table = Self {
            bytes,
            address: section.address,
        };
        MAGICS.contains(&table.word32(0)?).then_some(table)
    }

    /// Whether a function of this name is linked in. The linker keeps what can be reached.
    pub(crate) fn names(&self, function: &str) -> bool {
        // Tables before Go 1.18 have another header, and the names somewhere in them.
        let names = self.name_bytes().unwrap_or(self.bytes);
        name_offset(names, function).is_some()
    }

    /// The functions of these names, in their order; `None` where there is none.
    pub(super) fn find<const N: usize>(&self, names: [&str; N]) -> [Option<Span>; N] {
        let mut found = [None; N];
        let Some((all, functions)) = self.name_bytes().zip(self.functions()) else {
            return found;
        };
        let wanted = names.map(|name| name_offset(all, name));
        let entries = functions.as_chunks::<8>().0;
        for (entry, next) in entries.iter().zip(entries.iter().skip(1)) {
            let name = |at: u32| self.function_name(at);
            let (start, at) = halves(*entry);
            let Some(name) = name(at) else { continue };
            for (wanted, found) in wanted.iter().zip(&mut found) {
                if *wanted == Some(name) && found.is_none() {
                    let (end, _) = halves(*next);
                    *found = Some(Span { start, end });
                }
            }
        }
        found
    }

    /// Where the text may start, best evidence first. Callers check what stands there.
    pub(super) fn texts<R: ReadRef<'d>>(&self, image: &Image<R>) -> Vec<u64> {
        let header = self.address.checked_add(HEADER_TEXT);
        let header = header.and_then(|at| pointer(image, at));
        let module = image.section(".go.module").and_then(|module| {
            let at = module.address.checked_add(MODULE_TEXT)?;
            pointer(image, at)
        });
        let section = image.section(".text").map(|text| text.address);
        [header, module, section].into_iter().flatten().collect()
    }

    /// The names of all functions, each ended by a zero byte.
    fn name_bytes(&self) -> Option<&'d [u8]> {
        let names = self.bytes.get(self.word(3)?..self.word(4)?)?;
        (!names.is_empty()).then_some(names)
    }

    /// The entries of all functions and one more that is the end: two 32-bit numbers each, the
    /// start of the function and the place of its description behind the first entry.
    fn functions(&self) -> Option<&'d [u8]> {
        if !OFFSETS.contains(&self.word32(0)?) {
            return None;
        }
        let size = self.word(0)?.checked_add(1)?.checked_mul(8)?;
        let start = self.word(7)?;
        // The end has no description.
        self.bytes.get(start..start.checked_add(size)?)
    }

    /// Where the name of a function stands among the names (`_func.nameOff`).
    fn function_name(&self, description: u32) -> Option<usize> {
        let at = self.word(7)?.checked_add(description as usize)?;
        usize::try_from(self.word32(at.checked_add(4)?)?).ok()
    }

    /// A word of the header, behind its first eight bytes (`runtime.pcHeader`).
    fn word(&self, index: usize) -> Option<usize> {
        let at = 8 + 8 * index;
        let bytes = self.bytes.get(at..at + 8)?.try_into().ok()?;
        usize::try_from(u64::from_le_bytes(bytes)).ok()
    }

    fn word32(&self, at: usize) -> Option<u32> {
        let bytes = self.bytes.get(at..at.checked_add(4)?)?.try_into().ok()?;
        Some(u32::from_le_bytes(bytes))
    }
}

fn halves(entry: [u8; 8]) -> (u32, u32) {
    let both = u64::from_le_bytes(entry);
    (both as u32, (both >> 32) as u32)
}

/// Where a name stands among zero-ended names.
fn name_offset(names: &[u8], name: &str) -> Option<usize> {
    let starts = |at: usize| at == 0 || names.get(at - 1) == Some(&0);
    let ends = |at: usize| names.get(at + name.len()) == Some(&0);
    memchr::memmem::find_iter(names, name.as_bytes()).find(|at| starts(*at) && ends(*at))
}

/// The pointer that stands at an address once the program is loaded, before its base is added;
/// `None` for 0.
fn pointer<'d, R: ReadRef<'d>>(image: &Image<R>, address: u64) -> Option<u64> {
    let there = image.address_bytes(address, 8)?.try_into().ok()?;
    let there = Some(u64::from_le_bytes(there)).filter(|value| *value != 0);
    there.or_else(|| relocated(image, address))
}

/// What the dynamic linker puts at an address of a position-independent program.
fn relocated<'d, R: ReadRef<'d>>(image: &Image<R>, address: u64) -> Option<u64> {
    let mut tables = image.sections().iter().filter(|s| s.kind == elf::SHT_RELA);
    tables.find_map(|section| {
        let bytes = image.section_bytes(section, MAX_RELOCATIONS).ok()?;
        let count = bytes.len() / size_of::<Rela64<LittleEndian>>();
        let (all, _) = pod::slice_from_bytes::<Rela64<LittleEndian>>(bytes, count).ok()?;
        let here = all.iter().find(|relocation| {
            relocation.r_offset.get(LittleEndian) == address
                && relocation.r_type(LittleEndian, false) == elf::R_X86_64_RELATIVE
        })?;
        u64::try_from(here.r_addend.get(LittleEndian)).ok()
    })
}
