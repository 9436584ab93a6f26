//! Chooses the sites, function by function.

use iced_x86::Register;
use object::read::ReadRef;

use super::site::{self, Abi, Cost, Forward, Function, OpenSslSites, Site, When};
use crate::Error;
use crate::arm;
use crate::image::Image;
use crate::symbols::{self, GotSlot, Symbol};
use crate::x86::emulation;
use crate::x86::flow::{self, Flow, Subject, Target};
use crate::x86::sweep;
use crate::x86::values::Value;
use crate::x86::wrapper::{self, Count, Inner, Out};

const WHY_FIRST: &str = "the kernel emulates the function's first instruction";
const WHY_PREFIX: &str = "the kernel emulates this instruction, which always runs first";
const WHY_CALL: &str =
    "the call of the internal function always runs and has all arguments in registers";
const WHY_CALLEE: &str = "the kernel emulates the internal function's first instruction";
const WHY_STEPPED: &str = "no emulated instruction is proven to see every call, so the function's first instruction is single-stepped";
const WHY_ARM: &str = "on Arm the function's first instruction is hooked, whatever it is";

/// Sites at the functions' first instructions, for 64-bit Arm.
pub(super) fn at_entries<'d, R: ReadRef<'d>>(
    image: &Image<R>,
    symbols: &[Symbol],
) -> Result<OpenSslSites, Error> {
    let slots = symbols::got_slots(image, &site::LOOKED_UP)?;
    let mut chosen = OpenSslSites::default();
    for symbol in symbols {
        let Some(function) = site::function_of(symbol.name) else {
            continue;
        };
        let to = match arm::hands_over_to(image, &slots, symbol.address) {
            Some(arm::Target::Name(name)) => Some(name),
            Some(arm::Target::Address(address)) => name_at(symbols, address),
            None => None,
        };
        let to = to.filter(|to| site::function_of(to) == Some(function) && *to != symbol.name);
        if let Some(to) = to {
            chosen.forwards.push(Forward {
                from: symbol.name,
                to,
            });
            continue;
        }
        let place = Place {
            address: symbol.address,
            cost: Cost::SingleStep,
            delta: 0,
            why: WHY_ARM,
        };
        direct(image, &mut chosen, symbol.name, function, place);
    }
    Ok(finish(chosen))
}

fn name_at(symbols: &[Symbol], address: u64) -> Option<&'static str> {
    let known = symbols.iter().find(|symbol| symbol.address == address);
    known.map(|symbol| symbol.name)
}

/// The cheapest sites that can be proven to be right.
pub(super) fn by_disassembly<'d, R: ReadRef<'d>>(
    image: &Image<R>,
    symbols: &[Symbol],
) -> Result<OpenSslSites, Error> {
    let slots = symbols::got_slots(image, &site::LOOKED_UP)?;
    let chooser = Chooser {
        image,
        symbols,
        slots,
        peeked: Vec::new(),
    };
    let chooser = Chooser {
        peeked: chooser.peek_targets(),
        ..chooser
    };
    let mut chosen = OpenSslSites::default();
    for symbol in symbols {
        match site::function_of(symbol.name) {
            Some(function @ (Function::Read | Function::Write)) => {
                chooser.transfer(&mut chosen, symbol, function);
            }
            Some(function) => chooser.notice(&mut chosen, symbol, function),
            None => {}
        }
    }
    Ok(finish(chosen))
}

/// Where a function is hooked itself.
#[derive(Clone, Copy)]
struct Place {
    address: u64,
    cost: Cost,
    delta: u8,
    why: &'static str,
}

struct Chooser<'i, R> {
    image: &'i Image<R>,
    symbols: &'i [Symbol],
    slots: Vec<GotSlot>,
    /// What `SSL_peek` and `SSL_peek_ex` call.
    peeked: Vec<u64>,
}

impl<'d, R: ReadRef<'d>> Chooser<'_, R> {
    /// Chooses for a function that moves data.
    fn transfer(&self, chosen: &mut OpenSslSites, symbol: &Symbol, function: Function) {
        let flow = self.explore(symbol);
        if let Some(flow) = &flow {
            match self.forward(symbol, function, flow) {
                Forwarding::Proven(to) => {
                    chosen.forwards.push(Forward {
                        from: symbol.name,
                        to,
                    });
                    return;
                }
                Forwarding::Possible => chosen.uncertain.push(symbol.name),
                Forwarding::None => {}
            }
        }
        let first = self.first_instruction(symbol);
        if first.cost == Cost::SingleStep
            && let Some(flow) = &flow
            && let Some(inner) = self.inner(symbol, flow)
        {
            return self.push_inner(chosen, symbol.name, function, &inner);
        }
        direct(self.image, chosen, symbol.name, function, first);
    }

    /// Chooses for a function of which only the call itself matters.
    fn notice(&self, chosen: &mut OpenSslSites, symbol: &Symbol, function: Function) {
        let first = self.first_instruction(symbol);
        let prefix = || {
            let flow = self.explore(symbol)?;
            let step = flow.prefix.into_iter().find(|step| {
                step.emulated && step.registers.get(Register::RDI) == Value::Argument(0)
            })?;
            Some(Place {
                address: step.address,
                cost: Cost::Emulated,
                delta: 0,
                why: WHY_PREFIX,
            })
        };
        let place = if first.cost == Cost::Emulated {
            first
        } else {
            prefix().unwrap_or(first)
        };
        let site = Site {
            file_offset: 0,
            address: place.address,
            function,
            symbols: vec![symbol.name],
            when: When::Entry,
            abi: Abi::Direct,
            cost: place.cost,
            return_stack_delta: 0,
            why: place.why,
        };
        push(self.image, chosen, site);
    }

    fn explore(&self, symbol: &Symbol) -> Option<Flow> {
        flow::explore(self.image, &self.slots, subject_of(symbol)?, None).ok()
    }

    /// The first instruction of a function, behind `endbr64` if that makes it cheap.
    fn first_instruction(&self, symbol: &Symbol) -> Place {
        let stepped = Place {
            address: symbol.address,
            cost: Cost::SingleStep,
            delta: 8,
            why: WHY_STEPPED,
        };
        self.emulated_start(symbol.address)
            .map_or(stepped, |address| Place {
                address,
                cost: Cost::Emulated,
                why: WHY_FIRST,
                ..stepped
            })
    }

    /// Where the function at `address` can be hooked cheaply, its return address still on top.
    fn emulated_start(&self, address: u64) -> Option<u64> {
        let code = self.image.address_bytes(address, 24)?;
        let skip = emulation::endbr_length(code);
        let rest = code.get(usize::try_from(skip).ok()?..)?;
        emulation::is_emulated(rest).then(|| address.checked_add(skip))?
    }

    /// Whether the function goes through another that is hooked for the same direction.
    fn forward(&self, symbol: &Symbol, function: Function, flow: &Flow) -> Forwarding {
        let Some(subject) = subject_of(symbol) else {
            return Forwarding::None;
        };
        let mut tried: Vec<Target> = Vec::new();
        for transfer in &flow.transfers {
            let Some(to) = self.name_of(transfer.target) else {
                continue;
            };
            let hooked = to != symbol.name && site::function_of(to) == Some(function);
            if !hooked || tried.contains(&transfer.target) {
                continue;
            }
            if wrapper::always_passes(self.image, &self.slots, subject, transfer.target) {
                return Forwarding::Proven(to);
            }
            tried.push(transfer.target);
        }
        if tried.is_empty() {
            Forwarding::None
        } else {
            Forwarding::Possible
        }
    }

    fn inner(&self, symbol: &Symbol, flow: &Flow) -> Option<(Inner, u64)> {
        let count = match site::direct_abi(symbol.name) {
            Abi::DirectEx => Count::Argument(3),
            Abi::DirectEx2 => Count::Argument(4),
            _ => Count::Local,
        };
        let inner = wrapper::inner(self.image, &self.slots, subject_of(symbol)?, count, flow)?;
        let target = Target::Address(inner.callee);
        if self.peeked.contains(&inner.callee) || self.name_of(target).is_some() {
            return None;
        }
        let start = self.emulated_start(inner.callee)?;
        Some((inner, start))
    }

    fn push_inner(
        &self,
        chosen: &mut OpenSslSites,
        name: &'static str,
        function: Function,
        (inner, start): &(Inner, u64),
    ) {
        let abi = match inner.out {
            Out::Rcx => Abi::InnerRcx,
            Out::R8 => Abi::InnerR8,
        };
        let site = |address: u64, when: When, why: &'static str| Site {
            file_offset: 0,
            address,
            function,
            symbols: vec![name],
            when,
            abi,
            cost: Cost::Emulated,
            return_stack_delta: if inner.is_jump { 8 } else { 0 },
            why,
        };
        for call in &inner.calls {
            push(self.image, chosen, site(*call, When::Entry, WHY_CALL));
        }
        push(self.image, chosen, site(*start, When::Return, WHY_CALLEE));
    }

    /// All that the peeking functions call, also where not all their paths can be followed.
    fn peek_targets(&self) -> Vec<u64> {
        let peeks = self
            .symbols
            .iter()
            .filter(|symbol| site::PEEKS.contains(&symbol.name));
        peeks
            .flat_map(|peek| sweep::near_targets(self.image, peek.address, peek.size))
            .collect()
    }

    fn name_of(&self, target: Target) -> Option<&'static str> {
        match target {
            Target::Name(name) => Some(name),
            Target::Address(address) => name_at(self.symbols, address),
            Target::Indirect => None,
        }
    }
}

enum Forwarding {
    None,
    Possible,
    Proven(&'static str),
}

fn subject_of(symbol: &Symbol) -> Option<Subject> {
    let arguments = match site::direct_abi(symbol.name) {
        Abi::DirectEx => 4,
        Abi::DirectEx2 => 5,
        _ => 3,
    };
    (symbol.size > 0).then_some(Subject {
        address: symbol.address,
        size: symbol.size,
        arguments,
    })
}

/// Entry and return on the exported function itself.
fn direct<'d, R: ReadRef<'d>>(
    image: &Image<R>,
    chosen: &mut OpenSslSites,
    name: &'static str,
    function: Function,
    place: Place,
) {
    let transfers = matches!(function, Function::Read | Function::Write);
    for when in [When::Entry, When::Return] {
        if when == When::Return && !transfers {
            continue;
        }
        let site = Site {
            file_offset: 0,
            address: place.address,
            function,
            symbols: vec![name],
            when,
            abi: site::direct_abi(name),
            cost: place.cost,
            return_stack_delta: place.delta,
            why: place.why,
        };
        push(image, chosen, site);
    }
}

/// Adds a site, or the symbol to the site that stands there already.
fn push<'d, R: ReadRef<'d>>(image: &Image<R>, chosen: &mut OpenSslSites, mut site: Site) {
    // A header may promise more than the file has.
    let is_there = image
        .address_bytes(site.address, 1)
        .is_some_and(|code| !code.is_empty());
    let Some(file_offset) = image.offset_of(site.address).filter(|_offset| is_there) else {
        return;
    };
    site.file_offset = file_offset;
    let same = |known: &&mut Site| known.address == site.address && known.when == site.when;
    if let Some(known) = chosen.sites.iter_mut().find(same) {
        known.symbols.append(&mut site.symbols);
    } else {
        chosen.sites.push(site);
    }
}

fn finish(mut chosen: OpenSslSites) -> OpenSslSites {
    // The order of a symbol table is the linker's whim.
    for site in &mut chosen.sites {
        site.symbols.sort_unstable();
    }
    chosen
        .sites
        .sort_by_key(|site| (site.file_offset, site.when));
    chosen.forwards.sort_unstable_by_key(|forward| forward.from);
    chosen.uncertain.sort_unstable();
    chosen
}
