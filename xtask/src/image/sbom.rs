//! What a program is made of, as a `CycloneDX` document: crates that are linked into it, and the
//! packages below it.
//!
//! It holds neither a time nor a serial number: the same program has the same document.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::archive::architecture;
use crate::cmd::{cargo, read};
use crate::paths;

/// Whose crates are wanted.
pub(crate) struct Program<'a> {
    /// The program's name, which the document is about.
    pub(crate) name: &'a str,
    /// The workspaces and their packages whose crates are in it.
    pub(crate) packages: &'a [(&'a str, &'a str)],
}

/// The document, for a program of this version on packages `(name, version, architecture)`.
pub(crate) fn document(
    program: &Program<'_>,
    version: &str,
    below: &[(String, String, String)],
) -> Result<Value> {
    let mut components = BTreeMap::new();
    for (workspace, package) in program.packages {
        let folder = paths::root().join(workspace);
        let lock = fs::read_to_string(folder.join("Cargo.lock"))?;
        for found in crates(&metadata(&folder)?, package)? {
            let component = component(&found, &checksums(&lock));
            components.insert(text(&component["purl"]), component);
        }
    }
    for (name, version, architecture) in below {
        let version = version.replace("%3a", ":");
        let purl = format!("pkg:deb/debian/{name}@{version}?arch={architecture}");
        let component = json!({
            "type": "library", "name": name, "version": version, "purl": purl, "bom-ref": purl,
        });
        components.insert(purl, component);
    }
    let name = program.name;
    let reference = format!("pkg:oci/{name}?arch={}&tag={version}", architecture());
    Ok(json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": {
            "type": "container", "name": name, "version": version, "bom-ref": reference,
        }},
        "components": components.into_values().collect::<Vec<_>>(),
    }))
}

fn metadata(workspace: &Path) -> Result<Value> {
    let mut metadata = cargo();
    metadata
        .args([
            "metadata",
            "--format-version=1",
            "--locked",
            "--filter-platform",
        ])
        .arg(format!("{}-unknown-linux-gnu", std::env::consts::ARCH))
        .arg("--manifest-path")
        .arg(workspace.join("Cargo.toml"));
    serde_json::from_str(&read(&mut metadata)?).context("read what cargo says")
}

/// The crates that are linked into a package: itself, and what it depends on to run. What only
/// builds or tests it is not in the program.
fn crates(metadata: &Value, package: &str) -> Result<Vec<Value>> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let packages: BTreeMap<String, Value> = list(&metadata["packages"])
        .into_iter()
        .map(|package| (text(&package["id"]), package))
        .collect();
    let nodes: BTreeMap<String, Value> = list(&metadata["resolve"]["nodes"])
        .into_iter()
        .map(|node| (text(&node["id"]), node))
        .collect();
    let root = packages.iter().find(|(_, it)| it["name"] == package);
    let (root, _) = root.with_context(|| format!("there is no package {package}"))?;
    let mut seen = BTreeSet::new();
    let mut open = vec![root.clone()];
    while let Some(id) = open.pop() {
        if !seen.insert(id.clone()) {
            continue;
        }
        for dependency in list(&nodes[&id]["deps"]) {
            let kinds = list(&dependency["dep_kinds"]);
            if kinds.iter().any(|kind| kind["kind"].is_null()) {
                open.push(text(&dependency["pkg"]));
            }
        }
    }
    Ok(seen.iter().map(|id| packages[id].clone()).collect())
}

fn component(package: &Value, checksums: &BTreeMap<(String, String), String>) -> Value {
    let (name, version) = (text(&package["name"]), text(&package["version"]));
    let purl = format!("pkg:cargo/{name}@{version}");
    let mut component = json!({
        "type": "library", "name": name, "version": version, "purl": purl, "bom-ref": purl,
    });
    if let Some(license) = package["license"].as_str() {
        // Old crates write a slash for "or", which is no SPDX expression.
        component["licenses"] = json!([{"expression": license.replace('/', " OR ")}]);
    }
    if let Some(sum) = checksums.get(&(name, version)) {
        component["hashes"] = json!([{"alg": "SHA-256", "content": sum}]);
    }
    component
}

/// The checksums of a `Cargo.lock`, by name and version.
fn checksums(lock: &str) -> BTreeMap<(String, String), String> {
    let mut sums = BTreeMap::new();
    for package in lock.split("[[package]]") {
        let field = |name: &str| {
            let start = format!("{name} = \"");
            let mut lines = package.lines();
            let value = lines.find_map(|line| line.strip_prefix(&start)?.strip_suffix('"'));
            value.map(str::to_owned)
        };
        if let (Some(name), Some(version), Some(sum)) =
            (field("name"), field("version"), field("checksum"))
        {
            sums.insert((name, version), sum);
        }
    }
    sums
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_linked_is_listed() {
        let kind = |kind: Value| json!([{"kind": kind}]);
        let metadata = json!({
            "packages": [
                {"id": "a", "name": "a"}, {"id": "b", "name": "b"},
                {"id": "c", "name": "c"}, {"id": "d", "name": "d"},
            ],
            "resolve": {"nodes": [
                {"id": "a", "deps": [
                    {"pkg": "b", "dep_kinds": kind(Value::Null)},
                    {"pkg": "c", "dep_kinds": kind(json!("dev"))},
                ]},
                {"id": "b", "deps": [{"pkg": "d", "dep_kinds": kind(json!("build"))}]},
                {"id": "c", "deps": []}, {"id": "d", "deps": []},
            ]},
        });
        let found = crates(&metadata, "a").unwrap();
        let names: Vec<String> = found.iter().map(|it| text(&it["name"])).collect();
        assert_eq!(names, ["a", "b"]);
        assert!(crates(&metadata, "nobody").is_err());
    }

    #[test]
    fn checksums_are_those_of_the_lock_file() {
        let lock = "[[package]]\nname = \"a\"\nversion = \"1\"\n\n[[package]]\nname = \"b\"\n\
                    version = \"2\"\nchecksum = \"cd\"\n";
        let sums = checksums(lock);
        assert_eq!(sums.len(), 1);
        assert_eq!(sums[&("b".to_owned(), "2".to_owned())], "cd");
        let package = json!({"name": "b", "version": "2", "license": "MIT/Apache-2.0"});
        let component = component(&package, &sums);
        assert_eq!(component["hashes"][0]["content"], "cd");
        assert_eq!(component["licenses"][0]["expression"], "MIT OR Apache-2.0");
    }
}
