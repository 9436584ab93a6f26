//! `kaos-webhook explain` as users call it, on the pods of the decision's own test.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const NAMESPACES: [&str; 3] = ["agents", "bare", "plain"];

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../webhook-core/tests/nothing")
}

/// The pods that get nothing.
fn pods() -> Vec<PathBuf> {
    let entries = fs::read_dir(fixtures().join("pods")).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

/// The command with all that is known around the pods.
fn explain(file: &Path) -> Command {
    let folder = fixtures();
    let mut command = Command::new(env!("CARGO_BIN_EXE_kaos-webhook"));
    command.arg("explain").arg("-f").arg(file);
    command.arg("--config").arg(folder.join("config.yaml"));
    for name in NAMESPACES {
        let file = folder.join(format!("namespace-{name}.yaml"));
        command.arg("--namespace-file").arg(file);
    }
    let resource = folder.join("resource-quiet.yaml");
    command.arg("--resource-file").arg(resource);
    // No cluster is asked.
    command.env_clear();
    command
}

/// What it prints of the reason, from its standard output.
fn reason(said: &[u8]) -> String {
    let said = String::from_utf8(said.to_vec()).unwrap();
    let line = said.lines().find(|it| it.contains("Nothing injected"));
    line.unwrap_or_else(|| panic!("{said}")).trim().to_owned()
}

#[test]
fn ten_pods_that_get_nothing_get_the_right_reason() {
    let pods = pods();
    assert_eq!(pods.len(), 10);
    for pod in pods {
        let output = explain(&pod).output().unwrap();
        assert!(output.status.success(), "{}", pod.display());
        let text = fs::read_to_string(&pod).unwrap();
        let sentence = text.lines().next().unwrap().strip_prefix("# ").unwrap();
        assert_eq!(reason(&output.stdout), sentence, "{}", pod.display());
    }
}

#[test]
fn a_pod_comes_by_standard_input_too() {
    let text = fs::read(fixtures().join("pods/opted_out.yaml")).unwrap();
    let mut child = explain(Path::new("-"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(&text).unwrap();
    let output = child.wait_with_output().unwrap();
    let wanted = "Nothing injected: the pod opts out by telemetry.kaos.tools/inject.";
    assert_eq!(reason(&output.stdout), wanted);
}

/// As it is mounted nowhere but in the cluster: `kubectl get configmap kaos-webhook --output yaml`.
#[test]
fn the_configuration_may_be_the_config_map_and_what_is_not_given_is_said() {
    let pod = fixtures().join("pods/no_endpoint.yaml");
    let explain = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kaos-webhook"));
        command.arg("explain").arg("-f").arg(&pod).args(arguments);
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    };
    let assumed = "The configuration was not given";
    assert!(explain(&[]).contains(assumed));
    let file = std::env::temp_dir().join(format!("kaos-webhook-map-{}", std::process::id()));
    let map = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: kaos-webhook}\n\
        data:\n  config.yaml: |\n    enabled: false\n";
    fs::write(&file, map).unwrap();
    let said = explain(&["--config", file.to_str().unwrap()]);
    fs::remove_file(&file).unwrap();
    assert!(!said.contains(assumed), "{said}");
    assert!(
        said.contains("the configuration has enabled: false"),
        "{said}"
    );
}

/// Labels that keep API servers from asking outweigh the one that opts in.
#[test]
fn a_namespace_that_the_webhook_is_never_asked_about_is_excluded() {
    for (name, label) in [
        ("agents", "control-plane: \"\""),
        ("agents", "kubernetes.azure.com/managedby: aks"),
        ("kube-system", "a: b"),
    ] {
        let pod = "apiVersion: v1\nkind: Pod\nmetadata:\n  name: echo\n  namespace: NAME\n  \
            labels: {app: agent, agent: echo}\nspec:\n  containers: [{name: agent}]\n";
        let namespace = format!(
            "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: {name}\n  labels:\n    \
            telemetry.kaos.tools/inject: enabled\n    {label}\n"
        );
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let pods = folder.join("excluded-pod.yaml");
        let namespaces = folder.join("excluded-namespace.yaml");
        fs::write(&pods, pod.replace("NAME", name)).unwrap();
        fs::write(&namespaces, namespace).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_kaos-webhook"));
        command.arg("explain").arg("-f").arg(&pods);
        command.arg("--namespace-file").arg(&namespaces);
        let output = command.env_clear().output().unwrap();
        let excluded = "Nothing injected: the configuration excludes this namespace.";
        assert_eq!(reason(&output.stdout), excluded, "{name} {label}");
    }
}
