//! The commands.

mod explain;
mod manifest;
mod serve;

use std::io::Write as _;
use std::time::Duration;

use clap::Parser as _;
use webhook_core::Settings;

/// Gives the pods of KAOS components their telemetry environment.
#[derive(clap::Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Answer the API server's reviews.
    Serve(Box<serve::Args>),
    /// Say what would be injected into a pod, from where, and if nothing: why.
    Explain(explain::Args),
    /// Print the objects that make the API server call, and the rights that the webhook needs.
    Manifest(manifest::Args),
    /// Print the configuration that holds when none is given.
    DefaultConfig,
}

pub(crate) fn main() -> anyhow::Result<()> {
    match Cli::parse().command {
        Command::Serve(args) => serve::run(*args),
        Command::Explain(args) => explain::run(&args),
        Command::Manifest(args) => manifest::run(args),
        Command::DefaultConfig => print(&Settings::default().to_yaml()),
    }
}

fn print(text: &str) -> anyhow::Result<()> {
    Ok(std::io::stdout().write_all(text.as_bytes())?)
}

/// A time as people write it: `90d`, `12h`, `10m`, `10s`, `500ms`.
fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let number: u32 = digits.parse().map_err(|_not_a_number| {
        format!("{text:?} is no time: write 90d, 12h, 10m, 10s or 500ms")
    })?;
    let unit = match &text[digits.len()..] {
        "ms" => Duration::from_millis(1),
        "s" => Duration::from_secs(1),
        "m" => Duration::from_mins(1),
        "h" => Duration::from_hours(1),
        "d" => Duration::from_hours(24),
        _ => return Err(format!("{text:?} has no unit: one of d, h, m, s, ms")),
    };
    // Far enough for certificates, and no clock overflows.
    let longest = Duration::from_hours(24 * 3650);
    match unit.checked_mul(number) {
        Some(time) if time <= longest => Ok(time),
        _ => Err(format!("{text:?} is more than ten years")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_people_write_them() {
        assert_eq!(duration("90d"), Ok(Duration::from_hours(90 * 24)));
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("0s"), Ok(Duration::ZERO));
        for bad in ["", "s", "10", "-1s", "1.5h", "10 s", "4000000000d", "1w"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_options_do_not_contradict_each_other() {
        use clap::CommandFactory as _;
        Cli::command().debug_assert();
    }
}
