use std::collections::BTreeMap;
use std::thread::JoinHandle;

use candle_core::Tensor;
use serde::Serialize;

use super::{Checkpoints, Retention};
use crate::{Error, Result};

/// Files of tensors by name.
pub(crate) type TensorFiles = Vec<(&'static str, BTreeMap<String, Tensor>)>;

/// Everything a checkpoint is made of, detached from the run that goes on.
#[derive(Debug)]
pub(crate) struct Snapshot<S> {
    pub(crate) step: u64,
    pub(crate) epoch: u64,
    pub(crate) metrics: BTreeMap<String, f64>,
    pub(crate) state: S,
    pub(crate) tensors: TensorFiles,
    /// Files of JSON by name.
    pub(crate) attachments: Vec<(String, serde_json::Value)>,
}

/// Writes checkpoints in a thread of their own, one at a time.
#[derive(Debug)]
pub(crate) struct BackgroundSaver {
    /// Those of the checkpoints, also while a thread has them.
    retention: Retention,
    /// None while a thread has them.
    checkpoints: Option<Checkpoints>,
    writing: Option<JoinHandle<(Checkpoints, Result<()>)>>,
}

impl BackgroundSaver {
    pub(crate) fn new(checkpoints: Checkpoints) -> Self {
        Self {
            retention: checkpoints.retention().clone(),
            checkpoints: Some(checkpoints),
            writing: None,
        }
    }

    /// The checkpoints, once the last write has ended.
    ///
    /// # Errors
    /// When that write failed; checkpoints before it are still there.
    pub(crate) fn wait(&mut self) -> Result<&mut Checkpoints> {
        if let Some(writing) = self.writing.take() {
            let (checkpoints, written) = writing.join().map_err(|_| Error::WriterPanicked)?;
            self.checkpoints = Some(checkpoints);
            written?;
        }
        self.checkpoints.as_mut().ok_or(Error::WriterPanicked)
    }

    /// Whether an epoch is one whose checkpoint is always kept.
    pub(crate) fn keeps_epoch(&self, epoch: u64) -> bool {
        self.retention.keeps_epoch(epoch)
    }

    /// What the best checkpoints are best in; none where none is kept as one of the best.
    pub(crate) fn metric(&self) -> Option<&str> {
        let Retention { best, metric, .. } = &self.retention;
        (*best > 0).then_some(metric.as_str())
    }

    /// The checkpoints, unless they are being written to.
    pub(crate) fn idle(&self) -> Option<&Checkpoints> {
        self.checkpoints.as_ref()
    }

    /// Begins to write a checkpoint and returns at once, unless the one before is still being written.
    ///
    /// # Errors
    /// When the write before has failed, or there is no thread to be had.
    pub(crate) fn save<S: Serialize + Send + 'static>(
        &mut self,
        snapshot: Snapshot<S>,
    ) -> Result<()> {
        self.wait()?;
        let Some(mut checkpoints) = self.checkpoints.take() else {
            return Err(Error::WriterPanicked);
        };
        let write = move || {
            let written = snapshot.write(&mut checkpoints);
            (checkpoints, written)
        };
        let thread = std::thread::Builder::new().name("checkpoint".into());
        self.writing = Some(thread.spawn(write).map_err(Error::Thread)?);
        Ok(())
    }
}

impl<S: Serialize> Snapshot<S> {
    fn write(&self, checkpoints: &mut Checkpoints) -> Result<()> {
        let none = BTreeMap::new();
        let (step, epoch) = (self.step, self.epoch);
        checkpoints.save(epoch, step, &self.metrics, &self.state, |files| {
            for (name, tensors) in &self.tensors {
                files.tensors(name, tensors, &none)?;
            }
            for (name, value) in &self.attachments {
                files.json(name, value)?;
            }
            Ok(())
        })
    }
}
