//! CPython: its version, and whether the interpreter is in this file or in a library beside it.

use object::read::ReadRef;

use crate::dynamic::Dynamic;
use crate::image::Image;
use crate::{Error, symbols};

/// What an interpreter says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PythonFacts {
    /// Major and minor version, 3 and 12 for example.
    pub version: Option<(u8, u8)>,
    /// Whether the interpreter is in this file, not in a `libpython` that it needs.
    pub is_here: bool,
}

/// What the file says, if it is CPython's executable or library.
pub(super) fn inspect<'d, R: ReadRef<'d>>(
    image: &Image<R>,
    dynamic: &Dynamic,
) -> Result<Option<PythonFacts>, Error> {
    let library = dynamic.needed.iter().find_map(|name| version_in(name));
    if let Some(version) = library {
        return Ok(Some(PythonFacts {
            version: Some(version),
            is_here: false,
        }));
    }
    let found = symbols::find(image, &["Py_Version", "Py_RunMain", "Py_Main"])?;
    if found.is_empty() {
        return Ok(None);
    }
    let soname = dynamic.soname.as_deref().and_then(version_in);
    let exported = || {
        let symbol = found.iter().find(|symbol| symbol.name == "Py_Version")?;
        exported_version(image, symbol.address)
    };
    Ok(Some(PythonFacts {
        version: soname.or_else(exported),
        is_here: true,
    }))
}

/// The version in the name of a library, `libpython3.12.so.1.0` for example.
fn version_in(name: &str) -> Option<(u8, u8)> {
    let (major, rest) = name.strip_prefix("libpython")?.split_once('.')?;
    let digits = rest
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(rest.len());
    Some((major.parse().ok()?, rest[..digits].parse().ok()?))
}

/// `Py_Version` of CPython 3.11 and later: 0x030c01f0 is 3.12.1.
fn exported_version<'d, R: ReadRef<'d>>(image: &Image<R>, address: u64) -> Option<(u8, u8)> {
    let bytes = image.address_bytes(address, 4)?;
    let [_release, _patch, minor, major] = bytes.try_into().ok()?;
    (major == 3).then_some((major, minor))
}
