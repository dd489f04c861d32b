use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::{Result, files};

/// The folder of a training run, and what its files are called.
///
/// ```text
/// runs/pets/
///     config.json         settings, model, classes: any JSON object
///     environment.json    Environment: the machine and the program
///     history.jsonl       HistoryFile: a record per epoch
///     evaluation.json     Evaluation: the confusion matrix of the last evaluation
///     gallery/            Gallery: the best, median and worst predictions
///     checkpoints/        Checkpoints
///     model/              the best network, to share and to predict with
///     report.html         Report: all of it to look at
/// ```
///
/// # Examples
/// ```
/// # use unetr_train::RunFolder;
/// let run = RunFolder::new("runs/pets");
/// assert!(run.history().ends_with("runs/pets/history.jsonl"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunFolder {
    path: PathBuf,
}

impl RunFolder {
    /// The run of this folder, which need not exist yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file of everything the run is made of.
    pub fn config(&self) -> PathBuf {
        self.path.join("config.json")
    }

    /// Writes what the run is made of as a whole, as JSON: who reads meanwhile finds what was there, or this.
    ///
    /// # Errors
    /// When the file can't be written.
    ///
    /// # Examples
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let folder = folder.path();
    /// use unetr_train::{Recipe, RunFolder};
    ///
    /// let run = RunFolder::new(folder);
    /// run.write_config(&Recipe::small())?;
    /// assert!(run.config().is_file());
    /// # Ok(())
    /// # }
    /// ```
    pub fn write_config(&self, config: &impl Serialize) -> Result<()> {
        files::write_json(&self.config(), config)
    }

    /// The file of the machine and the program, an [`Environment`](crate::Environment).
    pub fn environment(&self) -> PathBuf {
        self.path.join("environment.json")
    }

    /// The file of what was measured, a [`HistoryFile`](crate::HistoryFile).
    pub fn history(&self) -> PathBuf {
        self.path.join("history.jsonl")
    }

    /// The file of the last evaluation, an [`Evaluation`](crate::Evaluation).
    pub fn evaluation(&self) -> PathBuf {
        self.path.join("evaluation.json")
    }

    /// The folder of pictures, a [`Gallery`](crate::Gallery).
    pub fn gallery(&self) -> PathBuf {
        self.path.join("gallery")
    }

    /// The folder of [`Checkpoints`](crate::Checkpoints).
    pub fn checkpoints(&self) -> PathBuf {
        self.path.join("checkpoints")
    }

    /// The folder of the best network, as `unetr_predict::save_pretrained` writes it.
    pub fn model(&self) -> PathBuf {
        self.path.join("model")
    }

    /// The file of the [`Report`](crate::Report).
    pub fn report(&self) -> PathBuf {
        self.path.join("report.html")
    }
}
