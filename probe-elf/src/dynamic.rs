//! What the dynamic linker is told: needed libraries, own name, interpreter; and the build id.

use object::elf::{self, Dyn64};
use object::endian::LittleEndian;
use object::pod;
use object::read::ReadRef;

use crate::image::{Image, Segment};

/// Real files have fewer than a hundred entries.
const MAX_DYNAMIC: u64 = 64 << 10;
/// Real files need fewer than three hundred libraries.
const MAX_NEEDED: usize = 1024;
const MAX_NAME: u64 = 4096;
const MAX_NOTES: u64 = 64 << 10;
const ENDIAN: LittleEndian = LittleEndian;

/// The dynamic linker's view of a file. A static executable has an empty one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dynamic {
    /// `DT_NEEDED`: the libraries that are loaded with it, in order.
    pub needed: Vec<String>,
    /// `DT_SONAME`: a library's own name.
    pub soname: Option<String>,
    /// `PT_INTERP`: the dynamic linker, which tells glibc from musl.
    pub interpreter: Option<String>,
    /// `NT_GNU_BUILD_ID`, as lower-case hexadecimal.
    pub build_id: Option<String>,
}

impl Dynamic {
    /// Reads what there is; a part that is missing or malformed is left empty.
    pub fn read<'d, R: ReadRef<'d>>(image: &Image<R>) -> Self {
        let mut dynamic = Self {
            interpreter: segment_of(image, elf::PT_INTERP)
                .and_then(|segment| string_at(image, segment.offset)),
            build_id: build_id(image),
            ..Self::default()
        };
        dynamic.read_entries(image);
        dynamic
    }

    /// Whether a library whose name begins with `prefix` is needed.
    #[must_use]
    pub fn needs(&self, prefix: &str) -> bool {
        self.needed.iter().any(|name| name.starts_with(prefix))
    }

    fn read_entries<'d, R: ReadRef<'d>>(&mut self, image: &Image<R>) {
        let Some(entries) = dynamic_entries(image) else {
            return;
        };
        let tag_of = |entry: &Dyn64<LittleEndian>| entry.d_tag.get(ENDIAN);
        let strings = entries
            .iter()
            .find(|entry| tag_of(entry) == u64::from(elf::DT_STRTAB));
        let Some(strings) = strings.and_then(|entry| image.offset_of(entry.d_val.get(ENDIAN)))
        else {
            return;
        };
        for entry in entries {
            let name = || string_at(image, strings.checked_add(entry.d_val.get(ENDIAN))?);
            match u32::try_from(tag_of(entry)) {
                Ok(elf::DT_NULL) => break,
                Ok(elf::DT_NEEDED) if self.needed.len() < MAX_NEEDED => self.needed.extend(name()),
                Ok(elf::DT_SONAME) => self.soname = name(),
                _ => {}
            }
        }
    }
}

fn dynamic_entries<'d, R: ReadRef<'d>>(image: &Image<R>) -> Option<&'d [Dyn64<LittleEndian>]> {
    let segment = segment_of(image, elf::PT_DYNAMIC)?;
    let size = segment.file_size.min(MAX_DYNAMIC);
    let bytes = image.file_bytes(segment.offset, size).ok()?;
    let count = bytes.len() / size_of::<Dyn64<LittleEndian>>();
    pod::slice_from_bytes(bytes, count)
        .ok()
        .map(|(entries, _rest)| entries)
}

fn segment_of<'d, R: ReadRef<'d>>(image: &Image<R>, kind: u32) -> Option<&Segment> {
    image.segments().iter().find(|segment| segment.kind == kind)
}

fn string_at<'d, R: ReadRef<'d>>(image: &Image<R>, offset: u64) -> Option<String> {
    let bytes = image.file_bytes_up_to(offset, MAX_NAME)?;
    let end = memchr::memchr(0, bytes)?;
    Some(String::from_utf8_lossy(&bytes[..end]).into_owned()).filter(|name| !name.is_empty())
}

/// Walks the notes (ELF specification, "Note Section") for the one that the GNU linker writes.
fn build_id<'d, R: ReadRef<'d>>(image: &Image<R>) -> Option<String> {
    let notes = image
        .segments()
        .iter()
        .filter(|segment| segment.kind == elf::PT_NOTE);
    notes
        .filter_map(|segment| {
            image
                .file_bytes(segment.offset, segment.file_size.min(MAX_NOTES))
                .ok()
        })
        .find_map(build_id_in)
}

fn build_id_in(mut notes: &[u8]) -> Option<String> {
    loop {
        let (header, rest) = notes.split_at_checked(12)?;
        let word = |at: usize| {
            header
                .get(at..at + 4)?
                .try_into()
                .ok()
                .map(u32::from_le_bytes)
                .map(|w| w as usize)
        };
        let (name_size, value_size, kind) = (word(0)?, word(4)?, word(8)?);
        let value_at = name_size.checked_next_multiple_of(4)?;
        let name = rest.get(..name_size)?;
        let value = rest.get(value_at..value_at.checked_add(value_size)?)?;
        if kind == elf::NT_GNU_BUILD_ID as usize && name == b"GNU\0" && value.len() <= 64 {
            return Some(hexadecimal(value));
        }
        let next = value_at.checked_add(value_size.checked_next_multiple_of(4)?)?;
        notes = rest.get(next..)?;
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16);
    bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
        .flatten()
        .collect()
}
