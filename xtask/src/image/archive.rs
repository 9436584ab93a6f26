//! An image as one file: an OCI layout in a tar archive, as runtimes and registries' tools take it.

use anyhow::Result;
use serde_json::{Value, json};
use tar::{Builder, Header};

use super::tree::{Layer, sha256};

/// Everything that an image is.
pub(crate) struct Image {
    /// The name by which a runtime knows it, such as `ghcr.io/kaos-telemetry/kaos-probe:0.1.0`.
    pub(crate) reference: String,
    /// The lowest first.
    pub(crate) layers: Vec<Layer>,
    /// What its configuration says of a container: `Entrypoint`, `User` and so on.
    pub(crate) config: Value,
}

/// An image's archive.
pub(crate) struct Archive {
    /// The file.
    pub(crate) bytes: Vec<u8>,
    /// The manifest's digest, which stands for the whole image.
    pub(crate) digest: String,
}

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";

impl Image {
    /// The archive: the same image gives the same bytes.
    pub(crate) fn archive(&self) -> Result<Archive> {
        let diff_ids: Vec<&str> = { self.layers.iter() }
            .map(|it| it.diff_id.as_str())
            .collect();
        let config = serde_json::to_vec(&json!({
            "architecture": architecture(),
            "os": "linux",
            "config": self.config,
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
        }))?;
        let layers: Vec<Value> = { self.layers.iter() }
            .map(|layer| descriptor(layer.media_type, &layer.bytes))
            .collect();
        let manifest = serde_json::to_vec(&json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": descriptor(CONFIG, &config),
            "layers": layers,
        }))?;
        let mut named = descriptor(MANIFEST, &manifest);
        let tag = self.reference.rsplit_once(':').map_or("latest", |it| it.1);
        named["annotations"] = json!({
            "io.containerd.image.name": self.reference,
            "org.opencontainers.image.ref.name": tag,
        });
        let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [named]});
        let mut tar = Builder::new(Vec::new());
        let layout = json!({"imageLayoutVersion": "1.0.0"});
        add(&mut tar, "oci-layout", &serde_json::to_vec(&layout)?)?;
        add(&mut tar, "index.json", &serde_json::to_vec(&index)?)?;
        let layers = self.layers.iter().map(|layer| &layer.bytes);
        for blob in [&config, &manifest].into_iter().chain(layers) {
            let name = sha256(blob).replace(':', "/");
            add(&mut tar, &format!("blobs/{name}"), blob)?;
        }
        Ok(Archive {
            bytes: tar.into_inner()?,
            digest: sha256(&manifest),
        })
    }
}

fn descriptor(media_type: &str, bytes: &[u8]) -> Value {
    json!({"mediaType": media_type, "digest": sha256(bytes), "size": bytes.len()})
}

fn add(tar: &mut Builder<Vec<u8>>, path: &str, bytes: &[u8]) -> Result<()> {
    let mut header = Header::new_gnu();
    header.set_size(bytes.len() as u64);
    header.set_mode(0o644);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    Ok(tar.append_data(&mut header, path, bytes)?)
}

/// This machine's architecture in Go's terms, which OCI and Debian use.
pub(super) fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io::Read as _;

    use super::super::tree::Tree;
    use super::*;

    fn image() -> Image {
        let mut tree = Tree::default();
        tree.file("it", b"it".as_slice(), 0o755);
        Image {
            reference: "local.test/it:1".to_owned(),
            layers: vec![tree.layer().unwrap()],
            config: json!({"Entrypoint": ["/it"]}),
        }
    }

    #[test]
    fn each_blob_lies_under_its_own_digest_and_is_named_by_the_one_above() {
        let archive = image().archive().unwrap();
        let mut files = BTreeMap::new();
        for entry in tar::Archive::new(archive.bytes.as_slice())
            .entries()
            .unwrap()
        {
            let mut entry = entry.unwrap();
            let path = entry.path().unwrap().display().to_string();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            files.insert(path, bytes);
        }
        let blob = |of: &Value| {
            let digest = of["digest"].as_str().unwrap();
            let bytes = &files[&format!("blobs/{}", digest.replace(':', "/"))];
            assert_eq!(sha256(bytes), digest);
            assert_eq!(of["size"], bytes.len());
            bytes.clone()
        };
        let index: Value = serde_json::from_slice(&files["index.json"]).unwrap();
        let named = &index["manifests"][0];
        assert_eq!(named["digest"], archive.digest);
        assert_eq!(
            named["annotations"]["io.containerd.image.name"],
            "local.test/it:1"
        );
        let manifest: Value = serde_json::from_slice(&blob(named)).unwrap();
        let config: Value = serde_json::from_slice(&blob(&manifest["config"])).unwrap();
        let layer = blob(&manifest["layers"][0]);
        let mut tar = Vec::new();
        flate2::read::GzDecoder::new(layer.as_slice())
            .read_to_end(&mut tar)
            .unwrap();
        assert_eq!(config["rootfs"]["diff_ids"][0], sha256(&tar));
        assert_eq!(files.len(), 5);
    }

    #[test]
    fn the_same_image_is_the_same_bytes() {
        let (one, two) = (image().archive().unwrap(), image().archive().unwrap());
        assert!(one.bytes == two.bytes && one.digest == two.digest);
    }
}
