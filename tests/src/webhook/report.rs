//! What the scenarios found, as a table.

use std::fmt;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// Runs scenarios, prints their table, and fails unless all hold.
pub fn conclude(scenarios: impl Future<Output = Result<Report>>) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let report = runtime.block_on(scenarios)?;
    println!("{report}");
    if report.is_empty() {
        bail!("no scenario has such a name");
    }
    if report.failed() > 0 {
        bail!("{} of {} scenarios failed", report.failed(), report.len());
    }
    Ok(())
}

/// Scenarios that were run, in their order.
#[derive(Debug, Default)]
pub struct Report {
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    name: &'static str,
    result: Result<String>,
    took: Duration,
}

impl Report {
    /// Runs a scenario and keeps what it says: figures, or what was wrong.
    pub async fn run(
        &mut self,
        name: &'static str,
        scenario: impl Future<Output = Result<String>>,
    ) {
        eprintln!("--- {name}");
        let start = Instant::now();
        let result = scenario.await;
        let took = start.elapsed();
        match &result {
            Ok(said) => eprintln!("    ok after {:.1} s: {said}", took.as_secs_f64()),
            Err(error) => eprintln!("    FAILED after {:.1} s: {error:#}", took.as_secs_f64()),
        }
        self.rows.push(Row { name, result, took });
    }

    /// How many failed.
    #[must_use]
    pub fn failed(&self) -> usize {
        self.rows.iter().filter(|row| row.result.is_err()).count()
    }

    /// How many were run.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// True if none was run.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| scenario | result | seconds | |")?;
        writeln!(f, "|---|---|--:|---|")?;
        for Row { name, result, took } in &self.rows {
            let (word, said) = match result {
                Ok(said) => ("ok", said.clone()),
                Err(error) => ("FAILED", format!("{error:#}")),
            };
            let said = said.replace('|', "\\|").replace('\n', " ");
            writeln!(
                f,
                "| {name} | {word} | {:.1} | {said} |",
                took.as_secs_f64()
            )?;
        }
        Ok(())
    }
}
