//! A container's `env` as it is.

use crate::review::pod::{Container, Variable};

/// A container's own variables.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Env<'a> {
    variables: &'a [Variable<'a>],
    from_elsewhere: bool,
}

/// What a variable has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content<'a> {
    Literal(&'a str),
    /// `valueFrom`: not known here.
    Reference,
}

/// The entry that counts: of those with one name the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry<'a> {
    /// Its place in the list as received.
    pub(crate) index: usize,
    pub(crate) content: Content<'a>,
}

impl<'a> Env<'a> {
    pub(crate) fn of(container: &'a Container<'a>) -> Self {
        // `envFrom` puts its prefix before each key: with some, no key can become `OTEL_…`.
        let mut from = container.env_from.iter().flatten();
        Self {
            variables: container.env.as_deref().unwrap_or_default(),
            from_elsewhere: from.any(|it| {
                let prefix = it.prefix.as_deref().unwrap_or_default();
                prefix.starts_with("OTEL_") || "OTEL_".starts_with(prefix)
            }),
        }
    }

    /// True if `envFrom` may define names that cannot be seen here.
    pub(crate) fn may_have_more(self) -> bool {
        self.from_elsewhere
    }

    pub(crate) fn get(self, name: &str) -> Option<Entry<'a>> {
        let (index, variable) = { self.variables.iter().enumerate() }
            .rev()
            .find(|(_, it)| &*it.name == name)?;
        let content = match (&variable.value, variable.value_from) {
            (_, Some(_)) => Content::Reference,
            (value, None) => Content::Literal(value.as_deref().unwrap_or_default()),
        };
        Some(Entry { index, content })
    }

    pub(crate) fn literal(self, name: &str) -> Option<&'a str> {
        match self.get(name)?.content {
            Content::Literal(value) => Some(value),
            Content::Reference => None,
        }
    }

    pub(crate) fn has(self, name: &str) -> bool {
        self.variables.iter().any(|it| &*it.name == name)
    }
}
