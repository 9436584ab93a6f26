//! Go programs, also stripped ones: the build information and the table of function names stay,
//! because the runtime itself reads them.

use object::read::ReadRef;

use crate::image::Image;

/// Begins the build information (`debug/buildinfo` of the Go source).
const BUILD_INFO: &[u8] = b"\xff Go buildinf:";
/// Flag: version and modules stand right behind the 32-byte header (Go 1.18 and later).
const INLINE: u8 = 2;
/// Begins the module text and, turned around, ends it (`cmd/go`, 16 bytes each).
const MODULE_MARK: usize = 16;
/// Real build information has some kilobytes.
const MAX_BUILD_INFO: u64 = 1 << 20;
/// The names of a large program's functions: kubernetes has 20 MB of table in all.
const MAX_TABLE: u64 = 64 << 20;
const MAX_MODULES: usize = 4096;
/// `pcHeader.magic` of Go 1.2, 1.16, 1.18 and 1.20 (`internal/abi` and `debug/gosym`).
const TABLE_MAGICS: [u32; 4] = [0xffff_fffb, 0xffff_fffa, 0xffff_fff0, 0xffff_fff1];

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
    let table = table(image);
    let info = build_info(image);
    if table.is_none() && info.is_none() {
        return None;
    }
    let (version, modules) = info.unwrap_or_default();
    let mut facts = GoFacts {
        version,
        crypto_tls: table.map(links_tls),
        ..GoFacts::default()
    };
    facts.read_modules(&modules);
    Some(facts)
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

/// The table that maps program counters to functions, names included.
fn table<'d, R: ReadRef<'d>>(image: &Image<R>) -> Option<&'d [u8]> {
    let section = [".gopclntab", ".data.rel.ro.gopclntab"]
        .into_iter()
        .find_map(|name| image.section(name))?;
    let bytes = image.file_bytes_up_to(section.offset, section.size.min(MAX_TABLE))?;
    let magic = u32::from_le_bytes(bytes.get(..4)?.try_into().ok()?);
    TABLE_MAGICS.contains(&magic).then_some(bytes)
}

/// The linker keeps only functions that can be reached: where the one that writes is, TLS is used.
fn links_tls(table: &[u8]) -> bool {
    memchr::memmem::find(names(table), b"crypto/tls.(*Conn).Write\0").is_some()
}

/// The part of the table with the names, or all of it where the header has another form.
///
/// From Go 1.18 the header has the offsets of the names and of what follows them as the fourth
/// and fifth word behind its first eight bytes (`runtime.pcHeader`).
fn names(table: &[u8]) -> &[u8] {
    let word = |index: usize| {
        let at = 8 + 8 * index;
        let bytes = table.get(at..at + 8)?.try_into().ok()?;
        usize::try_from(u64::from_le_bytes(bytes)).ok()
    };
    let range = || table.get(word(3)?..word(4)?);
    range().filter(|names| !names.is_empty()).unwrap_or(table)
}
