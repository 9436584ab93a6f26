//! The agent's configuration file.

use std::path::Path;

use anyhow::Context as _;

use super::select::Select;

/// The options of the file, with those of the command line added.
pub(super) fn merged(file: Option<&Path>, given: &Select) -> anyhow::Result<Select> {
    let Some(path) = file else {
        return Ok(given.clone());
    };
    let text =
        std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut select = parse(&text).with_context(|| format!("in {}", path.display()))?;
    let Select {
        pid,
        comm,
        exe,
        command,
        port,
        container,
        cgroup,
        all,
        full,
    } = given.clone();
    select.pid.extend(pid);
    select.comm.extend(comm);
    select.exe.extend(exe);
    select.command.extend(command);
    select.port.extend(port);
    select.container.extend(container);
    select.cgroup.extend(cgroup);
    select.all |= all;
    select.full |= full;
    Ok(select)
}

/// The options as YAML.
pub(super) fn print(select: &Select) -> anyhow::Result<String> {
    Ok(serde_norway::to_string(select)?)
}

fn parse(text: &str) -> anyhow::Result<Select> {
    if text.trim().is_empty() {
        return Ok(Select::default());
    }
    Ok(serde_norway::from_str(text)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_and_printed() {
        let select = parse("exe: [ollama, 'python3*']\nport: [8000]\nall: false\n").unwrap();
        assert_eq!((select.exe.len(), select.port.as_slice()), (2, &[8000][..]));
        let again = parse(&print(&select).unwrap()).unwrap();
        assert_eq!(again.exe, select.exe);
    }

    #[test]
    fn unknown_keys_are_refused() {
        let error = parse("exes: [ollama]").unwrap_err();
        assert!(format!("{error:#}").contains("exes"), "{error:#}");
        assert!(parse("").is_ok());
    }

    #[test]
    fn the_command_line_adds_to_the_file() {
        let given = Select {
            port: vec![1],
            ..Select::default()
        };
        assert_eq!(merged(None, &given).unwrap().port, [1]);
    }
}
