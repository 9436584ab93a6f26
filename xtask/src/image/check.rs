//! Whether an image's program runs in what is in the image: it finds its libraries, resolves a
//! name by DNS and connects.

use std::fs;
use std::io::Read as _;
use std::net::{TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use flate2::read::GzDecoder;
use serde_json::Value;

use crate::cluster::network;
use crate::cmd::read;

/// A name that only our own name server knows.
const NAME: &str = "api.images.test";
/// How long the program may take until it connects: it does so at once.
const WITHIN: Duration = Duration::from_secs(20);
/// Debian's package holds some hundred and forty authorities.
const FEWEST_ROOTS: usize = 100;

/// Checks each archive `NAME.tar` of a folder, in a network of its own.
pub(super) fn all(names: [&str; 2], folder: &Path) -> Result<()> {
    network::enter(network::Own::Network)?;
    for name in names {
        let root = std::env::temp_dir().join(format!("{name}-image-{}", std::process::id()));
        fs::create_dir_all(&root)?;
        let result = holds(name, &folder.join(format!("{name}.tar")), &root);
        fs::remove_dir_all(&root)?;
        println!("image: {name}: {}", result?);
    }
    Ok(())
}

fn holds(name: &str, archive: &Path, root: &Path) -> Result<String> {
    unpack(archive, root).with_context(|| format!("unpack {}", archive.display()))?;
    let program = format!("/usr/bin/{name}");
    let version = read(inside(root).arg(&program).arg("--version"))?;
    let roots = fs::read_to_string(root.join("etc/ssl/certs/ca-certificates.crt"))?;
    let roots = roots.matches("BEGIN CERTIFICATE").count();
    ensure!(
        roots >= FEWEST_ROOTS,
        "only {roots} authorities are trusted"
    );
    let mut said = format!("{} runs, {roots} authorities are trusted", version.trim());
    if name == "kaos-webhook" {
        // The probe would load programs into the kernel before it asks anybody; what resolves
        // names is in the layer that both share.
        let seconds = resolves(&program, root)?;
        said = format!("{said}, {NAME} is resolved in {seconds:.2} s");
    }
    Ok(said)
}

/// A command of the image, as the user that nobody is.
fn inside(root: &Path) -> Command {
    let mut chroot = Command::new("chroot");
    chroot.arg("--userspec=65532:65532").arg(root);
    chroot.env_clear().env("PATH", "/usr/sbin:/usr/bin");
    chroot.stdin(Stdio::null());
    chroot
}

/// The seconds until the program has found the API server by its name.
fn resolves(program: &str, root: &Path) -> Result<f64> {
    let server = TcpListener::bind("127.0.0.1:0")?;
    server.set_nonblocking(true)?;
    let names = UdpSocket::bind("127.0.0.1:53").context("be the name server")?;
    names.set_read_timeout(Some(Duration::from_millis(20)))?;
    fs::write(root.join("etc/resolv.conf"), "nameserver 127.0.0.1\n")?;
    let url = format!("https://{NAME}:{}", server.local_addr()?.port());
    let config = serde_json::json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "it",
        "clusters": [{"name": "it", "cluster": {"server": url}}],
        "users": [{"name": "it", "user": {"token": "it"}}],
        "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
    });
    fs::write(root.join("kubeconfig"), config.to_string())?;
    let mut serve = inside(root);
    serve.args([program, "serve", "--listen=127.0.0.1:0"]);
    serve
        .env("KUBECONFIG", "/kubeconfig")
        .env("POD_NAMESPACE", "it");
    let child = serve.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let mut child = Ended(child);
    let start = Instant::now();
    let mut asked = false;
    while start.elapsed() < WITHIN {
        asked |= answer(&names);
        if server.accept().is_ok() {
            ensure!(asked, "the program connected without asking for the name");
            return Ok(start.elapsed().as_secs_f64());
        }
        if let Some(status) = child.0.try_wait()? {
            bail!("the program ended: {status}");
        }
    }
    bail!(
        "the program did not connect; it {} for the name",
        if asked { "asked" } else { "never asked" }
    )
}

/// Answers one question: the name has the address 127.0.0.1 and no other.
fn answer(names: &UdpSocket) -> bool {
    let mut bytes = [0; 512];
    let Ok((length, from)) = names.recv_from(&mut bytes) else {
        return false;
    };
    let Some(reply) = reply(&bytes[..length]) else {
        return false;
    };
    names.send_to(&reply, from).is_ok()
}

/// The reply to a question of DNS (RFC 1035) for [`NAME`]; `None` to any other.
fn reply(question: &[u8]) -> Option<Vec<u8>> {
    let labels = NAME.split('.').flat_map(|label| {
        let length = u8::try_from(label.len()).unwrap_or(0);
        std::iter::once(length).chain(label.bytes())
    });
    let name: Vec<u8> = labels.chain([0]).collect();
    let asked = question.get(12..12 + name.len() + 4)?;
    let kind = asked.strip_prefix(name.as_slice())?.get(..2)?;
    let address = kind == [0, 1];
    let mut reply = question.get(..2)?.to_vec();
    // A response without error to one question; one answer, if an address was asked for.
    reply.extend([0x81, 0x80, 0, 1, 0, u8::from(address), 0, 0, 0, 0]);
    reply.extend(asked);
    if address {
        // The name as a pointer to the question's, type A, class IN, a minute, four bytes.
        reply.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 1]);
    }
    Some(reply)
}

/// Lays out what an archive's image holds.
fn unpack(archive: &Path, root: &Path) -> Result<()> {
    let blobs = PathBuf::from(format!("{}.blobs", root.display()));
    tar::Archive::new(fs::File::open(archive)?).unpack(&blobs)?;
    let result = layers(&blobs).and_then(|layers| {
        for layer in layers {
            let tar = GzDecoder::new(fs::File::open(layer)?);
            tar::Archive::new(tar).unpack(root)?;
        }
        Ok(())
    });
    fs::remove_dir_all(&blobs)?;
    result
}

/// The files with the layers, the lowest first.
fn layers(blobs: &Path) -> Result<Vec<PathBuf>> {
    let at = |of: &Value| {
        let digest = of["digest"].as_str().context("a descriptor has a digest")?;
        anyhow::Ok(blobs.join("blobs").join(digest.replace(':', "/")))
    };
    let json = |path: &Path| {
        let mut text = String::new();
        fs::File::open(path)?.read_to_string(&mut text)?;
        anyhow::Ok(serde_json::from_str::<Value>(&text)?)
    };
    let index = json(&blobs.join("index.json"))?;
    let manifest = json(&at(&index["manifests"][0])?)?;
    let layers = manifest["layers"]
        .as_array()
        .context("a manifest has layers")?;
    layers.iter().map(at).collect()
}

/// A process that ends with us.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        // It may have ended.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_name_is_answered() {
        let mut question = vec![7, 8, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        question.extend(b"\x03api\x06images\x04test\x00");
        question.extend([0, 1, 0, 1]);
        let reply = reply(&question).expect("an answer");
        assert_eq!(&reply[..2], [7, 8]);
        assert!(reply.ends_with(&[127, 0, 0, 1]));
        let end = question.len() - 3;
        question[end] = 28;
        assert!(
            !super::reply(&question)
                .expect("no address")
                .ends_with(&[127, 0, 0, 1])
        );
        question[13] = b'x';
        assert!(super::reply(&question).is_none());
        assert!(super::reply(&question[..9]).is_none());
    }
}
