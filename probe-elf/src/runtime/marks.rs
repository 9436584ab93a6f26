//! Marks that statically linked libraries leave in read-only data, also in stripped files: the
//! names of their source files, which stand in error and panic messages.

use memchr::memmem;
use object::elf;
use object::read::ReadRef;

use crate::image::Image;

/// Read-only data beyond this is not searched; Bun has 22 MB, node 47 MB.
const MAX_SEARCHED: u64 = 64 << 20;
const MAX_VERSION: usize = 24;
const MAX_PATH: usize = 128;
const MAX_LIBRARIES: usize = 16;

/// What statically linked libraries have left. Evidence, not proof: a mark says that the code is
/// there, not that it is used.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Marks {
    /// The TLS libraries, each once.
    pub tls: Vec<StaticTls>,
    /// Whether the Rust standard library is there.
    pub rust: bool,
}

/// A TLS library that is linked in without symbols.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum StaticTls {
    /// rustls, with the version of the crate.
    Rustls(String),
    /// BoringSSL's TLS part, not only its cryptography.
    BoringSsl,
    /// The TLS part of AWS-LC.
    AwsLc,
    /// OpenSSL's TLS part.
    OpenSsl,
}

impl Marks {
    fn note(&mut self, library: StaticTls) {
        if !self.tls.contains(&library) && self.tls.len() < MAX_LIBRARIES {
            self.tls.push(library);
        }
    }
}

/// Searches the read-only data of a file.
pub(super) fn search<'d, R: ReadRef<'d>>(image: &Image<R>) -> Marks {
    let mut marks = Marks::default();
    for (offset, size) in read_only(image) {
        if let Some(data) = image.file_bytes_up_to(offset, size) {
            search_in(data, &mut marks);
        }
    }
    marks
}

/// `.rodata` where there are sections, else all segments that are not written to.
fn read_only<'d, R: ReadRef<'d>>(image: &Image<R>) -> Vec<(u64, u64)> {
    let sections = image
        .sections()
        .iter()
        .filter(|section| section.kind == elf::SHT_PROGBITS && section.name.starts_with(".rodata"));
    let mut ranges: Vec<(u64, u64)> = sections
        .map(|section| (section.offset, section.size))
        .collect();
    if ranges.is_empty() {
        let segments = image
            .segments()
            .iter()
            .filter(|segment| segment.kind == elf::PT_LOAD && segment.flags & elf::PF_W == 0);
        ranges = segments
            .map(|segment| (segment.offset, segment.file_size))
            .collect();
    }
    let mut left = MAX_SEARCHED;
    for (_offset, size) in &mut ranges {
        *size = (*size).min(left);
        left -= *size;
    }
    ranges
}

fn search_in(data: &[u8], marks: &mut Marks) {
    if let Some(version) = memmem::find_iter(data, b"/rustls-").find_map(|at| version(data, at)) {
        marks.note(StaticTls::Rustls(version));
        marks.rust = true;
    }
    // BoringSSL and its descendant AWS-LC name this file in their errors; OpenSSL has no `.cc`.
    for at in memmem::find_iter(data, b"/ssl/tls_record.cc") {
        let path = &data[at.saturating_sub(MAX_PATH)..at];
        let start = memchr::memrchr(0, path).unwrap_or_default();
        let is_aws = memmem::find(&path[start..], b"aws-lc").is_some();
        marks.note(if is_aws {
            StaticTls::AwsLc
        } else {
            StaticTls::BoringSsl
        });
    }
    if memmem::find(data, b"ssl/ssl_lib.c\0").is_some() {
        marks.note(StaticTls::OpenSsl);
    }
    marks.rust |= memmem::find(data, b"/library/std/src/").is_some();
}

/// The version in `/rustls-0.23.46/src/`, where it is a crate's directory.
fn version(data: &[u8], at: usize) -> Option<String> {
    let rest = data.get(at + b"/rustls-".len()..)?;
    let rest = rest.get(..MAX_VERSION.min(rest.len()))?;
    let version = rest.get(..memchr::memchr(b'/', rest)?)?;
    let is_version = version.first().is_some_and(u8::is_ascii_digit)
        && version
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b".-+".contains(byte));
    is_version.then(|| String::from_utf8_lossy(version).into_owned())
}
