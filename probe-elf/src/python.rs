//! Where CPython's contexts can be seen: what is exported by every build, stripped ones too.

use object::elf;
use object::read::ReadRef;

use crate::Error;
use crate::image::{Image, Machine};
use crate::symbols::{self, Symbol};
use crate::tls::Cost;
use crate::x86::emulation::is_emulated;

const RUNTIME: &str = "_PyRuntime";
const CONTEXT_TYPE: &str = "PyContext_Type";
const COPY_CURRENT: &str = "PyContext_CopyCurrent";
/// What makes contexts in other ways.
const MAKERS: [&str; 2] = ["PyContext_New", "PyContext_Copy"];
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
    let (Some(code), Some(copied)) = (code, place(&image, copy)) else {
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
        made: MAKERS
            .iter()
            .filter_map(|name| place(&image, named(name)?))
            .collect(),
        skew: code.address.wrapping_sub(code.offset),
    }))
}

fn place<'d, R: ReadRef<'d>>(image: &Image<R>, symbol: &Symbol) -> Option<Place> {
    if !image.is_code(symbol.address) {
        return None;
    }
    let first = image.address_bytes(symbol.address, 16)?;
    let cheap = image.machine() == Machine::X86_64 && is_emulated(first);
    Some(Place {
        file_offset: image.offset_of(symbol.address)?,
        cost: if cheap {
            Cost::Emulated
        } else {
            Cost::SingleStep
        },
    })
}
