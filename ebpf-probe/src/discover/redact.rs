//! Command lines without what is secret in them.

/// What stands for a secret.
const REDACTED: &str = "REDACTED";
/// A flag or variable with one of these in its name holds a secret.
const SECRETS: [&str; 6] = ["key", "token", "secret", "password", "passwd", "auth"];

/// The arguments in one line: query strings and user names of addresses, values of flags that
/// are named like secrets, and `Bearer` tokens are left out. What a secret looks like is the
/// program's to choose, so this is a net with holes; that is why command lines are opt-in.
pub(super) fn command_line(arguments: &[String]) -> String {
    let mut hide = false;
    let mut shown = Vec::with_capacity(arguments.len());
    for argument in arguments {
        if hide && !argument.starts_with('-') {
            shown.push(REDACTED.to_owned());
            hide = false;
            continue;
        }
        hide = argument.starts_with('-') && !argument.contains('=') && is_secret(argument);
        shown.push(redacted(argument));
    }
    shown.join(" ")
}

fn redacted(argument: &str) -> String {
    if let Some((name, _)) = argument.split_once('=')
        && is_secret(name)
        && !name.contains("://")
    {
        return format!("{name}={REDACTED}");
    }
    // A header, as curl takes it: `authorization: Bearer …`.
    if let Some((name, _)) = argument.split_once(": ")
        && is_secret(name)
    {
        return format!("{name}: {REDACTED}");
    }
    match argument.split_once("://") {
        Some((scheme, rest)) => format!("{scheme}://{}", address(rest)),
        None => argument.to_owned(),
    }
}

/// What follows `://`: the user's part and the query are secret (RFC 3986, 3.2.1 and 3.4).
fn address(rest: &str) -> String {
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let host = authority.rsplit_once('@').map_or_else(
        || authority.to_owned(),
        |(_, host)| format!("{REDACTED}@{host}"),
    );
    let path = path
        .split_once(['?', '#'])
        .map_or_else(|| path.to_owned(), |(path, _)| format!("{path}?{REDACTED}"));
    host + &path
}

fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SECRETS.iter().any(|secret| name.contains(secret))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_left_out_and_the_rest_stays() {
        for (arguments, want) in [
            (
                &["python", "a.py", "--port", "80"][..],
                "python a.py --port 80",
            ),
            (&["x", "--api-key", "sk-1", "y"], "x --api-key REDACTED y"),
            (&["x", "--api-key=sk-1"], "x --api-key=REDACTED"),
            (
                &["env", "OPENAI_API_KEY=sk-1"],
                "env OPENAI_API_KEY=REDACTED",
            ),
            (
                &["curl", "https://me:pw@h:1/p?key=sk-1#f"],
                "curl https://REDACTED@h:1/p?REDACTED",
            ),
            (&["x", "--base=http://u@h"], "x --base=http://REDACTED@h"),
            (
                &["curl", "-H", "Authorization: Bearer sk-1"],
                "curl -H Authorization: REDACTED",
            ),
            (&["x", "--use-auth", "--verbose"], "x --use-auth --verbose"),
        ] {
            let arguments: Vec<String> = arguments.iter().map(|s| (*s).to_owned()).collect();
            assert_eq!(command_line(&arguments), want);
        }
    }
}
