//! The tiny real model that the model servers serve.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use super::command::quiet;
use super::{Cache, Peer, Recipe, python};

const LOCK: &str = include_str!("../../../tests/peers/python/model.txt");
const SCRIPT: &str = include_str!("../../../tests/peers/model/make_tiny_gguf.py");

/// A GGUF file that each llama server loads and answers from at half a millisecond a token.
pub(crate) struct TinyModel;

impl TinyModel {
    /// The model's file; installs it if need be.
    pub(crate) fn file(cache: &Cache) -> Result<PathBuf> {
        Ok(Self.install(cache)?.join("tiny.gguf"))
    }
}

impl Peer for TinyModel {
    fn name(&self) -> &'static str {
        "tiny-model"
    }

    fn about(&self) -> &'static str {
        "a word-bigram model as a llama GGUF (11 MB), made by a script of ours"
    }

    fn install(&self, cache: &Cache) -> Result<PathBuf> {
        let tools = Recipe {
            name: "gguf-tools",
            what: "gguf and numpy, which write the tiny model",
            inputs: &[LOCK],
        };
        let recipe = Recipe {
            name: self.name(),
            what: self.about(),
            inputs: &[LOCK, SCRIPT],
        };
        cache.entry(&recipe, |folder| {
            let venv = python::venv(cache, &tools, LOCK)?;
            let script = folder.join("make_tiny_gguf.py");
            std::fs::write(&script, SCRIPT)?;
            quiet(
                Command::new(venv.join("bin/python"))
                    .arg(&script)
                    .arg(folder.join("tiny.gguf")),
            )
        })
    }
}
