//! What an interpreter runs.

use super::proc::Process;

/// The script or module that an interpreter runs.
pub(super) fn of(process: &Process) -> Option<String> {
    const INTERPRETERS: [&str; 6] = ["python", "pypy", "node", "ruby", "perl", "bun"];
    let executable = process
        .executable
        .as_ref()?
        .file_name()?
        .to_string_lossy()
        .into_owned();
    if !INTERPRETERS.iter().any(|name| executable.starts_with(name)) {
        return None;
    }
    let mut arguments = process.arguments.iter().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "-m" => return arguments.next().cloned(),
            "-c" | "-e" | "-" => return None,
            "-W" | "-X" | "-r" | "--require" | "--import" => {
                arguments.next();
            }
            flag if flag.starts_with('-') => {}
            script => {
                let name = script.rsplit('/').next().unwrap_or(script);
                return Some(name.to_owned());
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_of_an_interpreter_is_its_name() {
        for (arguments, want) in [
            (
                &["python", "-u", "/srv/agent.py", "--port", "1"][..],
                Some("agent.py"),
            ),
            (&["python3", "-m", "pais.server"], Some("pais.server")),
            (&["python", "-X", "dev", "x.py"], Some("x.py")),
            (&["python", "-c", "print(1)"], None),
            (&["python"], None),
        ] {
            let process = Process {
                executable: Some("/usr/bin/python3.11".into()),
                arguments: arguments.iter().map(|s| (*s).to_owned()).collect(),
                ..Process::default()
            };
            assert_eq!(of(&process).as_deref(), want, "{arguments:?}");
        }
        let server = Process {
            executable: Some("/usr/bin/llama-server".into()),
            arguments: vec!["llama-server".into(), "x".into()],
            ..Process::default()
        };
        assert_eq!(of(&server), None);
    }
}
