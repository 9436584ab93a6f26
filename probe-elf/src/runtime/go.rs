//! Go programs, also stripped ones: the build information and the table of function names stay,
//! because the runtime itself reads them.

use object::read::ReadRef;

use crate::go::table::Table;
use crate::image::Image;

/// Begins the build information (`debug/buildinfo` of the Go source).
const BUILD_INFO: &[u8] = b"\xff Go buildinf:";
/// Flag: version and modules stand right behind the 32-byte header (Go 1.18 and later).
const INLINE: u8 = 2;
/// Begins the module text and, turned around, ends it (`cmd/go`, 16 bytes each).
const MODULE_MARK: usize = 16;
/// Real build information has some kilobytes.
const MAX_BUILD_INFO: u64 = 1 << 20;
const MAX_MODULES: usize = 4096;

/// What a Go program says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GoFacts {
    /// The toolchain, `go1.26.8` for example.
    pub version: Option<String>,
    /// The main package's path.
    pub path: Option<String>,
    /// The modules that are linked in, `path version`, the main module first.
    pub modules: Vec<String>,
    /// Whether `crypto/tls` is linked in; unknown if the table of names cannot be read.
    pub crypto_tls: Option<bool>,
}

/// What the file says of itself, if it is a Go program.
pub(super) fn inspect<'d, R: ReadRef<'d>>(image: &Image<R>) -> Option<GoFacts> {
    let table = Table::read(image);
    let info = build_info(image);
    if table.is_none() && info.is_none() {
        return None;
    }
    let (version, modules) = info.unwrap_or_default();
    let mut facts = GoFacts {
        version,
        // Where the function that writes is linked in, TLS is used.
        crypto_tls: table.map(|table| table.names("crypto/tls.(*Conn).Write")),
        ..GoFacts::default()
    };
    facts.read_modules(&modules);
    Some(facts)
}

/// The toolchain's version, if the file is a Go program that tells it.
pub(crate) fn version<'d, R: ReadRef<'d>>(image: &Image<R>) -> Option<String> {
    build_info(image)?.0
}

impl GoFacts {
    /// Lines of `cmd/go`: `path P`, `mod M V SUM`, `dep M V SUM`.
    fn read_modules(&mut self, text: &str) {
        for line in text.lines().take(MAX_MODULES) {
            let mut words = line.split('\t');
            match (words.next(), words.next()) {
                (Some("path"), Some(path)) => self.path = Some(path.to_owned()),
                (Some("mod" | "dep"), Some(module)) => {
                    let version = words.next().unwrap_or_default();
                    self.modules
                        .push(format!("{module} {version}").trim_end().to_owned());
                }
                _ => {}
            }
        }
    }
}

/// The toolchain's version and the text of the modules.
fn build_info<'d, R: ReadRef<'d>>(image: &Image<R>) -> Option<(Option<String>, String)> {
    let section = image.section(".go.buildinfo")?;
    let bytes = image.file_bytes_up_to(section.offset, section.size.min(MAX_BUILD_INFO))?;
    let rest = bytes.strip_prefix(BUILD_INFO)?;
    let flags = *rest.get(1)?;
    if flags & INLINE == 0 {
        // Before Go 1.18 there are pointers to strings; that it is Go is what matters.
        return Some((None, String::new()));
    }
    let (version, rest) = counted(bytes.get(32..)?)?;
    let modules = counted(rest).map_or(&[][..], |(modules, _rest)| modules);
    let inner = modules
        .len()
        .checked_sub(MODULE_MARK)
        .and_then(|end| modules.get(MODULE_MARK..end));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Some((Some(text(version)), text(inner.unwrap_or_default())))
}

/// A string behind its length as a variable-length integer (`encoding/binary`, `Uvarint`).
fn counted(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut length = 0_usize;
    for (index, byte) in bytes.iter().take(4).enumerate() {
        length |= usize::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return bytes.get(index + 1..)?.split_at_checked(length);
        }
    }
    None
}
