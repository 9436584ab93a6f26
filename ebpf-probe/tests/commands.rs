//! The commands from outside: what they say and how they end. Needs root, as the probe does.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

const PATIENCE: Duration = Duration::from_secs(20);

fn probe() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kaos-probe"));
    command.stdin(Stdio::null());
    command
}

/// A started command; a test that fails does not leave it behind.
struct Started(Child);

impl Started {
    fn tell(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.0.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Waits for the end, and fails the test if it does not come.
    fn ended(&mut self) -> Option<i32> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status.code();
            }
            assert!(Instant::now() < deadline, "it does not end");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn without_root_one_sentence_says_what_to_do() {
    for command in ["watch", "agent"] {
        let output = probe()
            .args([command, "--log", "error"])
            .uid(65534)
            .output()
            .unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("run as root, or with CAP_BPF"), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
}

#[test]
fn doctor_is_not_content_with_what_it_cannot_see() {
    // The kernel's first thread.
    let output = probe().args(["doctor", "2"]).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("no file of a program can be seen"), "{said}");
}

/// `run` of a shell script, once that has said `ready`.
fn run(script: &str) -> Started {
    let child = probe()
        .args(["run", "--", "sh", "-c", script])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut child = Started(child);
    let mut line = String::new();
    let stdout = child.0.stdout.as_mut().unwrap();
    // The script says nothing more, so that what is buffered here is no loss.
    BufReader::new(stdout).read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    child
}

#[test]
fn run_passes_a_hangup_on_and_ends_with_its_command() {
    let mut child = run("trap 'exit 7' HUP; echo ready; while :; do sleep 0.05; done");
    child.tell(Signal::HUP);
    assert_eq!(child.ended(), Some(7));
    let mut summary = String::new();
    let stderr = child.0.stderr.as_mut().unwrap();
    stderr.read_to_string(&mut summary).unwrap();
    assert!(!summary.is_empty(), "the summary");
}

#[test]
fn run_raises_its_own_limit_of_open_files_and_not_its_commands() {
    let script = "ulimit -S -n; grep open.files /proc/$PPID/limits";
    let ours = format!("ulimit -S -n 512; ulimit -H -n 4096; exec \"$0\" run -- sh -c '{script}'");
    let output = Command::new("sh")
        .args(["-c", &ours])
        .arg(env!("CARGO_BIN_EXE_kaos-probe"))
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let (command, probe) = said.split_once('\n').unwrap();
    assert_eq!(command, "512");
    let soft = probe.split_whitespace().nth(3);
    assert_eq!(soft, Some("4096"), "{probe}");
}

#[test]
fn run_outlives_a_quit_of_the_terminal() {
    let mut child = run("trap 'exit 9' TERM; echo ready; while :; do sleep 0.05; done");
    child.tell(Signal::QUIT);
    child.tell(Signal::TERM);
    assert_eq!(child.ended(), Some(9));
}

/// A server that answers every request of a model, and its address.
fn model() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut request = [0; 4096];
            if stream.read(&mut request).unwrap_or(0) > 0 {
                let body = r#"{"id":"1","object":"chat.completion","model":"m","choices":[]}"#;
                let length = body.len();
                let answer = format!(
                    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\
                     content-length: {length}\r\n\r\n{body}"
                );
                stream.write_all(answer.as_bytes()).unwrap();
            }
        }
    });
    address
}

fn ask(address: &str) {
    let body = r#"{"model":"m","messages":[]}"#;
    let length = body.len();
    let request = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: {address}\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    stream.read_to_end(&mut Vec::new()).unwrap();
}

#[test]
fn watch_ends_although_nobody_reads_its_output() {
    let (reader, writer) = rustix::pipe::pipe().unwrap();
    rustix::pipe::fcntl_setpipe_size(&writer, 8192).unwrap();
    let child = probe()
        .args(["watch", "--json"])
        .stdout(File::from(writer))
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut child = Started(child);
    let address = model();
    let mut reader = File::from(reader);
    let deadline = Instant::now() + PATIENCE;
    // The pipe is full when no more can be written to it: its reader has seen the same size twice.
    let mut last = 0;
    loop {
        for _ in 0..20 {
            ask(&address);
        }
        std::thread::sleep(Duration::from_millis(300));
        let waiting = rustix::io::ioctl_fionread(&reader).unwrap();
        if waiting > 0 && waiting == last {
            break;
        }
        last = waiting;
        assert!(Instant::now() < deadline, "only {waiting} bytes came");
    }
    child.tell(Signal::INT);
    assert_eq!(child.ended(), Some(0));
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    assert!(text.starts_with('{'), "{text}");
}
