//! Finds the kernel half that `cargo xtask build` made, for the binary to carry, and links the
//! unwinder statically.

#[path = "../link/unwinder.rs"]
mod unwinder;

use std::path::PathBuf;

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
    if object.is_file() {
        let object = object.canonicalize().unwrap_or(object);
        println!("cargo::rustc-env=KAOS_BPF_OBJECT={}", object.display());
    } else {
        println!(
            "cargo::error=the kernel half is not built ({} is missing): run `cargo xtask build`",
            object.display()
        );
    }
}
