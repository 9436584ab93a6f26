//! For build scripts of programs: links the unwinder statically.

/// The standard library asks for `-lgcc_s`, a shared library that containers of libc alone have
/// not. A linker script of that name, found first, gives the same code from gcc's archive.
/// `-static-libgcc` cannot: it does not change what was asked for by name.
pub(crate) fn link_statically() -> std::io::Result<()> {
    let is = |variable, value: &str| std::env::var(variable).is_ok_and(|found| found == value);
    if !is("CARGO_CFG_TARGET_OS", "linux") || !is("CARGO_CFG_TARGET_ENV", "gnu") {
        return Ok(());
    }
    let out = std::env::var("OUT_DIR").unwrap_or_default();
    let folder = std::path::Path::new(&out).join("unwinder");
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join("libgcc_s.so"), "INPUT(-lgcc_eh -lgcc)\n")?;
    println!("cargo::rustc-link-search=native={}", folder.display());
    Ok(())
}
