use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use safetensors::SafeTensors;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{FORMAT, METRICS, OLDEST_FORMAT, STATE};
use crate::error::At;
use crate::files::read_json;
use crate::{Error, Result, number};

/// A checkpoint on disk: where it is, when it was made, how good it was. Its files are read on
/// demand.
#[derive(Debug, Clone, PartialEq)]
pub struct Checkpoint {
    path: PathBuf,
    header: Header,
    metrics: BTreeMap<String, f64>,
}

/// The part of `state.json` that every checkpoint has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Header {
    pub(super) format: u32,
    pub(super) version: String,
    pub(super) step: u64,
    pub(super) epoch: u64,
    /// The other files; none in the first format.
    #[serde(default)]
    pub(super) files: BTreeMap<String, Stamp>,
}

/// What a file was like when it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stamp {
    pub(super) bytes: u64,
    pub(super) crc32: u32,
}

impl Stamp {
    pub(super) fn of(bytes: &[u8]) -> Self {
        Self {
            bytes: bytes.len() as u64,
            crc32: crc32fast::hash(bytes),
        }
    }

    fn check(self, path: &Path, found: Self) -> Result<()> {
        if self == found {
            return Ok(());
        }
        Err(Error::Damaged {
            path: path.to_owned(),
            found: format!("{} bytes, checksum {:08x}", found.bytes, found.crc32),
            expected: format!("{} bytes, checksum {:08x}", self.bytes, self.crc32),
        })
    }
}

/// The whole of `state.json`.
#[derive(Serialize, Deserialize)]
pub(super) struct StateFile<S> {
    #[serde(flatten)]
    pub(super) header: Header,
    pub(super) state: S,
}

/// The whole of `metrics.json`.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct MetricsFile(#[serde(with = "number::map")] pub(super) BTreeMap<String, f64>);

impl Checkpoint {
    /// Opens the checkpoint in a folder.
    ///
    /// # Errors
    /// When the folder is not a complete checkpoint of a format that this version reads.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        let state = path.join(STATE);
        let header: Header = read_json(&state)?;
        if !(OLDEST_FORMAT..=FORMAT).contains(&header.format) {
            return Err(Error::Format {
                path: state,
                found: header.format,
                version: header.version,
                expected: FORMAT,
            });
        }
        for (name, stamp) in &header.files {
            let file = path.join(name);
            let bytes = std::fs::metadata(&file).at(&file)?.len();
            stamp.check(&file, Stamp { bytes, ..*stamp })?;
        }
        let MetricsFile(metrics) = read_json(&path.join(METRICS))?;
        Ok(Self {
            path,
            header,
            metrics,
        })
    }

    /// The format it is written in.
    pub(crate) fn format(&self) -> u32 {
        self.header.format
    }

    /// Whether it has a file of that name.
    pub fn contains(&self, name: &str) -> bool {
        self.path.join(name).is_file()
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Updates made before it was written.
    pub fn step(&self) -> u64 {
        self.header.step
    }

    /// Epochs completed before it was written.
    pub fn epoch(&self) -> u64 {
        self.header.epoch
    }

    /// The version of this crate that wrote it.
    pub fn version(&self) -> &str {
        &self.header.version
    }

    /// What was measured when it was written.
    pub fn metrics(&self) -> &BTreeMap<String, f64> {
        &self.metrics
    }

    /// The state that was given to [`Checkpoints::save`](crate::Checkpoints::save).
    ///
    /// # Errors
    /// When the file is missing or not such a state.
    pub fn state<S: DeserializeOwned>(&self) -> Result<S> {
        read_json::<StateFile<S>>(&self.path.join(STATE)).map(|file| file.state)
    }

    /// The bytes of a file.
    ///
    /// # Errors
    /// When the file is missing, or not what was written.
    pub fn bytes(&self, name: &str) -> Result<Vec<u8>> {
        let path = self.path.join(name);
        let bytes = std::fs::read(&path).at(&path)?;
        if let Some(stamp) = self.header.files.get(name) {
            stamp.check(&path, Stamp::of(&bytes))?;
        }
        Ok(bytes)
    }

    /// The value of a JSON file.
    ///
    /// # Errors
    /// When the file is missing, damaged or not such a value.
    pub fn json<T: DeserializeOwned>(&self, name: &str) -> Result<T> {
        serde_json::from_slice(&self.bytes(name)?).at(&self.path.join(name))
    }

    /// The named tensors of a safetensors file.
    ///
    /// # Errors
    /// When the file is missing or damaged, or when the device refuses.
    pub fn tensors(&self, name: &str, device: &Device) -> Result<BTreeMap<String, Tensor>> {
        let bytes = self.bytes(name)?;
        SafeTensors::deserialize(&bytes).at(&self.path.join(name))?;
        Ok(candle_core::safetensors::load_buffer(&bytes, device)?
            .into_iter()
            .collect())
    }

    /// The text that a safetensors file carries beside its tensors.
    ///
    /// # Errors
    /// When the file is missing or damaged.
    pub fn tensors_metadata(&self, name: &str) -> Result<BTreeMap<String, String>> {
        let bytes = self.bytes(name)?;
        let (_, header) = SafeTensors::read_metadata(&bytes).at(&self.path.join(name))?;
        let metadata: HashMap<String, String> = header.metadata().clone().unwrap_or_default();
        Ok(metadata.into_iter().collect())
    }
}
