//! What servers run on: the peers' Python, others that are there, Node, and Go by itself.

use std::path::{Path, PathBuf};

/// What runs a server.
pub(super) struct Program {
    /// The executable.
    pub(super) path: PathBuf,
    /// The server, in the folder of this crate; `None` where the executable is the server.
    pub(super) script: Option<&'static str>,
    /// What tells it from the usual one, for the table.
    pub(super) version: String,
}

impl Program {
    pub(super) fn python(path: PathBuf, version: &str) -> Self {
        Self {
            path,
            script: Some("parents/served.py"),
            version: version.to_owned(),
        }
    }

    pub(super) fn node() -> Self {
        Self {
            path: PathBuf::from("node"),
            script: Some("parents/served.js"),
            version: String::new(),
        }
    }
}

/// The Go server among the peers, with its symbols and without.
pub(super) fn go(peers: &Path) -> [Program; 2] {
    let program = |name: &str, version: &str| Program {
        path: peers.join("go-http").join(name),
        script: None,
        version: version.to_owned(),
    };
    [
        program("go-http", ""),
        program("go-http-stripped", " stripped"),
    ]
}

/// The distribution's Python, and pyenv's from 3.9 to 3.13.
pub(super) fn others() -> Vec<Program> {
    let mut found = Vec::new();
    let debian = Path::new("/usr/bin/python3");
    if debian.is_file() {
        found.push(Program::python(debian.to_owned(), " (Debian)"));
    }
    let root = std::env::var_os("PYENV_ROOT").map(PathBuf::from);
    let root = root.or_else(|| Some(std::env::home_dir()?.join(".pyenv")));
    let versions = root.map(|root| root.join("versions"));
    let entries = versions.and_then(|versions| std::fs::read_dir(versions).ok());
    for entry in entries.into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let known = ["3.9.", "3.10.", "3.11.", "3.13."];
        let python = entry.path().join("bin/python3");
        if known.iter().any(|version| name.starts_with(version)) && python.is_file() {
            found.push(Program::python(python, &format!(" {name}")));
        }
    }
    found.sort_by(|a, b| a.version.cmp(&b.version));
    found
}

/// The workers of a server that forks.
pub(super) fn children(pid: u32) -> Vec<u32> {
    let list = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    let list = list.unwrap_or_default();
    list.split_whitespace()
        .filter_map(|pid| pid.parse().ok())
        .collect()
}
