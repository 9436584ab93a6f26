//! `cargo xtask tidy`: the rules of the house that no other tool checks.

mod invariants;
mod readme;
mod source;
mod text;

use std::fmt;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, bail};

use crate::cmd::{command, read};
use crate::paths;

/// Options of `tidy`.
#[derive(clap::Args, Default)]
pub(crate) struct Args {}

/// Modules and folders inside a package that are no part of the product.
const TEST_NAMES: [&str; 4] = ["tests", "testing", "benches", "examples"];

/// A file of the repository.
pub(crate) struct File {
    /// Its path from the root, with `/`.
    pub(crate) path: String,
    pub(crate) text: String,
}

/// A rule broken at a place.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Complaint {
    path: String,
    /// From 1; 0 is the file as a whole.
    line: usize,
    what: String,
}

pub(crate) fn run(Args {}: &Args) -> anyhow::Result<()> {
    let files = tracked()?;
    let mut complaints = Vec::new();
    for file in &files {
        complaints.extend(text::check(file));
        complaints.extend(source::check(file));
        complaints.extend(invariants::check(file));
        complaints.extend(readme::check(file));
    }
    if complaints.is_empty() {
        println!("tidy: {} files are in order", files.len());
        return Ok(());
    }
    for complaint in &complaints {
        println!("{complaint}");
    }
    bail!("{} places break the rules", complaints.len())
}

/// The files that git knows or would take in, those that are text.
fn tracked() -> anyhow::Result<Vec<File>> {
    let mut list = command("git");
    list.args([
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
    ]);
    let names = read(&mut list).context("the files are those that git names")?;
    let mut files = Vec::new();
    for name in names.split('\0').filter(|name| !name.is_empty()) {
        // Deleted files stay in the list until the deletion is staged.
        let Ok(bytes) = fs::read(paths::root().join(name)) else {
            continue;
        };
        if let Ok(text) = String::from_utf8(bytes) {
            files.push(File {
                path: name.to_owned(),
                text,
            });
        }
    }
    if files.is_empty() {
        bail!("git names no files here");
    }
    Ok(files)
}

impl File {
    fn is_rust(&self) -> bool {
        self.has_extension("rs")
    }

    fn has_extension(&self, extension: &str) -> bool {
        Path::new(&self.path)
            .extension()
            .is_some_and(|it| it == extension)
    }

    /// True if the whole file is part of the tests of a package, by its name or its folder's.
    fn is_test(&self) -> bool {
        let parts = self.path.split('/').skip(1);
        parts
            .map(|part| part.strip_suffix(".rs").unwrap_or(part))
            .any(|part| TEST_NAMES.contains(&part))
    }

    /// The lines before the module of unit tests, which stands last, numbered from 1.
    fn product_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = if self.is_test() {
            ""
        } else {
            self.text.as_str()
        };
        let before_tests = |line: &&str| !line.trim_start().starts_with("#[cfg(test)]");
        lines
            .lines()
            .take_while(before_tests)
            .enumerate()
            .map(|(i, line)| (i + 1, line))
    }

    fn complaint(&self, line: usize, what: impl Into<String>) -> Complaint {
        Complaint {
            path: self.path.clone(),
            line,
            what: what.into(),
        }
    }
}

/// `line` without its comment. A `//` inside a literal cuts too much, never too little code for
/// the rules here.
fn code(line: &str) -> &str {
    line.split("//").next().unwrap_or_default()
}

/// The part of an iterator of lines that mention one of `words` in code, with the word.
fn mentions<'a>(
    file: &'a File,
    words: &'a [&'a str],
) -> impl Iterator<Item = (usize, &'a str)> + use<'a> {
    file.product_lines().filter_map(|(number, line)| {
        let code = code(line);
        words
            .iter()
            .find(|word| code.contains(**word))
            .map(|word| (number, *word))
    })
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, line, what } = self;
        write!(f, "{path}:{line}: {what}")
    }
}

#[cfg(test)]
pub(crate) fn file(path: &str, text: &str) -> File {
    File {
        path: path.to_owned(),
        text: text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_are_those_that_git_names() {
        let files = tracked().unwrap();
        assert!(files.iter().any(|file| file.path == "Cargo.toml"));
        assert!(!files.iter().any(|file| file.path.starts_with("target/")));
    }

    #[test]
    fn unit_tests_and_test_files_are_no_product() {
        let source = file(
            "a/src/x.rs",
            "//! X.\nfn x() {}\n#[cfg(test)]\nmod tests {\n}\n",
        );
        assert_eq!(source.product_lines().last(), Some((2, "fn x() {}")));
        assert_eq!(
            file("a/src/x/tests.rs", "fn t() {}\n")
                .product_lines()
                .count(),
            0
        );
        assert_eq!(
            file("a/tests/x.rs", "fn t() {}\n").product_lines().count(),
            0
        );
        // The end-to-end package is a program like any other.
        assert_eq!(
            file("tests/src/main.rs", "fn main() {}\n")
                .product_lines()
                .count(),
            1
        );
    }
}
