//! Links the unwinder statically.

#[path = "../link/unwinder.rs"]
mod unwinder;

fn main() {
    if let Err(error) = unwinder::link_statically() {
        println!("cargo::error=cannot write into the build folder: {error}");
    }
    println!("cargo::rerun-if-changed=../link/unwinder.rs");
}
