//! Rules for every text file.

use super::{Complaint, File};

/// Folders that exist on one machine only. Spelled in halves, for this file is checked too.
const MACHINE_FOLDERS: [&str; 3] = [
    concat!("/wo", "rk"),
    concat!("/fa", "rm"),
    concat!("/ro", "ot"),
];

pub(super) fn check(file: &File) -> Vec<Complaint> {
    if file.has_extension("lock") {
        return Vec::new();
    }
    let ours = ["rs", "md", "toml", "yaml"]
        .iter()
        .any(|it| file.has_extension(it));
    let mut complaints = Vec::new();
    for (i, line) in file.text.lines().enumerate() {
        if ours && line.ends_with([' ', '\t']) {
            complaints.push(file.complaint(i + 1, "white space at the end of the line"));
        }
        if let Some(folder) = MACHINE_FOLDERS
            .iter()
            .find(|folder| names_folder(line, folder))
        {
            complaints.push(file.complaint(i + 1, format!("a path of one machine: {folder}")));
        }
    }
    if !file.text.is_empty() && !file.text.ends_with('\n') {
        complaints.push(file.complaint(0, "no line feed at the end of the file"));
    }
    complaints
}

/// True if `line` has the absolute path `folder` or one below it; `…/x/…` inside another
/// path, as in `/proc/1/root/etc`, is none.
fn names_folder(line: &str, folder: &str) -> bool {
    line.match_indices(folder).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + folder.len()..].chars().next();
        let starts = before.is_none_or(|c| !(c.is_alphanumeric() || "/_-.}>*)]$~".contains(c)));
        starts && after == Some('/')
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::file;

    #[test]
    fn paths_of_one_machine_are_found_and_others_are_not() {
        for line in MACHINE_FOLDERS.map(|folder| format!("see {folder}/x\n")) {
            assert_eq!(check(&file("a.md", &line)).len(), 1, "{line}");
        }
        for line in [
            "/proc/1/root/etc\n",
            "/proc/{pid}/root/usr\n",
            "https://h.example/work/x\n",
            "/rooted/x\n",
        ] {
            assert_eq!(check(&file("a.md", line)), [], "{line}");
        }
    }

    #[test]
    fn lines_end_without_blanks_and_files_with_a_line_feed() {
        assert_eq!(check(&file("a.md", "x \n")).len(), 1);
        assert_eq!(check(&file("a.md", "x")).len(), 1);
        assert_eq!(check(&file("a.md", "x\n")), []);
    }
}
