//! Finds the kernel half that `cargo xtask build` made, for the binary to carry, and links the
//! unwinder statically.

use std::path::PathBuf;

fn main() {
    if let Err(error) = link_unwinder_statically() {
        println!("cargo::error=cannot write into the build folder: {error}");
    }
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

/// The standard library asks for `-lgcc_s`, a shared library that containers of libc alone have
/// not. A linker script of that name, found first, gives the same code from gcc's archive.
/// `-static-libgcc` cannot: it does not change what was asked for by name.
fn link_unwinder_statically() -> std::io::Result<()> {
    let is = |variable, value: &str| std::env::var(variable).is_ok_and(|found| found == value);
    if !is("CARGO_CFG_TARGET_OS", "linux") || !is("CARGO_CFG_TARGET_ENV", "gnu") {
        return Ok(());
    }
    let folder = PathBuf::from(std::env::var("OUT_DIR").unwrap_or_default()).join("unwinder");
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join("libgcc_s.so"), "INPUT(-lgcc_eh -lgcc)\n")?;
    println!("cargo::rustc-link-search=native={}", folder.display());
    Ok(())
}
