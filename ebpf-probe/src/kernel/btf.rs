//! Finds fields of kernel structures in BTF, the type information that the kernel carries.
//!
//! Our own walker, because what is to be had either copies each of the 150 000 types into
//! vectors of strings (100 MB for 27 numbers), links C, or is not licensed for us. It reads the
//! raw bytes once and keeps nothing. Format: Documentation/bpf/btf.rst of the kernel.

use thiserror::Error;

/// Why a BTF blob could not be read.
#[derive(Debug, Error, PartialEq, Eq)]
pub(crate) enum BtfError {
    /// It does not begin with BTF's magic number in this machine's byte order.
    #[error("not BTF")]
    Magic,
    /// A length or an offset points outside.
    #[error("BTF is cut short")]
    Short,
}

/// Type information, by reference.
pub(crate) struct Btf<'a> {
    types: &'a [u8],
    strings: &'a [u8],
    /// Where each type starts in `types`; type ids count from 1.
    starts: Vec<u32>,
}

const KIND_ARRAY: u32 = 3;
const KIND_STRUCT: u32 = 4;
const KIND_UNION: u32 = 5;
const KIND_ENUM: u32 = 6;
const KIND_FUNCTION: u32 = 12;
/// How deep anonymous members and qualifiers are followed.
const DEPTH: u32 = 8;

impl<'a> Btf<'a> {
    /// Reads the blob's header and finds where each type starts.
    pub(crate) fn parse(blob: &'a [u8]) -> Result<Self, BtfError> {
        if blob.get(..2) != Some(&0xeb9f_u16.to_ne_bytes()) {
            return Err(BtfError::Magic);
        }
        let word = |at| u32_at(blob, at).ok_or(BtfError::Short);
        let header = word(4)? as usize;
        let section = |offset: u32, length: u32| {
            let from = header.checked_add(offset as usize)?;
            blob.get(from..from.checked_add(length as usize)?)
        };
        let types = section(word(8)?, word(12)?).ok_or(BtfError::Short)?;
        let strings = section(word(16)?, word(20)?).ok_or(BtfError::Short)?;
        let mut starts = Vec::with_capacity(types.len() / 24);
        let mut at = 0;
        while at < types.len() {
            starts.push(u32::try_from(at).map_err(|_large| BtfError::Short)?);
            at += 12 + trailer(u32_at(types, at + 4).ok_or(BtfError::Short)?);
        }
        Ok(Self {
            types,
            strings,
            starts,
        })
    }

    /// Byte offset of a member, by a path such as `ns.inum`, in the structure `name`.
    pub(crate) fn offset(&self, name: &str, path: &str) -> Option<u32> {
        let mut at = self.structure(name)?;
        let mut total = 0;
        let mut parts = path.split('.').peekable();
        while let Some(part) = parts.next() {
            let (bits, member) = self.member(at, part, DEPTH)?;
            total += bits / 8;
            if parts.peek().is_some() {
                at = self.resolve(member)?;
            }
        }
        Some(total)
    }

    /// Value of an enumerator, in the enumeration `name`; 32 bits wide.
    pub(crate) fn enumerator(&self, name: &str, of: &str) -> Option<u32> {
        let at = self.named(KIND_ENUM, name)?;
        let n = vlen(u32_at(self.types, at + 4)?) as usize;
        let mut each = (0..n).map(|i| at + 12 + i * 8);
        let found = each.find(|at| self.name_at(*at) == Some(of.as_bytes()))?;
        u32_at(self.types, found + 4)
    }

    /// How many parameters a function has that programs can be attached to.
    pub(crate) fn parameters(&self, function: &str) -> Option<u32> {
        let at = self.named(KIND_FUNCTION, function)?;
        let prototype = self.resolve(u32_at(self.types, at + 8)?)?;
        Some(vlen(u32_at(self.types, prototype + 4)?))
    }

    fn structure(&self, name: &str) -> Option<usize> {
        self.named(KIND_STRUCT, name)
    }

    /// Where the type of this kind and name starts; those of which only the name is known are
    /// passed over.
    fn named(&self, wanted: u32, name: &str) -> Option<usize> {
        self.starts.iter().map(|s| *s as usize).find(|at| {
            let info = u32_at(self.types, at + 4).unwrap_or(0);
            // What stands there of a function is its linkage.
            let known = vlen(info) > 0 || wanted == KIND_FUNCTION;
            kind(info) == wanted && known && self.name_at(*at) == Some(name.as_bytes())
        })
    }

    /// Bit offset and type of the member `name` of the structure at `at`; anonymous members are
    /// looked through.
    fn member(&self, at: usize, name: &str, depth: u32) -> Option<(u32, u32)> {
        let info = u32_at(self.types, at + 4)?;
        if depth == 0 || !matches!(kind(info), KIND_STRUCT | KIND_UNION) {
            return None;
        }
        for i in 0..vlen(info) as usize {
            let member = at + 12 + i * 12;
            let bits = match u32_at(self.types, member + 8)? {
                bits if info >> 31 == 1 => bits & 0x00ff_ffff,
                bits => bits,
            };
            let id = u32_at(self.types, member + 4)?;
            match self.name_at(member)? {
                b"" => {
                    let inner = self
                        .resolve(id)
                        .and_then(|t| self.member(t, name, depth - 1));
                    if let Some((more, id)) = inner {
                        return Some((bits + more, id));
                    }
                }
                found if found == name.as_bytes() => return Some((bits, id)),
                _ => {}
            }
        }
        None
    }

    /// Where the type `id` starts, typedefs and qualifiers looked through.
    fn resolve(&self, mut id: u32) -> Option<usize> {
        for _ in 0..DEPTH {
            let at = *self.starts.get(id.checked_sub(1)? as usize)? as usize;
            let info = u32_at(self.types, at + 4)?;
            // typedef, volatile, const, restrict, type tag
            if !matches!(kind(info), 8..=11 | 18) {
                return Some(at);
            }
            id = u32_at(self.types, at + 8)?;
        }
        None
    }

    fn name_at(&self, at: usize) -> Option<&'a [u8]> {
        let from = self.strings.get(u32_at(self.types, at)? as usize..)?;
        from.split(|b| *b == 0).next()
    }
}

const fn kind(info: u32) -> u32 {
    (info >> 24) & 0x1f
}

const fn vlen(info: u32) -> u32 {
    info & 0xffff
}

/// Bytes that follow the common 12 of a type.
const fn trailer(info: u32) -> usize {
    let n = vlen(info) as usize;
    match kind(info) {
        // int, variable, declaration tag
        1 | 14 | 17 => 4,
        KIND_ARRAY => 12,
        KIND_STRUCT | KIND_UNION | 15 | 19 => n * 12,
        // enum, function prototype
        6 | 13 => n * 8,
        _ => 0,
    }
}

fn u32_at(b: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(
        b.get(at..at.checked_add(4)?)?.try_into().ok()?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `struct outer { int a; union { struct { int b; int c; }; long d; }; struct in ns; }`,
    /// `enum few { one = 1, nine = 9 }` and `int inum(int a, int b)`
    fn blob() -> Vec<u8> {
        let strings = b"\0outer\0a\0b\0c\0d\0ns\0inner\0inum\0int\0few\0one\0nine\0";
        let name = |s: &str| {
            let s = format!("\0{s}\0");
            let at = strings
                .windows(s.len())
                .position(|w| w == s.as_bytes())
                .unwrap();
            u32::try_from(at + 1).unwrap()
        };
        let record = |k: u32, n: u32| (k << 24) | n;
        let words = [
            // 1: int
            vec![name("int"), record(1, 0), 4, 0],
            // 2: struct { int b; int c; }
            vec![0, record(4, 2), 8, name("b"), 1, 0, name("c"), 1, 32],
            // 3: union { 2; int d; }
            vec![0, record(5, 2), 8, 0, 2, 0, name("d"), 1, 0],
            // 4: struct inner { int x; int inum; }
            vec![
                name("inner"),
                record(4, 2),
                8,
                name("a"),
                1,
                0,
                name("inum"),
                1,
                32,
            ],
            // 5: const inner
            vec![0, record(10, 0), 4],
            // 6: struct outer
            vec![
                name("outer"),
                record(4, 3),
                24,
                name("a"),
                1,
                0,
                0,
                3,
                64,
                name("ns"),
                5,
                128,
            ],
            // 7: enum few
            vec![
                name("few"),
                record(6, 2),
                4,
                name("one"),
                1,
                name("nine"),
                9,
            ],
            // 8: its prototype, 9: the function
            vec![0, record(13, 2), 1, name("a"), 1, name("b"), 1],
            vec![name("inum"), record(12, 0), 8],
        ]
        .concat();
        let types: Vec<u8> = words.iter().flat_map(|w| w.to_ne_bytes()).collect();
        let mut b = 0xeb9f_u16.to_ne_bytes().to_vec();
        b.extend([1, 0]);
        let lengths = [
            24,
            0,
            types.len() as u32,
            types.len() as u32,
            strings.len() as u32,
        ];
        b.extend(lengths.iter().flat_map(|w| w.to_ne_bytes()));
        b.extend(types);
        b.extend(strings);
        b
    }

    #[test]
    fn fields_are_found_through_anonymous_members_and_paths() {
        let blob = blob();
        let btf = Btf::parse(&blob).unwrap();
        for (path, want) in [
            ("a", Some(0)),
            ("b", Some(8)),
            ("c", Some(12)),
            ("d", Some(8)),
            ("ns.inum", Some(20)),
            ("nothing", None),
            ("a.b", None),
        ] {
            assert_eq!(btf.offset("outer", path), want, "{path}");
        }
        assert_eq!(btf.offset("nobody", "a"), None);
    }

    #[test]
    fn parameters_are_counted() {
        let blob = blob();
        let btf = Btf::parse(&blob).unwrap();
        assert_eq!(btf.parameters("inum"), Some(2));
        assert_eq!(btf.parameters("outer"), None, "a structure");
    }

    #[test]
    fn enumerators_are_found_by_name() {
        let blob = blob();
        let btf = Btf::parse(&blob).unwrap();
        assert_eq!(btf.enumerator("few", "nine"), Some(9));
        assert_eq!(btf.enumerator("few", "ten"), None);
        assert_eq!(btf.enumerator("outer", "a"), None, "a structure");
    }

    #[test]
    fn a_cut_blob_is_an_error_or_finds_nothing() {
        let blob = blob();
        for n in 0..blob.len() {
            if let Ok(btf) = Btf::parse(&blob[..n]) {
                btf.offset("outer", "ns.inum");
                btf.enumerator("few", "nine");
                btf.parameters("inum");
            }
        }
        assert_eq!(Btf::parse(b"\x00\x00").err(), Some(BtfError::Magic));
    }
}
