//! An ELF file: its segments and sections, and the way between file offsets and addresses.

use object::elf::{self, FileHeader64};
use object::endian::LittleEndian;
use object::read::ReadRef;
use object::read::elf::{FileHeader as _, ProgramHeader as _, SectionHeader as _};

use crate::Error;

/// More segments than this are refused; real files have fewer than twenty.
const MAX_SEGMENTS: usize = 256;
/// More sections than this are refused; real files that can be run have fewer than a hundred.
const MAX_SECTIONS: usize = 8192;

/// The processor that an image is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Machine {
    /// x86-64: hook sites are chosen by disassembly.
    X86_64,
    /// 64-bit Arm: hook sites are the functions' entries.
    Aarch64,
}

/// A loadable or descriptive segment (ELF program header).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// `p_type`.
    pub kind: u32,
    /// `p_flags`.
    pub flags: u32,
    /// Where it begins in the file.
    pub offset: u64,
    /// Where it begins in memory, before relocation.
    pub address: u64,
    /// How many bytes of it the file holds.
    pub file_size: u64,
}

/// A section, by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// The name, `.text` for example.
    pub name: String,
    /// `sh_type`.
    pub kind: u32,
    /// Where it begins in memory, 0 if it is not loaded.
    pub address: u64,
    /// Where it begins in the file.
    pub offset: u64,
    /// How many bytes it has.
    pub size: u64,
    /// `sh_link`: the index of the section that belongs to it.
    pub link: usize,
}

/// A parsed ELF file over any source of bytes.
#[derive(Debug, Clone)]
pub struct Image<R> {
    data: R,
    machine: Machine,
    segments: Vec<Segment>,
    sections: Vec<Section>,
}

impl<'d, R: ReadRef<'d>> Image<R> {
    /// Reads the headers of an ELF file.
    pub fn parse(data: R) -> Result<Self, Error> {
        let header = FileHeader64::<LittleEndian>::parse(data).map_err(|_err| Error::NotElf)?;
        let endian = header.endian().map_err(|_err| Error::NotElf)?;
        let machine = match header.e_machine(endian) {
            elf::EM_X86_64 => Machine::X86_64,
            elf::EM_AARCH64 => Machine::Aarch64,
            machine => return Err(Error::Machine { machine }),
        };
        let segments = read_segments(header, endian, data)?;
        let sections = read_sections(header, endian, data)?;
        Ok(Self {
            data,
            machine,
            segments,
            sections,
        })
    }

    /// The processor that the image is for.
    pub fn machine(&self) -> Machine {
        self.machine
    }

    /// The segments, in the order of the file.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// The sections, in the order of the file; empty if the file has none.
    pub fn sections(&self) -> &[Section] {
        &self.sections
    }

    /// The first section of this name.
    pub fn section(&self, name: &str) -> Option<&Section> {
        self.sections.iter().find(|section| section.name == name)
    }

    /// The bytes of a section, refused above `limit` bytes.
    pub fn section_bytes(&self, section: &Section, limit: u64) -> Result<&'d [u8], Error> {
        if section.kind == elf::SHT_NOBITS {
            return Ok(&[]);
        }
        if section.size > limit {
            return Err(Error::TooLarge { what: "section" });
        }
        self.file_bytes(section.offset, section.size)
    }

    /// `size` bytes of the file.
    pub fn file_bytes(&self, offset: u64, size: u64) -> Result<&'d [u8], Error> {
        let outside = Error::Malformed {
            what: "a range outside of the file",
        };
        let length = self.data.len().map_err(|()| outside.clone())?;
        match offset.checked_add(size) {
            Some(end) if end <= length => {
                self.data.read_bytes_at(offset, size).map_err(|()| outside)
            }
            _ => Err(outside),
        }
    }

    /// Up to `size` bytes of the file, fewer at its end, none past it.
    pub fn file_bytes_up_to(&self, offset: u64, size: u64) -> Option<&'d [u8]> {
        let left = self.data.len().ok()?.checked_sub(offset)?;
        self.file_bytes(offset, size.min(left)).ok()
    }

    /// Up to `size` bytes at an address before relocation, fewer at the end of the segment.
    pub fn address_bytes(&self, address: u64, size: u64) -> Option<&'d [u8]> {
        let (offset, left) = self.locate(address)?;
        self.file_bytes(offset, size.min(left)).ok()
    }

    /// The file offset of an address before relocation, if the file holds it.
    pub fn offset_of(&self, address: u64) -> Option<u64> {
        self.locate(address).map(|(offset, _left)| offset)
    }

    /// The address before relocation at which a byte of the file is loaded.
    pub fn address_of(&self, offset: u64) -> Option<u64> {
        self.loads().find_map(|segment| {
            let distance = offset.checked_sub(segment.offset)?;
            (distance < segment.file_size).then(|| segment.address.checked_add(distance))?
        })
    }

    /// Whether an address lies in a segment that the processor may execute.
    pub fn is_code(&self, address: u64) -> bool {
        self.loads().any(|segment| {
            segment.flags & elf::PF_X != 0
                && address
                    .checked_sub(segment.address)
                    .is_some_and(|at| at < segment.file_size)
        })
    }

    fn locate(&self, address: u64) -> Option<(u64, u64)> {
        self.loads().find_map(|segment| {
            let distance = address.checked_sub(segment.address)?;
            let left = segment
                .file_size
                .checked_sub(distance)
                .filter(|left| *left > 0)?;
            Some((segment.offset.checked_add(distance)?, left))
        })
    }

    fn loads(&self) -> impl Iterator<Item = &Segment> {
        self.segments
            .iter()
            .filter(|segment| segment.kind == elf::PT_LOAD)
    }
}

fn read_segments<'d, R: ReadRef<'d>>(
    header: &FileHeader64<LittleEndian>,
    endian: LittleEndian,
    data: R,
) -> Result<Vec<Segment>, Error> {
    let headers = header
        .program_headers(endian, data)
        .map_err(|_err| Error::Malformed {
            what: "program headers",
        })?;
    if headers.len() > MAX_SEGMENTS {
        return Err(Error::TooLarge {
            what: "program header table",
        });
    }
    let segment = |header: &elf::ProgramHeader64<LittleEndian>| Segment {
        kind: header.p_type(endian),
        flags: header.p_flags(endian),
        offset: header.p_offset(endian),
        address: header.p_vaddr(endian),
        file_size: header.p_filesz(endian),
    };
    Ok(headers.iter().map(segment).collect())
}

/// A file without section headers, or with broken ones, is still a file that runs.
fn read_sections<'d, R: ReadRef<'d>>(
    header: &FileHeader64<LittleEndian>,
    endian: LittleEndian,
    data: R,
) -> Result<Vec<Section>, Error> {
    let Ok(table) = header.sections(endian, data) else {
        return Ok(Vec::new());
    };
    if table.len() > MAX_SECTIONS {
        return Err(Error::TooLarge {
            what: "section header table",
        });
    }
    let section = |header: &elf::SectionHeader64<LittleEndian>| Section {
        name: String::from_utf8_lossy(table.section_name(endian, header).unwrap_or_default())
            .chars()
            .take(64)
            .collect(),
        kind: header.sh_type(endian),
        address: header.sh_addr(endian),
        offset: header.sh_offset(endian),
        size: header.sh_size(endian),
        link: header.sh_link(endian) as usize,
    };
    Ok(table.iter().map(section).collect())
}
