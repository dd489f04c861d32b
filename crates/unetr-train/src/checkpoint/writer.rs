use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use candle_core::Tensor;
use serde::Serialize;

use super::handle::Stamp;
use super::{METRICS, STATE};
use crate::error::At;
use crate::{Error, Result};

/// Writes the files of a checkpoint that is being made.
#[derive(Debug)]
pub struct CheckpointWriter {
    folder: PathBuf,
    pub(super) files: BTreeMap<String, Stamp>,
}

impl CheckpointWriter {
    pub(super) fn create(folder: PathBuf) -> Result<Self> {
        std::fs::create_dir(&folder).at(&folder)?;
        let files = BTreeMap::new();
        Ok(Self { folder, files })
    }

    /// Writes a file.
    ///
    /// # Errors
    /// When the name is not a plain file name, taken or reserved, or when the disk refuses.
    pub fn bytes(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        let plain = Path::new(name)
            .file_name()
            .is_some_and(|plain| plain == name);
        if !plain || [STATE, METRICS].contains(&name) || self.files.contains_key(name) {
            return Err(Error::FileName {
                name: name.to_owned(),
            });
        }
        self.write(name, bytes)
    }

    /// Writes a value as JSON.
    ///
    /// # Errors
    /// As [`bytes`](Self::bytes), and when the value can't be JSON.
    pub fn json(&mut self, name: &str, value: &impl Serialize) -> Result<()> {
        let path = self.folder.join(name);
        self.bytes(name, &serde_json::to_vec_pretty(value).at(&path)?)
    }

    /// Writes named tensors and text about them as safetensors, in the order of their names.
    ///
    /// # Errors
    /// As [`bytes`](Self::bytes), and when a tensor can't be read from its device.
    pub fn tensors(
        &mut self,
        name: &str,
        tensors: &BTreeMap<String, Tensor>,
        metadata: &BTreeMap<String, String>,
    ) -> Result<()> {
        let path = self.folder.join(name);
        let metadata: HashMap<String, String> = metadata
            .iter()
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        let metadata = (!metadata.is_empty()).then_some(metadata);
        let bytes = safetensors::serialize(tensors.iter(), metadata).at(&path)?;
        self.bytes(name, &bytes)
    }

    pub(super) fn write(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        let path = self.folder.join(name);
        let mut file = File::create_new(&path).at(&path)?;
        file.write_all(bytes).at(&path)?;
        file.sync_all().at(&path)?;
        self.files.insert(name.to_owned(), Stamp::of(bytes));
        Ok(())
    }

    /// Removes what was written, to give the space back; what can't be removed is left.
    pub(super) fn discard(self) {
        if let Err(error) = std::fs::remove_dir_all(&self.folder) {
            log::warn!("{}: {error}", self.folder.display());
        }
    }

    /// Flushes the folder and gives it its final place.
    pub(super) fn publish(self, place: &Path) -> Result<()> {
        sync_folder(&self.folder)?;
        std::fs::rename(&self.folder, place).at(place)?;
        place.parent().map_or(Ok(()), sync_folder)
    }
}

/// Flushes the names in a folder, where the system can do that.
fn sync_folder(folder: &Path) -> Result<()> {
    if cfg!(unix) {
        File::open(folder)
            .and_then(|file| file.sync_all())
            .at(folder)?;
    }
    Ok(())
}
