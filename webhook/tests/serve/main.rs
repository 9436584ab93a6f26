//! The program as a whole, without a cluster: it starts, follows its files, and ends.

#[cfg(test)]
mod program;

use std::fs;

use program::{Folder, Program, REVIEW, until};
use rustix::process::Signal;

#[tokio::test]
async fn it_follows_settings_and_keeps_the_last_good_ones() {
    let folder = Folder::new("settings");
    let settings = folder.path().join("settings.yaml");
    let program = Program::start(&folder, "0s").await;
    assert!(program.answer().await.contains("\"allowed\":true"));
    assert!(program.patch().await.contains("http://first:4317"));

    fs::write(&settings, "protocol: grpc\nendpoint: {}\n").unwrap();
    until("the refusal", async || {
        program
            .metrics()
            .await
            .contains("settings_reads_total{result=\"failed\"} 1\n")
    })
    .await;
    assert!(program.log().contains("line 2"), "{}", program.log());
    assert!(program.is_ready().await);
    assert!(program.patch().await.contains("http://first:4317"));

    fs::write(&settings, "protocol: grpc\nendpoint: http://second:4317\n").unwrap();
    until("the new settings", async || {
        program.patch().await.contains("http://second:4317")
    })
    .await;
}

#[tokio::test]
async fn it_serves_another_certificate_when_a_mounted_folder_changes() {
    let folder = Folder::new("certificate");
    let mut program = Program::start(&folder, "0s").await;
    let first = program.certificate().await;
    program.trust(folder.issue("second"));
    until("the new certificate", async || {
        program.certificate().await != first
    })
    .await;
    // A key of another certificate: what is served stays.
    let second = program.certificate().await;
    fs::write(folder.path().join("..data").join("tls.key"), "nonsense").unwrap();
    until("the refusal", async || {
        program
            .metrics()
            .await
            .contains("certificate_reads_total{result=\"failed\"} 1\n")
    })
    .await;
    assert_eq!(program.certificate().await, second);
    assert!(program.is_ready().await);
}

#[tokio::test]
async fn it_serves_on_after_sigterm_and_ends_with_success() {
    let folder = Folder::new("drain");
    let mut program = Program::start(&folder, "2s").await;
    let mut kept = program.connect().await;
    program::send(&mut kept, REVIEW).await;
    let answer = program::receive(&mut kept).await;
    assert!(
        !answer.to_lowercase().contains("connection: close"),
        "{answer}"
    );
    program.signal(Signal::TERM);
    until("not ready", async || !program.is_ready().await).await;
    program::send(&mut kept, REVIEW).await;
    let answer = program::receive(&mut kept).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(
        answer.to_lowercase().contains("connection: close"),
        "{answer}"
    );
    assert!(
        program.answer().await.contains("\"allowed\":true"),
        "a new connection"
    );
    assert_eq!(program.ended().await, Some(0));
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let folder = Folder::new("abort");
    let mut program = Program::start(&folder, "1h").await;
    program.signal(Signal::TERM);
    until("not ready", async || !program.is_ready().await).await;
    program.signal(Signal::INT);
    assert_eq!(program.ended().await, Some(1));
}

#[test]
fn what_cannot_work_is_said_in_a_sentence() {
    let folder = Folder::new("usage");
    let settings = folder.path().join("settings.yaml");
    let settings = settings.to_str().unwrap();
    for (arguments, words) in [
        (vec!["--no-kube"], "--config"),
        (
            vec!["--no-kube", "--config", settings],
            "--no-kube wants --certs files",
        ),
        (vec!["--threads", "many"], "invalid value 'many'"),
        (vec!["--drain", "10"], "has no unit"),
    ] {
        let said = Program::refuses(&arguments);
        assert!(said.contains(words), "{said}");
        assert!(!said.contains("panicked"), "{said}");
    }
}
