//! What is in an image's layer, and the layer's bytes.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{Cursor, Write as _};
use std::path::Path;

use anyhow::{Context as _, Result};
use flate2::{Compression, GzBuilder};
use ring::digest::{SHA256, digest};
use tar::{Builder, EntryType, Header};

/// Files by their paths without the leading slash. The folders above them come by themselves.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tree {
    nodes: BTreeMap<String, Node>,
}

#[derive(Clone, Debug)]
enum Node {
    Folder,
    File { bytes: Vec<u8>, mode: u32 },
    Link { to: String },
}

/// A layer: a tree's bytes, the same for the same tree.
pub(crate) struct Layer {
    /// A tar archive, perhaps compressed.
    pub(crate) bytes: Vec<u8>,
    /// What of the two it is, in OCI's terms.
    pub(crate) media_type: &'static str,
    /// The digest of the archive before compression, which an image's configuration names.
    pub(crate) diff_id: String,
}

impl Tree {
    /// Adds a folder that may be empty.
    pub(crate) fn folder(&mut self, path: &str) {
        let above = path.match_indices('/').map(|(at, _)| &path[..at]);
        for folder in above.chain([path]) {
            self.nodes.entry(folder.to_owned()).or_insert(Node::Folder);
        }
    }

    /// Adds a file.
    pub(crate) fn file(&mut self, path: &str, bytes: impl Into<Vec<u8>>, mode: u32) {
        let bytes = bytes.into();
        self.add(path, Node::File { bytes, mode });
    }

    /// Adds a program of this machine.
    pub(crate) fn program(&mut self, path: &str, from: &Path) -> Result<()> {
        let bytes = std::fs::read(from).with_context(|| format!("read {}", from.display()))?;
        self.file(path, bytes, 0o755);
        Ok(())
    }

    /// Adds a symbolic link.
    pub(crate) fn link(&mut self, path: &str, to: &str) {
        let to = to.to_owned();
        self.add(path, Node::Link { to });
    }

    fn add(&mut self, path: &str, node: Node) {
        if let Some((folder, _)) = path.rsplit_once('/') {
            self.folder(folder);
        }
        self.nodes.insert(path.to_owned(), node);
    }

    /// The tree as a layer.
    pub(crate) fn layer(&self) -> Result<Layer> {
        let plain = self.plain_layer()?;
        let mut gzip = GzBuilder::new()
            .mtime(0)
            .write(Vec::new(), Compression::new(6));
        gzip.write_all(&plain.bytes)?;
        Ok(Layer {
            bytes: gzip.finish()?,
            media_type: "application/vnd.oci.image.layer.v1.tar+gzip",
            ..plain
        })
    }

    /// The same uncompressed, for images that go nowhere.
    pub(crate) fn plain_layer(&self) -> Result<Layer> {
        let bytes = self.tar()?;
        Ok(Layer {
            media_type: "application/vnd.oci.image.layer.v1.tar",
            diff_id: sha256(&bytes),
            bytes,
        })
    }

    /// Owners are root, times are 1970: nothing of this machine is in it.
    fn tar(&self) -> Result<Vec<u8>> {
        let mut tar = Builder::new(Vec::new());
        for (path, node) in &self.nodes {
            let mut header = Header::new_gnu();
            header.set_uid(0);
            header.set_gid(0);
            header.set_mtime(0);
            header.set_mode(node.mode());
            match node {
                Node::Folder => {
                    header.set_entry_type(EntryType::Directory);
                    header.set_size(0);
                    tar.append_data(&mut header, format!("{path}/"), Cursor::new([]))?;
                }
                Node::File { bytes, .. } => {
                    header.set_size(bytes.len() as u64);
                    tar.append_data(&mut header, path, bytes.as_slice())?;
                }
                Node::Link { to } => {
                    header.set_entry_type(EntryType::Symlink);
                    header.set_size(0);
                    tar.append_link(&mut header, path, to)?;
                }
            }
        }
        Ok(tar.into_inner()?)
    }
}

impl Node {
    fn mode(&self) -> u32 {
        match self {
            Self::Folder => 0o755,
            Self::File { mode, .. } => *mode,
            Self::Link { .. } => 0o777,
        }
    }
}

/// A digest as OCI writes it: `sha256:` and 64 hex digits.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    let mut text = "sha256:".to_owned();
    for byte in digest(&SHA256, bytes).as_ref() {
        // A String takes all that is written.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> Tree {
        let mut tree = Tree::default();
        tree.file("usr/bin/it", b"#!".as_slice(), 0o755);
        tree.link("lib64/ld", "/lib/ld");
        tree.folder("tmp");
        tree
    }

    #[test]
    fn a_digest_is_written_as_oci_does() {
        let empty = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(sha256(b""), empty);
    }

    #[test]
    fn the_same_tree_is_the_same_bytes_and_another_is_not() {
        let (one, two) = (tree().layer().unwrap(), tree().layer().unwrap());
        assert_eq!((one.bytes, &one.diff_id), (two.bytes, &two.diff_id));
        let mut other = tree();
        other.file("usr/bin/it", b"#!".as_slice(), 0o644);
        assert_ne!(other.layer().unwrap().diff_id, one.diff_id);
    }

    #[test]
    fn folders_come_before_what_is_in_them() {
        let layer = tree().layer().unwrap();
        let tar = flate2::read::GzDecoder::new(layer.bytes.as_slice());
        let mut archive = tar::Archive::new(tar);
        let paths: Vec<String> = archive
            .entries()
            .unwrap()
            .map(|entry| entry.unwrap().path().unwrap().display().to_string())
            .collect();
        let wanted = [
            "lib64/",
            "lib64/ld",
            "tmp/",
            "usr/",
            "usr/bin/",
            "usr/bin/it",
        ];
        assert_eq!(paths, wanted);
    }
}
