//! Where CPython's contexts can be seen: what is exported by every build, stripped ones too.

use object::elf;
use object::read::ReadRef;

use crate::Error;
use crate::image::{Image, Machine};
use crate::symbols;
use crate::tls::Cost;
use crate::x86::emulation::is_emulated;

const RUNTIME: &str = "_PyRuntime";
const CONTEXT_TYPE: &str = "PyContext_Type";
const COPY_CURRENT: &str = "PyContext_CopyCurrent";
/// What makes contexts in other ways. Python's own `Context()` and `Context.copy()` are no symbols
/// and may go past these; the type knows them.
const MAKERS: [&str; 2] = ["PyContext_New", "PyContext_Copy"];
/// `PyTypeObject.tp_methods` and `tp_new`: the same in all versions with contexts.
const METHODS: u64 = 232;
const NEW: u64 = 312;
/// A `PyMethodDef` in bytes, and how many are looked at.
const METHOD: u64 = 32;
const MOST_METHODS: u64 = 16;
const VERSION: &str = "Py_Version";
const LOOKED_UP: [&str; 6] = [
    RUNTIME,
    CONTEXT_TYPE,
    COPY_CURRENT,
    MAKERS[0],
    MAKERS[1],
    VERSION,
];

/// A CPython that is in this file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interpreter {
    /// Major and minor version, from 3.11 on.
    pub version: Option<(u8, u8)>,
    /// The address of `_PyRuntime` before relocation.
    pub runtime: u64,
    /// The address of `PyContext_Type` before relocation.
    pub context_type: u64,
    /// The return of `PyContext_CopyCurrent`: each task, callback and thread helper makes one.
    pub copied: Place,
    /// The returns of the other functions that make contexts; none of them is called often.
    pub made: Vec<Place>,
    /// The address before relocation of a byte of code less its offset in the file.
    pub skew: u64,
}

/// The first instruction of a function whose return is hooked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Where in the file.
    pub file_offset: u64,
    /// What a hit costs.
    pub cost: Cost,
}

/// Finds the interpreter in a file; `None` where there is none that has contexts (3.7 and later).
pub fn interpreter<'d, R: ReadRef<'d>>(data: R) -> Result<Option<Interpreter>, Error> {
    let image = Image::parse(data)?;
    let found = symbols::find(&image, &LOOKED_UP)?;
    let named = |name: &str| found.iter().find(|symbol| symbol.name == name);
    let (Some(runtime), Some(context_type), Some(copy)) =
        (named(RUNTIME), named(CONTEXT_TYPE), named(COPY_CURRENT))
    else {
        return Ok(None);
    };
    let code = image
        .segments()
        .iter()
        .find(|s| s.kind == elf::PT_LOAD && s.flags & elf::PF_X != 0);
    let (Some(code), Some(copied)) = (code, place(&image, copy.address)) else {
        return Ok(None);
    };
    let version = named(VERSION).and_then(|symbol| {
        let [_, _, minor, major] = image.address_bytes(symbol.address, 4)?.try_into().ok()?;
        Some((major, minor))
    });
    Ok(Some(Interpreter {
        version,
        runtime: runtime.address,
        context_type: context_type.address,
        copied,
        made: makers(
            &image,
            MAKERS.map(|name| Some(named(name)?.address)),
            context_type.address,
        ),
        skew: code.address.wrapping_sub(code.offset),
    }))
}

/// The functions that make contexts: those with names, and those that the type has.
fn makers<'d, R: ReadRef<'d>>(
    image: &Image<R>,
    named: [Option<u64>; 2],
    context_type: u64,
) -> Vec<Place> {
    let slots = symbols::relative(image, context_type, NEW + 8);
    let new = pointer(image, &slots, context_type.wrapping_add(NEW));
    let methods = pointer(image, &slots, context_type.wrapping_add(METHODS));
    let copy = methods.and_then(|methods| method(image, methods, b"copy\0"));
    let mut addresses: Vec<u64> = named.into_iter().chain([new, copy]).flatten().collect();
    addresses.sort_unstable();
    addresses.dedup();
    let places = addresses.into_iter();
    places.filter_map(|address| place(image, address)).collect()
}

/// The function of the method with this name, in a table of them.
fn method<'d, R: ReadRef<'d>>(image: &Image<R>, table: u64, name: &[u8]) -> Option<u64> {
    let slots = symbols::relative(image, table, METHOD * MOST_METHODS);
    let entries = (0..MOST_METHODS).map(|n| table.wrapping_add(n * METHOD));
    let found = entries
        .map_while(|entry| Some((entry, pointer(image, &slots, entry)?)))
        .find(|(_, at)| image.address_bytes(*at, name.len() as u64) == Some(name));
    let (entry, _) = found?;
    pointer(image, &slots, entry.wrapping_add(8))
}

/// The address that stands at a place once the file is loaded; `None` for a null pointer.
fn pointer<'d, R: ReadRef<'d>>(image: &Image<R>, slots: &[(u64, u64)], at: u64) -> Option<u64> {
    if let Some((_, value)) = slots.iter().find(|(slot, _)| *slot == at) {
        return Some(*value);
    }
    let bytes = image.address_bytes(at, 8)?.try_into().ok()?;
    Some(u64::from_le_bytes(bytes)).filter(|value| *value != 0)
}

fn place<'d, R: ReadRef<'d>>(image: &Image<R>, address: u64) -> Option<Place> {
    if !image.is_code(address) {
        return None;
    }
    let first = image.address_bytes(address, 16)?;
    let cheap = image.machine() == Machine::X86_64 && is_emulated(first);
    Some(Place {
        file_offset: image.offset_of(address)?,
        cost: if cheap {
            Cost::Emulated
        } else {
            Cost::SingleStep
        },
    })
}
