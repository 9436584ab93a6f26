//! The agent's configuration file: what the command line and the environment can say, as YAML.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};

use super::output::Output;
use super::select::Select;
use crate::export::config;

/// What stands for a value that may hold a key.
const REDACTED: &str = "REDACTED";

/// All options of the agent. A file may leave any of them out.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Settings {
    /// Where /metrics, /livez and /readyz are served.
    pub(super) listen: Option<String>,
    /// The Kubernetes node that this is; its pods opt their processes in.
    pub(super) node: Option<String>,
    /// Which processes are opted in.
    pub(super) select: Select,
    /// How spans are written.
    pub(super) output: OutputSettings,
    /// `OTEL_*` variables; the environment wins over them.
    pub(super) otel: BTreeMap<String, String>,
}

/// The options of [`Output`].
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct OutputSettings {
    pub(super) conventions: Option<String>,
    pub(super) kaos_names: Option<bool>,
    pub(super) legacy_names: Option<bool>,
    pub(super) sdk_calls: Option<bool>,
    pub(super) content: Option<bool>,
    pub(super) content_bytes: Option<usize>,
    pub(super) command_lines: Option<bool>,
    pub(super) ring: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tap: Option<String>,
}

/// What the command line says, with the defaults of what it does not.
pub(super) struct CommandLine<'a> {
    pub(super) listen: &'a str,
    pub(super) node: Option<&'a str>,
    pub(super) select: &'a Select,
    pub(super) output: &'a Output,
    /// Whether an option, by its name in [`clap`], was given, here or in the environment.
    pub(super) is_given: &'a dyn Fn(&str) -> bool,
    /// The environment.
    pub(super) variable: &'a dyn Fn(&str) -> Option<String>,
}

/// Reads the file, if there is one.
pub(super) fn read(file: Option<&Path>) -> anyhow::Result<Settings> {
    let Some(path) = file else {
        return Ok(Settings::default());
    };
    let text =
        std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    parse(&text).with_context(|| format!("in {}", path.display()))
}

fn parse(text: &str) -> anyhow::Result<Settings> {
    if text.trim().is_empty() {
        return Ok(Settings::default());
    }
    let settings: Settings = serde_norway::from_str(text)?;
    for name in settings.otel.keys() {
        if !config::is_variable(name) {
            bail!("otel: {name} is no variable that kaos-probe knows");
        }
    }
    Ok(settings)
}

impl Settings {
    /// The options that hold: those of the command line and of the environment, then those of the
    /// file, then the defaults. Selectors add up.
    pub(super) fn under(mut self, given: &CommandLine<'_>) -> anyhow::Result<(Self, Output)> {
        if self.listen.is_none() || (given.is_given)("listen") {
            self.listen = Some(given.listen.to_owned());
        }
        if let Some(node) = given.node {
            self.node = Some(node.to_owned());
        }
        self.select.add(given.select);
        let output = given.output.over(&self.output, given.is_given)?;
        self.output = output.settings();
        for name in config::variables() {
            if let Some(value) = (given.variable)(&name) {
                self.otel.insert(name, value);
            }
        }
        Ok((self, output))
    }

    /// The value of a variable.
    pub(super) fn variable(&self, name: &str) -> Option<String> {
        self.otel.get(name).cloned()
    }

    /// The options as YAML. Headers hold keys, and an address may: they are left out.
    pub(super) fn print(&self) -> anyhow::Result<String> {
        let mut shown = self.clone();
        for (name, value) in &mut shown.otel {
            if name.ends_with("_HEADERS") || value.contains(['@', '?']) {
                REDACTED.clone_into(value);
            }
        }
        Ok(serde_norway::to_string(&shown)?)
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        select: Select,
        #[command(flatten)]
        output: Output,
    }

    /// What holds with this file, these arguments and these variables.
    fn holds(file: &str, line: &[&str], variables: &[(&str, &str)]) -> (Settings, Output) {
        let arguments = std::iter::once("agent").chain(line.iter().copied());
        let parsed = Line::parse_from(arguments);
        let flag = |id: &str| format!("--{}", id.replace('_', "-"));
        let given = CommandLine {
            listen: "127.0.0.1:9464",
            node: None,
            select: &parsed.select,
            output: &parsed.output,
            is_given: &|id| line.contains(&flag(id).as_str()),
            variable: &|name| {
                let found = variables.iter().find(|(known, _)| *known == name);
                found.map(|(_, value)| (*value).to_owned())
            },
        };
        parse(file).unwrap().under(&given).unwrap()
    }

    const FILE: &str = "listen: none
select: {exe: [ollama, 'python3*'], port: [8000]}
output: {conventions: gen-ai-dev, content: true, content_bytes: 100}
otel:
  OTEL_EXPORTER_OTLP_ENDPOINT: http://collector:4318
  OTEL_EXPORTER_OTLP_HEADERS: api-key=secret
";

    #[test]
    fn the_file_holds_where_nothing_else_is_given() {
        let (settings, output) = holds(FILE, &[], &[]);
        assert_eq!(settings.listen.as_deref(), Some("none"));
        assert_eq!(settings.select.selectors().len(), 3);
        assert_eq!(output.settings().content_bytes, Some(100));
        assert_eq!(output.profile().as_str(), "gen-ai-dev");
        let endpoint = settings.variable("OTEL_EXPORTER_OTLP_ENDPOINT");
        assert_eq!(endpoint.as_deref(), Some("http://collector:4318"));
        let (settings, output) = holds("", &[], &[]);
        assert_eq!(settings.listen.as_deref(), Some("127.0.0.1:9464"));
        assert_eq!(output.settings().content, Some(false));
    }

    #[test]
    fn the_command_line_and_the_environment_win() {
        // A value that is the default wins as well.
        let line = ["--conventions", "v1.41", "--port", "1"];
        let variables = [("OTEL_EXPORTER_OTLP_ENDPOINT", "http://other:4318")];
        let (settings, output) = holds(FILE, &line, &variables);
        assert_eq!(output.profile().as_str(), "v1.41");
        assert_eq!(settings.select.port, [8000, 1]);
        let endpoint = settings.variable("OTEL_EXPORTER_OTLP_ENDPOINT");
        assert_eq!(endpoint.as_deref(), Some("http://other:4318"));
    }

    #[test]
    fn what_is_printed_is_a_file_and_shows_no_keys() {
        let (settings, _) = holds(FILE, &[], &[]);
        let text = settings.print().unwrap();
        assert!(!text.contains("secret"), "{text}");
        for address in ["https://c/?api-key=secret", "https://me:secret@c/"] {
            let endpoint = [("OTEL_EXPORTER_OTLP_ENDPOINT", address)];
            let (settings, _) = holds(FILE, &[], &endpoint);
            assert!(!settings.print().unwrap().contains("secret"));
        }
        let again = parse(&text).unwrap();
        assert_eq!(again.select.exe, settings.select.exe);
        assert_eq!(again.output.content_bytes, Some(100));
    }

    #[test]
    fn unknown_keys_and_bad_values_are_refused() {
        for (bad, word) in [
            ("exe: [ollama]", "exe"),
            ("select: {exes: [ollama]}", "exes"),
            ("output: {colour: red}", "colour"),
            ("otel: {PATH: /bin}", "PATH"),
            ("otel: {OTEL_EXPORTER_OTLP_ENDPONT: x}", "ENDPONT"),
        ] {
            let error = parse(bad).unwrap_err();
            assert!(format!("{error:#}").contains(word), "{error:#}");
        }
        for bad in ["output: {ring: 1000}", "output: {tap: beer}"] {
            let file = parse(bad).unwrap();
            let output = Line::parse_from(["agent"]).output;
            assert!(output.over(&file.output, &|_| false).is_err(), "{bad}");
        }
    }
}
