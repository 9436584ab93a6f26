//! A virtual machine: boots, shows its console, ends.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::cmd::{command, limited};

/// The emulator. Without KVM: a machine that has the kernel under test is rarely the one at hand.
pub(super) const QEMU: &str = "qemu-system-x86_64";

/// All that the emulator can, but for `cmpxchg16b`: that of QEMU 7.2 spoils the flags register now
/// and then, on which kernels with it in their allocator die.
const CPU: &str = "max,cx16=off";
/// `no_timer_check`: on a busy host the emulated timer is too slow for the kernel's test of it.
/// `mitigations=off`: what they keep from speculation, an emulator does not do, but pays for.
const COMMAND_LINE: &str =
    "console=ttyS0 quiet panic=-1 no_timer_check mitigations=off rdinit=/init";

/// Boots `kernel` with `initramfs` and hands over each line of the console. Returns when the
/// machine has ended; one that has not after `limit` is ended.
pub(super) fn run(
    kernel: &Path,
    initramfs: &Path,
    limit: Duration,
    mut line: impl FnMut(&str),
) -> Result<()> {
    let mut child = limited(&qemu(kernel, initramfs), limit)
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot run {QEMU}"))?;
    if let Some(console) = child.stdout.take() {
        let mut console = BufReader::new(console);
        let mut bytes = Vec::new();
        while console.read_until(b'\n', &mut bytes)? > 0 {
            line(String::from_utf8_lossy(&bytes).trim_end());
            bytes.clear();
        }
    }
    child.wait()?;
    Ok(())
}

fn qemu(kernel: &Path, initramfs: &Path) -> Command {
    let mut qemu = command(QEMU);
    qemu.args(["-accel", "tcg,thread=multi", "-cpu", CPU, "-smp", "2"])
        .args(["-m", "2G", "-nographic", "-no-reboot", "-nic", "none"])
        .args(["-append", COMMAND_LINE])
        .arg("-kernel")
        .arg(kernel)
        .arg("-initrd")
        .arg(initramfs);
    qemu
}
