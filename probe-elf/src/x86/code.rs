//! Fetches code, in pieces rather than instruction by instruction.

use std::collections::BTreeMap;

use object::read::ReadRef;

use super::flow::Refusal;
use crate::image::Image;

/// The longest x86 instruction.
pub(super) const LONGEST: u64 = 15;
/// Code is fetched in pieces of this size.
const WINDOW: u64 = 4096;

/// The bytes of the program, fetched piece by piece.
pub(super) struct Code<'i, 'd, R> {
    image: &'i Image<R>,
    windows: BTreeMap<u64, &'d [u8]>,
}

impl<'i, 'd, R: ReadRef<'d>> Code<'i, 'd, R> {
    pub(super) fn new(image: &'i Image<R>) -> Self {
        Self {
            image,
            windows: BTreeMap::new(),
        }
    }

    pub(super) fn image(&self) -> &'i Image<R> {
        self.image
    }

    /// The bytes from an address on, at least one, enough for the longest instruction unless the
    /// code ends there.
    pub(super) fn at(&mut self, address: u64) -> Result<&'d [u8], Refusal> {
        if !self.image.is_code(address) {
            return Err(Refusal::Undecodable);
        }
        let start = address - address % WINDOW;
        // The first page of a segment may begin within a window.
        let (start, image) = (
            if self.image.is_code(start) {
                start
            } else {
                address
            },
            self.image,
        );
        let window = *self.windows.entry(start).or_insert_with(|| {
            image
                .address_bytes(start, WINDOW + LONGEST)
                .unwrap_or_default()
        });
        usize::try_from(address - start)
            .ok()
            .and_then(|skip| window.get(skip..))
            .filter(|bytes| !bytes.is_empty())
            .ok_or(Refusal::Undecodable)
    }
}
