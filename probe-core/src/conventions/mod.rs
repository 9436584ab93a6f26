//! The names that we emit: one table, two profiles, and what may stand beside them by choice.
//!
//! Nothing outside [`table`] spells an attribute's name. A span is built through
//! [`Attributes`], which asks the table for the name that the chosen profile gives to a row.

mod attributes;
pub mod table;

#[cfg(test)]
mod tests;

use std::fmt::Write as _;
use std::str::FromStr;

pub use attributes::Attributes;
pub use table::{Key, TABLE};

/// Which set of names spans are written in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Profile {
    /// The core conventions 1.41, the last that held the GenAI names.
    #[default]
    V1_41,
    /// The main branch of the conventions' own GenAI repository, which has no release.
    GenAiDev,
}

/// The profile's name is none of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown conventions, expected v1.41 or gen-ai-dev")]
pub struct UnknownProfile;

impl FromStr for Profile {
    type Err = UnknownProfile;

    fn from_str(text: &str) -> Result<Self, UnknownProfile> {
        match text {
            "v1.41" => Ok(Self::V1_41),
            "gen-ai-dev" => Ok(Self::GenAiDev),
            _ => Err(UnknownProfile),
        }
    }
}

impl Profile {
    /// The name that the command line and the documentation use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V1_41 => "v1.41",
            Self::GenAiDev => "gen-ai-dev",
        }
    }

    /// The schema URL of the instrumentation scope; the GenAI repository has published none.
    #[must_use]
    pub const fn schema_url(self) -> Option<&'static str> {
        match self {
            Self::V1_41 => Some("https://opentelemetry.io/schemas/1.41.0"),
            Self::GenAiDev => None,
        }
    }
}

/// The choice of names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Conventions {
    /// The set of names.
    pub profile: Profile,
    /// KAOS's own names beside them (`agent.name`, `session.id`, `task.id`, …).
    pub kaos_names: bool,
    /// The names of older conventions beside them (`gen_ai.system`, …).
    pub legacy_names: bool,
}

/// What a row of the table holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A string.
    String,
    /// An integer.
    Int,
    /// A double.
    Double,
    /// A boolean.
    Bool,
    /// A list of strings.
    Strings,
}

impl Kind {
    /// The type's name in the documentation.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Int => "int",
            Self::Double => "double",
            Self::Bool => "boolean",
            Self::Strings => "string[]",
        }
    }
}

/// The names of a row, by profile and choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Names {
    /// The same in each profile.
    All(&'static str),
    /// One name in each profile.
    Differs {
        /// In [`Profile::V1_41`].
        v1_41: &'static str,
        /// In [`Profile::GenAiDev`].
        gen_ai_dev: &'static str,
    },
    /// In [`Profile::V1_41`] only.
    V1_41(&'static str),
    /// In [`Profile::GenAiDev`] only.
    GenAiDev(&'static str),
    /// Of older conventions, by choice.
    Legacy(&'static str),
    /// Of KAOS, by choice.
    Kaos(&'static str),
}

impl Key {
    /// The row's name under `conventions`; `None` where they have no such attribute.
    #[must_use]
    pub const fn name(&self, conventions: &Conventions) -> Option<&'static str> {
        match (self.names, conventions.profile) {
            (Names::All(name), _)
            | (Names::Differs { v1_41: name, .. } | Names::V1_41(name), Profile::V1_41)
            | (
                Names::Differs {
                    gen_ai_dev: name, ..
                }
                | Names::GenAiDev(name),
                Profile::GenAiDev,
            ) => Some(name),
            (Names::Legacy(name), _) if conventions.legacy_names => Some(name),
            (Names::Kaos(name), _) if conventions.kaos_names => Some(name),
            _ => None,
        }
    }
}

/// The table as the Markdown of `docs/attributes.md`.
#[must_use]
pub fn document() -> String {
    let mut text = String::from(HEAD);
    for key in TABLE {
        let (v1_41, gen_ai_dev) = match key.names {
            Names::All(name) => (cell(name), cell(name)),
            Names::Differs { v1_41, gen_ai_dev } => (cell(v1_41), cell(gen_ai_dev)),
            Names::V1_41(name) => (cell(name), "—".to_owned()),
            Names::GenAiDev(name) => ("—".to_owned(), cell(name)),
            Names::Legacy(name) => (cell(name) + " (legacy)", cell(name) + " (legacy)"),
            Names::Kaos(name) => (cell(name) + " (KAOS)", cell(name) + " (KAOS)"),
        };
        let kind = key.kind.as_str();
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "| {v1_41} | {gen_ai_dev} | {kind} | {} |",
            key.meaning
        );
    }
    text.push_str(TAIL);
    text
}

fn cell(name: &str) -> String {
    format!("`{name}`")
}

const HEAD: &str = "\
# Attributes

Every attribute that a span or a span event of kaos-probe may carry, by the profile that
`--conventions` chooses.
A test keeps this table and the one in the code the same (`UPDATE_DOCS=1 cargo test -p probe-core
conventions` writes it anew).

Names without a mark are those of the OpenTelemetry conventions; `telemetry.kaos.*` are ours.
Names marked (legacy) or (KAOS) stand beside the others by choice only.
Content attributes are there only when content capture was opted in.

| v1.41 | gen-ai-dev | type | meaning |
| --- | --- | --- | --- |
";

const TAIL: &str = "
## Events

A failed call carries one event `exception` with `exception.type` alone: a message would be the
provider's text.

## Status

The status is ERROR, without a description, where `error.type` is set; but a server's span of a
4xx answer keeps its status unset, as the HTTP conventions ask: the client is at fault.
One side that goes away in the middle of an answer is an error on both sides, and so is an answer
that the model had to cut at the limit of tokens (`error.type` `length`).
A hole in our own capture is never an error.

## Parents

- A client's span is the child of the `traceparent` on its request; without one, of the request
  that its process served with it ([parents.md](parents.md)); without that it begins a trace.
- A server's span is the child of our client's span where both ends of the connection are seen;
  else of the `traceparent` on its request; without one it begins a trace.
- A client's span that is left to its process's own SDK ([reporters.md](reporters.md)) is nobody's
  parent: the server's span stands in its place.
- An MCP message's context in `params._meta` is the parent, that of the HTTP header is a link.
- No span names a parent that neither stood on the wire nor is exported.
  A client's span that never came to its end is exported all the same when a server's span named
  it, with `telemetry.kaos.capture.lost_end`.

## Sums

A chain client → proxy → model server is one generation, seen up to four times.
`telemetry.kaos.counts` is true on the span nearest to the model: on a server's span that forwards
nothing; where the server is not seen, on the last client's.
So a span need not wait for those further out, which end later.

- A server forwards a call if its process made a model call of the same sort (generation or
  embeddings) while it was open.
  With several open at once nobody can tell which of them was forwarded, so all were.
- Where the server's capture lost the usage and the client's span is still to come, that counts.
- Where a connection does not tell that two spans are its two ends (TLS through memory as asyncio
  and Node do it, addresses rewritten on the way), the response's id does. Ollama's own format has
  none: there both ends count.
- Agents' spans, and those of loading a model, never count.
- A server's call to its own helper process (`ollama runner`) is no span at all.
- Of a call from one node to another each node's probe sees one end, and both may count.
  Where that is so, sum up the spans of kind SERVER.
";
