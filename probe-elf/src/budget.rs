//! How much of one file is read at the most, whatever its headers say: a sparse file costs its
//! maker nothing.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::ops::Range;

use object::read::ReadRef;

use crate::Error;

/// What may still be read of a file.
#[derive(Debug)]
struct Budget {
    left: Cell<u64>,
    refused: Cell<bool>,
    /// What was read: a cache behind this holds it once.
    read: RefCell<HashSet<(u64, u64)>>,
}

/// A source that gives out no more than its budget.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounded<'b, R> {
    data: R,
    budget: &'b Budget,
}

/// Reads of `data` what may have `most` bytes in all.
///
/// # Errors
///
/// [`Error::TooLarge`] if more would have to be read, and whatever `read` says.
pub(crate) fn within<'d, R: ReadRef<'d>, T>(
    most: u64,
    data: R,
    read: impl for<'b> FnOnce(Bounded<'b, R>) -> Result<T, Error>,
) -> Result<T, Error> {
    let budget = Budget {
        left: Cell::new(most),
        refused: Cell::new(false),
        read: RefCell::default(),
    };
    let found = read(Bounded {
        data,
        budget: &budget,
    });
    if budget.refused.get() {
        return Err(Error::TooLarge {
            what: "set of tables",
        });
    }
    found
}

impl Budget {
    fn take(&self, offset: u64, size: u64) -> Result<(), ()> {
        let mut read = self.read.borrow_mut();
        if read.contains(&(offset, size)) {
            return Ok(());
        }
        let Some(left) = self.left.get().checked_sub(size) else {
            self.refused.set(true);
            return Err(());
        };
        self.left.set(left);
        read.insert((offset, size));
        Ok(())
    }
}

impl<'d, R: ReadRef<'d>> ReadRef<'d> for Bounded<'_, R> {
    fn len(self) -> Result<u64, ()> {
        self.data.len()
    }

    fn read_bytes_at(self, offset: u64, size: u64) -> Result<&'d [u8], ()> {
        // What lies outside of the file costs nothing.
        if offset.checked_add(size).ok_or(())? > self.data.len()? {
            return Err(());
        }
        self.budget.take(offset, size)?;
        self.data.read_bytes_at(offset, size)
    }

    fn read_bytes_at_until(self, range: Range<u64>, delimiter: u8) -> Result<&'d [u8], ()> {
        let bytes = self.data.read_bytes_at_until(range.clone(), delimiter)?;
        self.budget.take(range.start, bytes.len() as u64)?;
        Ok(bytes)
    }
}
