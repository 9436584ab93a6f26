//! Packs the kernel half that `cargo xtask build` made, for the binary to carry, and links the
//! unwinder statically.

#[path = "../link/unwinder.rs"]
mod unwinder;

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::ZlibEncoder;

fn main() {
    if let Err(error) = unwinder::link_statically() {
        println!("cargo::error=cannot write into the build folder: {error}");
    }
    println!("cargo::rerun-if-changed=../link/unwinder.rs");
    println!("cargo::rerun-if-env-changed=KAOS_BPF_OBJECT");
    let root = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default());
    let object = std::env::var("KAOS_BPF_OBJECT")
        .map_or_else(|_| root.join("../target/bpf/kaos-probe.o"), PathBuf::from);
    println!("cargo::rerun-if-changed={}", object.display());
    let packed = PathBuf::from(std::env::var("OUT_DIR").unwrap_or_default()).join("kaos-probe.o.z");
    match pack(&object, &packed) {
        Ok(()) => println!("cargo::rustc-env=KAOS_BPF_PACKED={}", packed.display()),
        Err(error) => println!(
            "cargo::error=the kernel half is not built ({}: {error}): run `cargo xtask build`",
            object.display()
        ),
    }
}

/// The programs for each tap and helper have much in common: packed they are a sixth, and are
/// unpacked in some milliseconds.
fn pack(object: &Path, packed: &Path) -> io::Result<()> {
    let bytes = std::fs::read(object)?;
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(&bytes)?;
    std::fs::write(packed, encoder.finish()?)
}
