//! How big the webhook is, what it needs, and how soon it is ready.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::World;
use super::certificates::{Authority, Validity};
use super::replica::Program;
use super::setup::{HOME, NAME, Route, endpoints, register};

/// The largest that the stripped release binary may be, in bytes.
const MAX_SIZE: u64 = 15_000_000;
/// From start to ready, with a certificate that is there.
const READY_WITHIN: Duration = Duration::from_secs(1);
/// What a program for glibc may be linked to and still need nothing beside it.
const LIBC: [&str; 4] = ["linux-vdso", "libc.so", "libm.so", "ld-linux"];
const STARTS: usize = 5;

/// Size, libraries and start.
pub async fn start(world: &World) -> Result<String> {
    let size = world.binary.metadata()?.len();
    let release = world
        .binary
        .parent()
        .is_some_and(|it| it.ends_with("release"));
    // With debug information nothing is said about what ships.
    ensure!(!release || size <= MAX_SIZE, "the binary has {size} bytes");
    let linked = linked(world)?;
    let foreign: Vec<&String> = linked
        .iter()
        .filter(|it| !LIBC.iter().any(|known| it.contains(known)))
        .collect();
    ensure!(foreign.is_empty(), "it is linked to {foreign:?}");

    let authority = Authority::new("start")?;
    let folder = world.folder.join("start");
    authority.write(&folder, world.cluster.address(), Validity::Good)?;
    endpoints(&world.cluster, &[]).await?;
    register(world, Route::Service, Some(authority.pem())).await?;
    let files = ready_after(&world.with_files(&folder), "start-files").await?;

    let secret = format!("/api/v1/namespaces/{HOME}/secrets/{NAME}-tls");
    world.cluster.delete(&secret).await?;
    register(world, Route::Service, None).await?;
    // The default: the first one issues, and leaves a Secret and a caBundle to the others.
    world.program().start("start-issuing")?.ready().await?;
    let own = ready_after(&world.program(), "start-own").await?;
    let what = if release { "release" } else { "debug" };
    let (files, own) = (files.as_millis(), own.as_millis());
    Ok(format!(
        "{what} binary of {size} bytes, libc only, ready after {own} ms with the Secret, {files} ms \
         with files (medians)"
    ))
}

/// The median of some starts.
async fn ready_after(program: &Program, name: &str) -> Result<Duration> {
    let mut times = Vec::new();
    for number in 0..STARTS {
        let mut replica = program.start(&format!("{name}-{number}"))?;
        times.push(replica.ready().await?);
    }
    times.sort_unstable();
    let median = times[STARTS / 2];
    ensure!(median <= READY_WITHIN, "{name}: ready after {median:?}");
    Ok(median)
}

fn linked(world: &World) -> Result<Vec<String>> {
    let output = Command::new("ldd")
        .arg(&world.binary)
        .output()
        .context("run ldd")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let lines = text.lines().map(|line| line.trim().to_owned());
    Ok(lines.filter(|line| line.contains(".so")).collect())
}
