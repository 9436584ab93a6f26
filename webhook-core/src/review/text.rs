//! Pieces of JSON that borrow where they can.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};

/// A string: borrowed unless it has escapes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub(crate) struct Text<'a>(#[serde(borrow)] pub(crate) Cow<'a, str>);

/// Something that is there, whatever it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Present;

/// A small object with strings, in its own order. Null values count as empty, as Go reads them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Map<'a>(pub(crate) Vec<(Text<'a>, Text<'a>)>);

impl Map<'_> {
    /// The value of `key`; of duplicates the last.
    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        let mut entries = self.0.iter().rev();
        entries
            .find(|(it, _)| &**it == key)
            .map(|(_, value)| &**value)
    }
}

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

impl<'de> Deserialize<'de> for Present {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        IgnoredAny::deserialize(deserializer).map(|IgnoredAny| Self)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Map<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Entries(PhantomData))
    }
}

struct Entries<'a>(PhantomData<&'a ()>);

impl<'de: 'a, 'a> Visitor<'de> for Entries<'a> {
    type Value = Map<'a>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with strings")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
        let mut entries = Vec::new();
        while let Some((key, value)) = access.next_entry::<Text<'a>, Option<Text<'a>>>()? {
            entries.push((key, value.unwrap_or_default()));
        }
        Ok(Map(entries))
    }
}
