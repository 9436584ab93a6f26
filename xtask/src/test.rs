//! `cargo xtask test`: every test, in order, each step timed, with a table at the end.
//!
//! A step that fails does not hide the ones after it. What is skipped says why.

mod ahead;
mod fuzz;
mod outcome;
mod steps;
mod system;

use std::time::{Duration, Instant};

use anyhow::bail;

use self::ahead::Ahead;
pub(crate) use outcome::{Outcome, Tally};

/// Options of `test`.
#[derive(clap::Args, Default)]
pub(crate) struct Args {
    /// Only what needs neither root nor downloads: format, rules, lints, unit tests.
    #[arg(long, conflicts_with = "only")]
    quick: bool,
    /// Only this step; may be repeated. `--list` names them.
    #[arg(long, value_name = "STEP")]
    only: Vec<String>,
    /// Name the steps and end.
    #[arg(long)]
    list: bool,
    /// Build what the later steps run, and end: a run of all steps has this done beside its first
    /// ones.
    #[arg(long, hide = true)]
    build_ahead: bool,
    /// How long each fuzz target runs, in seconds [default: 10; 30 for the webhook's decision].
    #[arg(long, value_name = "SECONDS")]
    fuzz_seconds: Option<u32>,
    /// Only this fuzz target; may be repeated.
    #[arg(long, value_name = "TARGET")]
    fuzz_target: Vec<String>,
}

/// A step of the tests.
struct Step {
    name: &'static str,
    /// What it checks, in a few words.
    about: &'static str,
    /// Belongs to `--quick`.
    quick: bool,
    /// Runs third parties' programs beside ours.
    parts: bool,
    run: fn(&Args) -> anyhow::Result<Outcome>,
}

/// A step that was run.
struct Done {
    name: &'static str,
    tally: Tally,
    notes: Vec<String>,
    took: Duration,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    if args.list {
        for Step { name, about, .. } in &steps::STEPS {
            println!("{name:<14}{about}");
        }
        return Ok(());
    }
    if args.build_ahead {
        return ahead::build();
    }
    let chosen = choose(args)?;
    let done = perform_all(&chosen, args);
    println!("\n{}", table(&done));
    let total = done
        .iter()
        .fold(Tally::default(), |sum, step| sum + step.tally);
    println!("{total}");
    if total.failed > 0 {
        bail!("{} tests failed", total.failed);
    }
    Ok(())
}

fn choose(args: &Args) -> anyhow::Result<Vec<&'static Step>> {
    for name in &args.only {
        if !steps::STEPS.iter().any(|step| step.name == name) {
            bail!("there is no step {name}; `cargo xtask test --list` names them");
        }
    }
    let wanted = |step: &&Step| match args.only.as_slice() {
        [] => step.quick || !args.quick,
        only => only.iter().any(|name| name == step.name),
    };
    Ok(steps::STEPS.iter().filter(wanted).collect())
}

fn perform_all(steps: &[&Step], args: &Args) -> Vec<Done> {
    let wants_parts = steps.iter().any(|step| step.parts);
    let mut ahead = Ahead::nothing();
    let mut done = Vec::new();
    for step in steps {
        if step.parts {
            ahead.wait();
        }
        done.push(perform(step, args));
        if step.name == steps::SETUP && wants_parts {
            ahead = Ahead::start().unwrap_or_else(|error| {
                println!("nothing is built ahead: {error:#}");
                Ahead::nothing()
            });
        }
    }
    done
}

fn perform(step: &Step, args: &Args) -> Done {
    println!("\n=== {}: {}", step.name, step.about);
    let start = Instant::now();
    let outcome = (step.run)(args).unwrap_or_else(|error| {
        println!("{}: FAILED: {error:#}", step.name);
        Outcome::failed(format!("{error:#}"))
    });
    for note in &outcome.notes {
        println!("{}: {note}", step.name);
    }
    Done {
        name: step.name,
        tally: outcome.tally,
        notes: outcome.notes,
        took: start.elapsed(),
    }
}

fn table(done: &[Done]) -> String {
    let mut lines = vec![format!(
        "{:<14}{:>8}{:>8}{:>9}{:>10}  notes",
        "step", "passed", "failed", "skipped", "time"
    )];
    for Done {
        name,
        tally: Tally {
            passed,
            failed,
            skipped,
        },
        notes,
        took,
    } in done
    {
        let took = format!("{:.1} s", took.as_secs_f64());
        let notes = notes
            .iter()
            .map(|note| first_line(note))
            .collect::<Vec<_>>()
            .join("; ");
        lines.push(format!(
            "{name:<14}{passed:>8}{failed:>8}{skipped:>9}{took:>10}  {notes}"
        ));
    }
    lines.join("\n")
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_step_is_refused_and_quick_is_a_part() {
        let unknown = Args {
            only: vec!["nonsense".to_owned()],
            ..Args::default()
        };
        assert!(choose(&unknown).is_err());
        let quick = choose(&Args {
            quick: true,
            ..Args::default()
        })
        .unwrap();
        let all = choose(&Args::default()).unwrap();
        assert!(!quick.is_empty() && quick.len() < all.len());
        let one = Args {
            only: vec!["fmt".to_owned()],
            ..Args::default()
        };
        assert_eq!(choose(&one).unwrap().len(), 1);
    }

    #[test]
    fn an_error_is_a_failed_test_and_stands_in_the_table() {
        let step = Step {
            name: "woe",
            about: "fails",
            quick: false,
            parts: false,
            run: |_| bail!("first line\nsecond line"),
        };
        let done = perform(&step, &Args::default());
        assert_eq!(
            done.tally,
            Tally {
                passed: 0,
                failed: 1,
                skipped: 0
            }
        );
        let table = table(&[done]);
        assert!(
            table.contains("first line") && !table.contains("second line"),
            "{table}"
        );
    }
}
