//! Prints what the crate finds in each file named on the command line.

use std::fs::File;
use std::time::Instant;

use anyhow::Context as _;
use probe_elf::{ReadCache, go, runtime, tls};

fn main() -> anyhow::Result<()> {
    for path in std::env::args().skip(1) {
        let file = File::open(&path).with_context(|| format!("failed to open {path}"))?;
        let cache = ReadCache::new(file);
        println!("== {path}");
        let start = Instant::now();
        let sites = tls::openssl_sites(&cache);
        println!("   sites after {:?}", start.elapsed());
        match sites {
            Err(error) => println!("   {error}"),
            Ok(None) => println!("   defines no OpenSSL functions"),
            Ok(Some(found)) => print_sites(&found),
        }
        let start = Instant::now();
        if let Ok(Some(found)) = go::go_sites(&cache) {
            println!(
                "   Go sites after {:?}: {:?}",
                start.elapsed(),
                found.version
            );
            for site in found.tls.iter().chain(&found.client) {
                println!(
                    "   {:#9x} {:?} {:?}",
                    site.file_offset, site.hook, site.cost
                );
            }
        }
        let start = Instant::now();
        let facts = runtime::inspect(&cache);
        println!("   facts after {:?}", start.elapsed());
        match facts {
            Err(error) => println!("   {error}"),
            Ok(facts) => print_facts(&facts),
        }
    }
    Ok(())
}

fn print_sites(found: &tls::OpenSslSites) {
    for site in &found.sites {
        println!(
            "   {:#9x} {:?} {:?} {:?} {:?} delta {} {:?}: {}",
            site.file_offset,
            site.function,
            site.when,
            site.abi,
            site.cost,
            site.return_stack_delta,
            site.symbols,
            site.why
        );
    }
    for forward in &found.forwards {
        println!("   {} goes through {}", forward.from, forward.to);
    }
    for name in &found.uncertain {
        println!("   {name} may be counted twice");
    }
}

fn print_facts(facts: &runtime::Facts) {
    println!("   {facts:#?}");
    for coverage in facts.tls_coverage() {
        println!("   {coverage:?}");
    }
}
