//! Where to hook OpenSSL and its kin.
//!
//! A uprobe on an instruction that the kernel emulates costs half a microsecond, on any other it
//! is single-stepped and costs twenty times that and more. So the sites are chosen per build, by
//! disassembly, cheapest proven choice first:
//!
//! 1. the exported function's own first instruction, if it is emulated;
//! 2. the `call` of the internal function that it wraps, with the return hook on that function's
//!    first instruction, if the wrapping can be proven;
//! 3. the exported function's first instruction, single-stepped.

mod choose;
mod site;

use object::read::ReadRef;

pub use site::{Abi, Cost, Forward, Function, OpenSslSites, Site, When};

use crate::image::{Image, Machine};
use crate::symbols::{self, Symbol};
use crate::{Error, budget};

/// The most bytes of a file that are read for its hooks. `libtorch`, which every server of models
/// maps, has 50 MB of symbols.
const BUDGET: u64 = 96 << 20;

/// Finds the hook sites of a shared libssl, or of an executable or library that defines
/// OpenSSL's functions under their names.
///
/// `None` if the file defines neither reading nor writing.
pub fn openssl_sites<'d, R: ReadRef<'d>>(data: R) -> Result<Option<OpenSslSites>, Error> {
    budget::within(BUDGET, data, |data| sites_of(&Image::parse(data)?))
}

/// As [`openssl_sites`], of an image that is parsed already.
pub fn sites_of<'d, R: ReadRef<'d>>(image: &Image<R>) -> Result<Option<OpenSslSites>, Error> {
    let mut symbols = symbols::find(image, &site::LOOKED_UP)?;
    symbols.retain(|symbol| symbol.is_function && image.is_code(symbol.address));
    let transfers = |symbol: &Symbol| {
        site::function_of(symbol.name)
            .is_some_and(|function| matches!(function, Function::Read | Function::Write))
    };
    if !symbols.iter().any(transfers) {
        return Ok(None);
    }
    let sites = match image.machine() {
        Machine::X86_64 => choose::by_disassembly(image, &symbols)?,
        Machine::Aarch64 => choose::at_entries(image, &symbols)?,
    };
    Ok(Some(sites))
}
