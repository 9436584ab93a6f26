//! Where to hook a Go program: its own TLS, and where `net/http` hands requests over.
//!
//! Go has its own calling convention (`ABIInternal`, Go 1.17 and later): arguments and results in
//! rax, rbx, rcx …, the goroutine in r14. Stacks move, so a return address may never be replaced:
//! there is no return hook, only hooks on instructions.
//!
//! A hook that the kernel single-steps costs twenty times one that it emulates, and `ret` is
//! single-stepped. So the way in is the `jbe` or `push rbp` of the check of the stack, and the
//! way out is found where the bytes are: the one copy within `Read` after which nothing fails.

mod sites;
pub(crate) mod table;

use object::read::ReadRef;

use crate::Error;
use crate::image::{Image, Machine};
use crate::tls::Cost;
use table::{Span, Table};

/// What a hook sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Hook {
    /// `crypto/tls.(*Conn).Read` begins: connection in rax, buffer in rbx, its length in rcx.
    TlsRead,
    /// It is about to copy rcx bytes of plaintext from rbx into that buffer, and returns that
    /// count.
    TlsCopies,
    /// It returns: byte count in rax, 0 or less means none.
    TlsReturns,
    /// `crypto/tls.(*Conn).Write` begins: connection in rax, bytes from rbx on, their count in
    /// rcx. It writes all of them, or nothing more is written on this connection ever after.
    TlsWrite,
    /// `crypto/tls.(*Conn).Close` begins: connection in rax.
    TlsClose,
    /// `net/http.(*persistConn).roundTrip` begins: a request is made, in this goroutine, on the
    /// pooled connection in rax.
    HandsOver,
    /// `net/http.persistConnWriter.Write` begins: another goroutine writes that request to the
    /// connection in rax.
    WritesFor,
}

/// One place to hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Site {
    /// Where in the file: what the kernel wants for a uprobe.
    pub file_offset: u64,
    /// The same place as an address before relocation.
    pub address: u64,
    /// What it sees.
    pub hook: Hook,
    /// What a hit costs.
    pub cost: Cost,
}

/// A Go program that can be hooked.
///
/// At the sites of beginnings the carry and the zero flag say whether the function goes on: with
/// one of them set the stack grows first, and the function begins again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GoSites {
    /// The toolchain, `go1.26.8` for example.
    pub version: Option<String>,
    /// The sites of `crypto/tls`; empty where it is not linked in or not understood.
    pub tls: Vec<Site>,
    /// The sites of `net/http`'s client; empty likewise.
    pub client: Vec<Site>,
}

impl GoSites {
    /// The dearest cost.
    #[must_use]
    pub fn worst_cost(&self) -> Cost {
        let sites = self.tls.iter().chain(&self.client);
        sites.map(|site| site.cost).max().unwrap_or(Cost::Emulated)
    }
}

/// Finds the hook sites of a Go program; `None` if the file is none.
pub fn go_sites<'d, R: ReadRef<'d>>(data: R) -> Result<Option<GoSites>, Error> {
    Ok(sites_of(&Image::parse(data)?))
}

/// As [`go_sites`], of an image that is parsed already.
pub fn sites_of<'d, R: ReadRef<'d>>(image: &Image<R>) -> Option<GoSites> {
    let table = Table::read(image)?;
    let mut sites = GoSites {
        version: crate::runtime::go_version(image),
        ..GoSites::default()
    };
    if image.machine() == Machine::X86_64 {
        let found = Functions::find(&table);
        let texts = table.texts(image);
        sites.tls = first(&texts, |text| found.tls(image, text));
        sites.client = first(&texts, |text| found.client(image, text));
    }
    Some(sites)
}

/// What is found at the first of the addresses where it makes sense.
fn first(texts: &[u64], find: impl Fn(u64) -> Option<Vec<Site>>) -> Vec<Site> {
    texts
        .iter()
        .find_map(|text| find(*text))
        .unwrap_or_default()
}

/// The functions that matter.
struct Functions {
    read: Option<Span>,
    write: Option<Span>,
    close: Option<Span>,
    copy: Option<Span>,
    round_trip: Option<Span>,
    writer: Option<Span>,
}

impl Functions {
    fn find(table: &Table<'_>) -> Self {
        let [read, write, close, copy, round_trip, writer] = table.find([
            "crypto/tls.(*Conn).Read",
            "crypto/tls.(*Conn).Write",
            "crypto/tls.(*Conn).Close",
            "runtime.memmove",
            "net/http.(*persistConn).roundTrip",
            "net/http.persistConnWriter.Write",
        ]);
        Self {
            read,
            write,
            close,
            copy,
            round_trip,
            writer,
        }
    }

    /// All that are linked in, or none: half of a connection is worth nothing.
    fn tls<'d, R: ReadRef<'d>>(&self, image: &Image<R>, text: u64) -> Option<Vec<Site>> {
        let decode = |span| sites::Function::decode(image, text, span);
        let beginnings = [
            (self.read, Hook::TlsRead),
            (self.write, Hook::TlsWrite),
            (self.close, Hook::TlsClose),
        ];
        let linked = beginnings
            .iter()
            .filter_map(|(span, hook)| Some(((*span)?, *hook)));
        let mut all: Vec<Site> = linked
            .map(|(span, hook)| decode(span)?.beginning(hook))
            .collect::<Option<_>>()?;
        if let Some(read) = self.read {
            all.extend(self.read_ends(&decode(read)?, text)?);
        }
        Some(all)
    }

    /// Where it is known what was read.
    fn read_ends(&self, read: &sites::Function, text: u64) -> Option<Vec<Site>> {
        let copy = self
            .copy
            .and_then(|copy| text.checked_add(copy.start.into()));
        match copy.and_then(|copy| read.only_call(copy, Hook::TlsCopies)) {
            Some(copies) => Some(vec![copies]),
            None => read.returns(Hook::TlsReturns),
        }
    }

    fn client<'d, R: ReadRef<'d>>(&self, image: &Image<R>, text: u64) -> Option<Vec<Site>> {
        let round_trip = sites::Function::decode(image, text, self.round_trip?)?;
        let writer = sites::Function::decode(image, text, self.writer?)?;
        Some(vec![
            round_trip.beginning(Hook::HandsOver)?,
            writer.beginning(Hook::WritesFor)?,
        ])
    }
}
