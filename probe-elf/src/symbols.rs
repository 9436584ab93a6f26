//! Looks up a few symbols by name, and the names behind a library's own PLT stubs.

use object::elf::{self, Rela64, Sym64};
use object::endian::LittleEndian;
use object::pod;
use object::read::ReadRef;

use crate::Error;
use crate::image::{Image, Section};

/// Symbol and string tables above this are refused; node 24 has 9 MB of them.
const MAX_TABLE: u64 = 256 << 20;
/// PLT relocations above this are refused; the largest libraries have some 10 000.
const MAX_RELOCATIONS: u64 = 4 << 20;
/// Slots for the few names that are asked for, of which each has one, or two with `-fno-plt`; and
/// pointers in a small structure.
const MAX_SLOTS: usize = 128;
/// Relocations that put a function's address into a slot. No number means two things.
const SLOT_KINDS: [u32; 4] = [
    elf::R_X86_64_JUMP_SLOT,
    elf::R_X86_64_GLOB_DAT,
    elf::R_AARCH64_JUMP_SLOT,
    elf::R_AARCH64_GLOB_DAT,
];
/// Relocations that put an address of the file itself into a slot.
const RELATIVE_KINDS: [u32; 2] = [elf::R_X86_64_RELATIVE, elf::R_AARCH64_RELATIVE];
const ENDIAN: LittleEndian = LittleEndian;

/// A defined function or object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Symbol {
    /// Which of the names asked for this is.
    pub name: &'static str,
    /// Its address before relocation.
    pub address: u64,
    /// Its size in bytes, 0 if the file does not say.
    pub size: u64,
    /// Whether it is a function.
    pub is_function: bool,
}

/// A slot of the global offset table that holds the address of one of the names asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GotSlot {
    /// The address of the slot before relocation.
    pub address: u64,
    /// Whose address stands in it.
    pub name: &'static str,
}

/// Finds the definitions of `names` in `.dynsym`, or, if it has none of them, in `.symtab`.
///
/// A name is found once: the first definition counts.
pub fn find<'d, R: ReadRef<'d>>(
    image: &Image<R>,
    names: &[&'static str],
) -> Result<Vec<Symbol>, Error> {
    for kind in [elf::SHT_DYNSYM, elf::SHT_SYMTAB] {
        let Some(section) = image.sections().iter().find(|section| section.kind == kind) else {
            continue;
        };
        let found = find_in(image, section, names)?;
        if !found.is_empty() {
            return Ok(found);
        }
    }
    Ok(Vec::new())
}

/// Finds the slots of the global offset table through which the file calls `names`.
pub fn got_slots<'d, R: ReadRef<'d>>(
    image: &Image<R>,
    names: &[&'static str],
) -> Result<Vec<GotSlot>, Error> {
    let mut slots = Vec::new();
    let tables = image.sections().iter().filter(|section| {
        section.kind == elf::SHT_RELA && matches!(section.name.as_str(), ".rela.plt" | ".rela.dyn")
    });
    for section in tables {
        let Some(symbols) = image.sections().get(section.link) else {
            continue;
        };
        let Ok(bytes) = image.section_bytes(section, MAX_RELOCATIONS) else {
            continue;
        };
        let (symbols, strings) = tables_of(image, symbols)?;
        for relocation in slice_of::<Rela64<LittleEndian>>(bytes) {
            let kind = relocation.r_type(ENDIAN, false);
            if !SLOT_KINDS.contains(&kind) {
                continue;
            }
            let symbol = symbols.get(relocation.r_sym(ENDIAN, false) as usize);
            if slots.len() >= MAX_SLOTS {
                return Ok(slots);
            }
            if let Some(name) = symbol.and_then(|symbol| name_of(symbol, strings, names)) {
                slots.push(GotSlot {
                    address: relocation.r_offset.get(ENDIAN),
                    name,
                });
            }
        }
    }
    Ok(slots)
}

/// The addresses that are written at start-up into `size` bytes from `address` on, with where. All
/// before relocation.
pub fn relative<'d, R: ReadRef<'d>>(image: &Image<R>, address: u64, size: u64) -> Vec<(u64, u64)> {
    let Some(section) = image.section(".rela.dyn") else {
        return Vec::new();
    };
    let Ok(bytes) = image.section_bytes(section, MAX_RELOCATIONS) else {
        return Vec::new();
    };
    let table = slice_of::<Rela64<LittleEndian>>(bytes).iter();
    let there = table.filter(|r| {
        let distance = r.r_offset.get(ENDIAN).wrapping_sub(address);
        distance < size && RELATIVE_KINDS.contains(&r.r_type(ENDIAN, false))
    });
    let pairs = there.map(|r| {
        let value = r.r_addend.get(ENDIAN).cast_unsigned();
        (r.r_offset.get(ENDIAN), value)
    });
    pairs.take(MAX_SLOTS).collect()
}

fn find_in<'d, R: ReadRef<'d>>(
    image: &Image<R>,
    section: &Section,
    names: &[&'static str],
) -> Result<Vec<Symbol>, Error> {
    let (symbols, strings) = tables_of(image, section)?;
    let mut found: Vec<Symbol> = Vec::new();
    for symbol in symbols {
        let defined = symbol.st_shndx.get(ENDIAN) != elf::SHN_UNDEF;
        if !defined || symbol.st_value.get(ENDIAN) == 0 {
            continue;
        }
        let Some(name) = name_of(symbol, strings, names) else {
            continue;
        };
        if found.iter().any(|known| known.name == name) {
            continue;
        }
        found.push(Symbol {
            name,
            address: symbol.st_value.get(ENDIAN),
            size: symbol.st_size.get(ENDIAN),
            is_function: symbol.st_type() == elf::STT_FUNC,
        });
    }
    Ok(found)
}

fn tables_of<'d, R: ReadRef<'d>>(
    image: &Image<R>,
    section: &Section,
) -> Result<(&'d [Sym64<LittleEndian>], &'d [u8]), Error> {
    let symbols = slice_of(image.section_bytes(section, MAX_TABLE)?);
    let strings = image.sections().get(section.link).ok_or(Error::Malformed {
        what: "a symbol table without strings",
    })?;
    Ok((symbols, image.section_bytes(strings, MAX_TABLE)?))
}

fn name_of(
    symbol: &Sym64<LittleEndian>,
    strings: &[u8],
    names: &[&'static str],
) -> Option<&'static str> {
    let text = strings.get(symbol.st_name.get(ENDIAN) as usize..)?;
    // The first byte rules out nearly all of the 75 000 symbols of node.
    let first = text.first()?;
    let is_it = |name: &&&'static str| {
        name.as_bytes().first() == Some(first)
            && text.starts_with(name.as_bytes())
            && text.get(name.len()) == Some(&0)
    };
    names.iter().find(is_it).copied()
}

/// As many whole entries as the bytes hold.
fn slice_of<T: pod::Pod>(bytes: &[u8]) -> &[T] {
    let count = bytes.len() / size_of::<T>();
    pod::slice_from_bytes(bytes, count).map_or(&[], |(entries, _rest)| entries)
}
