//! A list of attributes that takes its names from the table.

use super::{Conventions, Key, Kind};
use crate::span::{Attribute, Value};

/// Collects the attributes of one span under the chosen conventions.
#[derive(Debug)]
pub struct Attributes<'c> {
    conventions: &'c Conventions,
    list: Vec<Attribute>,
}

impl<'c> Attributes<'c> {
    /// An empty list with room for `capacity` attributes.
    #[must_use]
    pub fn with_capacity(conventions: &'c Conventions, capacity: usize) -> Self {
        Self {
            conventions,
            list: Vec::with_capacity(capacity),
        }
    }

    /// Adds `value` under the name that the conventions give to `key`; drops it where they have
    /// none, and where the name is there already (the first value stands).
    pub fn put(&mut self, key: &Key, value: impl Into<Value>) {
        let Some(name) = key.name(self.conventions) else {
            return;
        };
        let value = value.into();
        debug_assert_eq!(kind(&value), key.kind, "{name} has another type");
        if self.list.iter().all(|attribute| attribute.name != name) {
            self.list.push(Attribute { name, value });
        }
    }

    /// Adds the value if there is one.
    pub fn put_some(&mut self, key: &Key, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.put(key, value);
        }
    }

    /// Adds a string if there is one.
    pub fn put_text(&mut self, key: &Key, value: Option<&str>) {
        // Names that the conventions lack are passed over before the copy is made.
        if key.name(self.conventions).is_some() {
            self.put_some(key, value.map(str::to_owned));
        }
    }

    /// Adds a list of strings unless it is empty.
    pub fn put_list(&mut self, key: &Key, values: &[String]) {
        if !values.is_empty() && key.name(self.conventions).is_some() {
            self.put(key, values.to_vec());
        }
    }

    /// Adds a token or byte count; one that does not fit is as large as can be.
    pub fn put_count(&mut self, key: &Key, value: Option<u64>) {
        self.put_some(key, value.map(|n| i64::try_from(n).unwrap_or(i64::MAX)));
    }

    /// The list.
    #[must_use]
    pub fn finish(self) -> Vec<Attribute> {
        self.list
    }
}

const fn kind(value: &Value) -> Kind {
    match value {
        Value::Static(_) | Value::String(_) => Kind::String,
        Value::Int(_) => Kind::Int,
        Value::Float(_) => Kind::Double,
        Value::Bool(_) => Kind::Bool,
        Value::Strings(_) => Kind::Strings,
    }
}
