//! Rules for Markdown: commands that are shown can be typed, links lead somewhere.

use std::path::Path;

use clap::Parser as _;

use super::{Complaint, File};
use crate::paths;

pub(super) fn check(file: &File) -> Vec<Complaint> {
    if !file.has_extension("md") {
        return Vec::new();
    }
    let mut complaints = Vec::new();
    for (number, command) in commands(&file.text) {
        if let Some(error) = xtask_error(command) {
            complaints.push(file.complaint(number, format!("`{command}`: {error}")));
        }
    }
    for (number, link) in links(&file.text) {
        let folder = Path::new(&file.path).parent().unwrap_or(Path::new(""));
        if !paths::root().join(folder).join(link).exists() {
            complaints.push(file.complaint(number, format!("the link to {link} leads nowhere")));
        }
    }
    complaints
}

/// The lines of blocks of shell commands, without prompts and comments.
pub(crate) fn commands(markdown: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut shell = false;
    let mut block = false;
    markdown.lines().enumerate().filter_map(move |(i, line)| {
        if let Some(language) = line.trim_start().strip_prefix("```") {
            block = !block;
            shell = block && matches!(language.trim(), "sh" | "bash" | "console");
            return None;
        }
        let command = line.split(" #").next().unwrap_or_default().trim();
        let command = command.strip_prefix("$ ").unwrap_or(command);
        (shell && !command.is_empty() && !command.starts_with('#')).then_some((i + 1, command))
    })
}

/// What our own parser has against a `cargo xtask` command.
fn xtask_error(command: &str) -> Option<String> {
    let words = command.strip_prefix("cargo xtask")?;
    let error = crate::Cli::try_parse_from(["xtask"].into_iter().chain(words.split_whitespace()))
        .err()
        .filter(clap::Error::use_stderr)?;
    error.to_string().lines().next().map(str::to_owned)
}

/// The targets of links to files of the repository, without their fragments.
fn links(markdown: &str) -> impl Iterator<Item = (usize, &str)> {
    markdown.lines().enumerate().flat_map(|(i, line)| {
        line.match_indices("](").filter_map(move |(at, mark)| {
            let target = line[at + mark.len()..]
                .split(')')
                .next()?
                .split('#')
                .next()?;
            let local = !target.is_empty() && !target.contains(':');
            local.then_some((i + 1, target))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::file;

    fn complaints(text: &str) -> usize {
        check(&file("README.md", text)).len()
    }

    #[test]
    fn only_commands_that_exist_may_be_shown() {
        assert_eq!(
            complaints("```sh\ncargo xtask test --quick # fast\n```\n"),
            0
        );
        assert_eq!(complaints("```sh\n$ cargo xtask --help\n```\n"), 0);
        assert_eq!(complaints("```sh\ncargo xtask brew-coffee\n```\n"), 1);
        assert_eq!(complaints("```sh\ncargo xtask test --loud\n```\n"), 1);
        assert_eq!(complaints("```text\ncargo xtask brew-coffee\n```\n"), 0);
    }

    #[test]
    fn links_lead_somewhere() {
        assert_eq!(
            complaints("[a](Cargo.toml) [b](https://e.example/x) [c](#here)\n"),
            0
        );
        assert_eq!(complaints("[a](no-such-file.md#part)\n"), 1);
    }
}
