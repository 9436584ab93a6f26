//! t
use probe_elf::{ReadCache, tls};
fn main() {
    for p in std::env::args().skip(1) {
        let c = ReadCache::new(std::fs::File::open(&p).unwrap());
        let t = std::time::Instant::now();
        let r = tls::openssl_sites(&c);
        println!("== {p} {:?}", t.elapsed());
        match r {
            Ok(Some(f)) => {
                for s in &f.sites {
                    println!(
                        "   {:#9x} {:?} {:?} {:?} {:?} d{} {:?}",
                        s.address,
                        s.function,
                        s.when,
                        s.abi,
                        s.cost,
                        s.return_stack_delta,
                        s.symbols
                    );
                }
                println!("   {:?} {:?}", f.forwards, f.uncertain);
            }
            o => println!("{o:?}"),
        }
    }
}
