//! The few instructions that our Dockerfiles have.

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

/// What a Dockerfile says, without its base.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Dockerfile {
    /// Programs: their name in the folder of the build, and their path in the image.
    pub(crate) copies: Vec<(String, String)>,
    /// `UID:GID`.
    pub(crate) user: String,
    /// The program with its first arguments.
    pub(crate) entrypoint: Vec<String>,
    /// Arguments, unless a user gives others.
    pub(crate) cmd: Vec<String>,
    /// Labels of the image.
    pub(crate) labels: Vec<(String, String)>,
}

impl Dockerfile {
    /// Reads it; an instruction that is not known here is an error, never passed over.
    pub(crate) fn read(text: &str) -> Result<Self> {
        let mut file = Self::default();
        let lines = text.lines().map(str::trim);
        for line in lines.filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let (instruction, rest) = line.split_once(' ').context("an instruction says what")?;
            match instruction {
                "FROM" => {}
                "COPY" => {
                    let (from, to) = rest.split_once(' ').context("COPY wants FROM TO")?;
                    file.copies.push((from.to_owned(), to.to_owned()));
                }
                "USER" => rest.clone_into(&mut file.user),
                "ENTRYPOINT" => file.entrypoint = words(rest)?,
                "CMD" => file.cmd = words(rest)?,
                "LABEL" => file.labels = labels(rest)?,
                _ => bail!("{instruction}: an instruction that `cargo xtask image` does not know"),
            }
        }
        Ok(file)
    }
}

/// The form that needs no shell: the image has none.
fn words(text: &str) -> Result<Vec<String>> {
    let value: Value = serde_json::from_str(text).context("write it as a JSON array")?;
    let words = value.as_array().context("write it as a JSON array")?;
    let word = |word: &Value| word.as_str().map(str::to_owned);
    words.iter().map(|it| word(it).context("a word")).collect()
}

/// `NAME="VALUE"`, as often as wanted; no value of ours holds a quote.
fn labels(text: &str) -> Result<Vec<(String, String)>> {
    let mut labels = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (name, behind) = rest
            .split_once("=\"")
            .context("LABEL wants NAME=\"VALUE\"")?;
        let (value, behind) = behind.split_once('"').context("a label's quote is open")?;
        labels.push((name.to_owned(), value.to_owned()));
        rest = behind.trim_start();
    }
    Ok(labels)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_it_says_is_read() {
        let text = "# x\nFROM base\nLABEL a.b=\"c d\" e=\"f\"\nCOPY it /usr/bin/it\nUSER 1:2\n\
                    ENTRYPOINT [\"/usr/bin/it\"]\nCMD [\"serve\", \"-v\"]\n";
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        let wanted = Dockerfile {
            copies: vec![pair("it", "/usr/bin/it")],
            user: "1:2".to_owned(),
            entrypoint: vec!["/usr/bin/it".to_owned()],
            cmd: vec!["serve".to_owned(), "-v".to_owned()],
            labels: vec![pair("a.b", "c d"), pair("e", "f")],
        };
        assert_eq!(Dockerfile::read(text).unwrap(), wanted);
    }

    #[test]
    fn what_it_does_not_know_is_refused() {
        assert!(Dockerfile::read("RUN apt-get update").is_err());
        assert!(Dockerfile::read("ENTRYPOINT kaos-probe agent").is_err());
        assert!(Dockerfile::read("LABEL a=b").is_err());
    }
}
