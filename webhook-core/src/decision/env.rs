//! A container's `env` as it is.

use crate::review::pod::{Container, EnvFrom, Variable};

/// A container's own variables.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Env<'a> {
    variables: &'a [Variable<'a>],
    from: &'a [EnvFrom<'a>],
}

/// What a variable has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content<'a> {
    Literal(&'a str),
    /// `valueFrom`: not known here. With the path of the pod's field, if it is one.
    Reference(Option<&'a str>),
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
        Self {
            variables: container.env.as_deref().unwrap_or_default(),
            from: container.env_from.as_deref().unwrap_or_default(),
        }
    }

    /// True if `envFrom` may define `OTEL_…`, which cannot be seen here.
    pub(crate) fn may_have_more(self) -> bool {
        { self.prefixes() }.any(|it| it.starts_with("OTEL_") || "OTEL_".starts_with(it))
    }

    /// True if `envFrom` may define `name`: it puts its prefix before each key.
    pub(crate) fn may_define(self, name: &str) -> bool {
        { self.prefixes() }.any(|it| name.len() > it.len() && name.starts_with(it))
    }

    fn prefixes(self) -> impl Iterator<Item = &'a str> {
        let prefixes = self.from.iter().map(|it| it.prefix.as_deref());
        prefixes.map(Option::unwrap_or_default)
    }

    pub(crate) fn get(self, name: &str) -> Option<Entry<'a>> {
        let (index, variable) = { self.variables.iter().enumerate() }
            .rev()
            .find(|(_, it)| &*it.name == name)?;
        let content = match (&variable.value, &variable.value_from) {
            (_, Some(from)) => {
                let field = from.field_ref.as_ref();
                Content::Reference(field.map(|it| &*it.field_path))
            }
            (value, None) => Content::Literal(value.as_deref().unwrap_or_default()),
        };
        Some(Entry { index, content })
    }

    pub(crate) fn literal(self, name: &str) -> Option<&'a str> {
        match self.get(name)?.content {
            Content::Literal(value) => Some(value),
            Content::Reference(_) => None,
        }
    }

    pub(crate) fn has(self, name: &str) -> bool {
        self.variables.iter().any(|it| &*it.name == name)
    }
}
