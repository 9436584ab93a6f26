//! What an executable or library is, and what of its TLS can be seen.
//!
//! Meant for `doctor` and for the first sight of a program, not for a hot path: where nothing
//! cheaper settles it, up to 64 MiB of read-only data are searched for marks.

mod coverage;
mod go;
mod marks;
mod python;

use object::elf;
use object::read::ReadRef;

pub use coverage::Coverage;
pub use go::GoFacts;
pub(crate) use go::version as go_version;
pub use marks::{Marks, StaticTls};
pub use python::PythonFacts;

use crate::dynamic::Dynamic;
use crate::go::GoSites;
use crate::image::{Image, Machine};
use crate::tls::{self, OpenSslSites};
use crate::{Error, budget, symbols};

/// The most bytes of a file that are read: its symbols, its marks, and Go's table of names.
const BUDGET: u64 = 192 << 20;

/// The language runtime that a file carries.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Runtime {
    /// A program built by the Go toolchain.
    Go(GoFacts),
    /// Node.js: the executable itself.
    Node,
    /// Bun: the executable itself, or a program that it has compiled.
    Bun,
    /// CPython: its executable or its library.
    Python(PythonFacts),
    /// A Java virtual machine: its launcher or its library.
    Java,
    /// A program or library with Rust code in it.
    Rust,
    /// None that is known.
    Native,
}

/// All that could be found out about one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// The processor that it is for.
    pub machine: Machine,
    /// Its language runtime.
    pub runtime: Runtime,
    /// What the dynamic linker is told.
    pub dynamic: Dynamic,
    /// Where OpenSSL's functions can be hooked, if this very file defines them.
    pub openssl: Option<OpenSslSites>,
    /// Where a Go program can be hooked.
    pub go: Option<GoSites>,
    /// Marks that static TLS libraries leave in read-only data.
    pub marks: Marks,
}

impl Facts {
    /// For each TLS library of this file: whether it is seen, why, and what to do.
    ///
    /// Never empty: a file without TLS says so.
    #[must_use]
    pub fn tls_coverage(&self) -> Vec<Coverage> {
        coverage::of(self)
    }
}

/// Finds out what a file is.
pub fn inspect<'d, R: ReadRef<'d>>(data: R) -> Result<Facts, Error> {
    budget::within(BUDGET, data, |data| facts_of(&Image::parse(data)?))
}

fn facts_of<'d, R: ReadRef<'d>>(image: &Image<R>) -> Result<Facts, Error> {
    let dynamic = Dynamic::read(image);
    let openssl = tls::sites_of(image)?;
    let go = go::inspect(image);
    // Go keeps its names elsewhere, and symbols are better evidence than marks.
    let marks = if go.is_some() || openssl.is_some() {
        Marks::default()
    } else {
        marks::search(image)
    };
    let runtime = match go {
        Some(go) => Runtime::Go(go),
        None => runtime_of(image, &dynamic, &marks)?,
    };
    Ok(Facts {
        machine: image.machine(),
        runtime,
        dynamic,
        openssl,
        go: crate::go::sites_of(image),
        marks,
    })
}

fn runtime_of<'d, R: ReadRef<'d>>(
    image: &Image<R>,
    dynamic: &Dynamic,
    marks: &Marks,
) -> Result<Runtime, Error> {
    // `node::Start(int, char**)`, exported for embedders and addons.
    if !symbols::find(image, &["_ZN4node5StartEiPPc"])?.is_empty() {
        return Ok(Runtime::Node);
    }
    // Where a compiled program's script stands; Bun's own executable has it empty.
    if image
        .sections()
        .iter()
        .any(|section| section.name == ".bun")
    {
        return Ok(Runtime::Bun);
    }
    if let Some(python) = python::inspect(image, dynamic)? {
        return Ok(Runtime::Python(python));
    }
    let is_jvm = dynamic.soname.as_deref() == Some("libjvm.so");
    if is_jvm || dynamic.needs("libjli.so") || dynamic.needs("libjvm.so") {
        return Ok(Runtime::Java);
    }
    let is_rust = marks.rust || names_rustc(image);
    Ok(if is_rust {
        Runtime::Rust
    } else {
        Runtime::Native
    })
}

/// Each compiler adds its name to `.comment`, which `strip` leaves in place.
fn names_rustc<'d, R: ReadRef<'d>>(image: &Image<R>) -> bool {
    let comment = image
        .sections()
        .iter()
        .find(|section| section.name == ".comment" && section.kind == elf::SHT_PROGBITS);
    comment
        .and_then(|section| image.section_bytes(section, 64 << 10).ok())
        .is_some_and(|text| memchr::memmem::find(text, b"rustc version").is_some())
}
