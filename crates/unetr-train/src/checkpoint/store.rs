use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::handle::{Header, MetricsFile, StateFile};
use super::{Checkpoint, CheckpointWriter, FORMAT, METRICS, Retention, RunLock, STATE};
use crate::error::At;
use crate::{Error, Result};

const PREFIX: &str = "step-";
const TEMPORARY: &str = ".tmp-";
const BEST: &str = "best";
const LAST: &str = "last";

/// The checkpoints of a training run: a folder that keeps the best few by a metric, the last, and
/// what else [`Retention`] says.
///
/// Where the system has symbolic links, `best` and `last` beside the checkpoints lead to them.
///
/// Opening changes nothing on disk, so that another process may look at a run while it trains.
/// Every [`save`](Self::save) removes what an interrupted one has left, and what is no longer kept.
///
/// # Examples
/// ```
/// # use std::collections::BTreeMap;
/// # use unetr_train::{Checkpoints, Objective, Retention};
/// # fn main() -> unetr_train::Result<()> {
/// # let folder = tempfile::tempdir().unwrap();
/// # let folder = folder.path();
/// let retention = Retention::best(2, "validation/mean_iou", Objective::Max);
/// let mut checkpoints = Checkpoints::open(folder, retention)?;
///
/// let metrics = BTreeMap::from([("validation/mean_iou".to_owned(), 0.507)]);
/// checkpoints.save(50, 3550, &metrics, &"the run's own state", |files| {
///     files.bytes("model.bin", b"weights")
/// })?;
///
/// let best = checkpoints.best().expect("one was just saved");
/// assert_eq!(best.epoch(), 50);
/// assert_eq!(best.bytes("model.bin")?, b"weights");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Checkpoints {
    folder: PathBuf,
    retention: Retention,
    checkpoints: Vec<Checkpoint>,
    /// Why others were left out.
    unreadable: Vec<Error>,
}

impl Checkpoints {
    /// Finds the checkpoints in `folder`, which need not exist yet.
    ///
    /// A folder with a checkpoint's name that can't be read as one is left out, with a warning in
    /// the log that says why. Where there is no other, a run that is resumed ends with this reason.
    ///
    /// # Errors
    /// When the folder exists but can't be listed.
    pub fn open(folder: impl Into<PathBuf>, retention: Retention) -> Result<Self> {
        let folder = folder.into();
        let (mut checkpoints, mut unreadable) = (Vec::new(), Vec::new());
        for path in entries(&folder)? {
            if !starts_with(&path, PREFIX) {
                continue;
            }
            match Checkpoint::open(path) {
                Ok(checkpoint) => checkpoints.push(checkpoint),
                Err(error) => {
                    log::warn!("skipped a checkpoint: {error}");
                    unreadable.push(error);
                }
            }
        }
        checkpoints.sort_by_key(Checkpoint::step);
        Ok(Self {
            folder,
            retention,
            checkpoints,
            unreadable,
        })
    }

    /// The last checkpoint, if there are any.
    ///
    /// # Errors
    /// When there are some, and none can be read.
    pub(crate) fn last_readable(&mut self) -> Result<Option<&Checkpoint>> {
        match self.unreadable.pop() {
            Some(error) if self.checkpoints.is_empty() => Err(error),
            _ => Ok(self.checkpoints.last()),
        }
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Whether the folder has a checkpoint, readable or not.
    pub(crate) fn are_there(&self) -> bool {
        !self.checkpoints.is_empty() || !self.unreadable.is_empty()
    }

    /// All checkpoints, the oldest first.
    pub fn list(&self) -> &[Checkpoint] {
        &self.checkpoints
    }

    /// The checkpoint with the best value of the metric; of equal ones the earliest. None when no
    /// checkpoint has a value.
    pub fn best(&self) -> Option<&Checkpoint> {
        self.retention.ranking(&self.checkpoints).into_iter().next()
    }

    /// The checkpoint of the highest step, from which training is resumed.
    pub fn last(&self) -> Option<&Checkpoint> {
        self.checkpoints.last()
    }

    /// The checkpoint of a name: `best`, `last`, or a folder's such as `step-0003550`.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn named(&self, name: &str) -> Result<&Checkpoint> {
        let is = |checkpoint: &&Checkpoint| checkpoint.path().file_name() == Some(name.as_ref());
        let found = match name {
            BEST => self.best(),
            LAST => self.last(),
            _ => self.checkpoints.iter().find(is),
        };
        found.ok_or_else(|| Error::NoCheckpoint {
            folder: self.folder.clone(),
            name: name.to_owned(),
            steps: self.checkpoints.iter().map(Checkpoint::step).collect(),
        })
    }

    /// Writes a checkpoint and removes those that are no longer kept.
    ///
    /// `epoch` and `step` are how many epochs and updates the run has completed. `files` writes the contents, model and optimiser for example; `state` is any small value
    /// that is needed to go on. A checkpoint of the same step is replaced.
    ///
    /// # Errors
    /// When `files` fails or the disk refuses. Existing checkpoints are then as before.
    pub fn save(
        &mut self,
        epoch: u64,
        step: u64,
        metrics: &BTreeMap<String, f64>,
        state: &impl Serialize,
        files: impl FnOnce(&mut CheckpointWriter) -> Result<()>,
    ) -> Result<()> {
        fs::create_dir_all(&self.folder).at(&self.folder)?;
        self.clean()?;

        let name = format!("{PREFIX}{step:07}");
        let aside = self.folder.join(format!("{TEMPORARY}{name}"));
        let place = self.folder.join(&name);
        let mut writer = CheckpointWriter::create(aside.clone())?;
        let written = files(&mut writer).and_then(|()| {
            let metrics = serde_json::to_vec_pretty(&MetricsFile(metrics.clone())).at(&aside)?;
            writer.write(METRICS, &metrics)?;
            let header = Header {
                format: FORMAT,
                version: env!("CARGO_PKG_VERSION").to_owned(),
                step,
                epoch,
                files: writer.files.clone(),
            };
            let state = serde_json::to_vec_pretty(&StateFile { header, state }).at(&aside)?;
            writer.write(STATE, &state)
        });
        if let Err(error) = written {
            writer.discard();
            return Err(error);
        }
        // One of the same step makes room at the last moment, and is deleted after.
        let old = place.exists().then(|| self.old(&name));
        if let Some(old) = &old {
            fs::rename(&place, old).at(&place)?;
        }
        if let Err(error) = writer.publish(&place) {
            if let Some(old) = &old {
                // The first error is the one to tell.
                let _ = fs::rename(old, &place);
            }
            return Err(error);
        }
        self.checkpoints
            .retain(|checkpoint| checkpoint.step() != step);
        self.checkpoints.push(Checkpoint::open(place)?);
        self.checkpoints.sort_by_key(Checkpoint::step);
        if let Some(old) = &old {
            fs::remove_dir_all(old).at(old)?;
        }
        self.prune()?;
        self.link_all();
        Ok(())
    }

    /// Which of them are kept.
    pub(super) fn retention(&self) -> &Retention {
        &self.retention
    }

    /// Keeps others out until the lock is dropped.
    ///
    /// # Errors
    /// When another process writes into the folder, or the disk refuses.
    pub(crate) fn lock(&self) -> Result<RunLock> {
        RunLock::acquire(&self.folder)
    }

    /// Lets the names of the last and the best lead to them, for people: not every file system can, and no run ends
    /// for it.
    fn link_all(&self) {
        for (name, checkpoint) in [(LAST, self.last()), (BEST, self.best())] {
            if let Err(error) = self.link(name, checkpoint) {
                log::warn!("`{name}` does not lead to a checkpoint: {error}");
            }
        }
    }

    /// Gives a checkpoint a second name, or takes it away where there is none; where the system has symbolic links.
    fn link(&self, name: &str, checkpoint: Option<&Checkpoint>) -> Result<()> {
        #[cfg(unix)]
        {
            let place = self.folder.join(name);
            let Some(target) = checkpoint.and_then(|checkpoint| checkpoint.path().file_name())
            else {
                // One that leads to a checkpoint which is no more.
                return match place.is_symlink() {
                    true => fs::remove_file(&place).at(&place),
                    false => Ok(()),
                };
            };
            let aside = self.folder.join(format!("{TEMPORARY}{name}"));
            if aside.is_symlink() {
                fs::remove_file(&aside).at(&aside)?;
            }
            std::os::unix::fs::symlink(target, &aside).at(&aside)?;
            if let Err(error) = fs::rename(&aside, &place) {
                let _ = fs::remove_file(&aside);
                return Err(error).at(&place);
            }
        }
        #[cfg(not(unix))]
        let _ = (name, checkpoint);
        Ok(())
    }

    /// Removes the checkpoints after `step`, from which training is about to be resumed.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn rewind(&mut self, step: u64) -> Result<()> {
        self.clean()?;
        self.drop_where(|checkpoint, _| checkpoint.step() > step)?;
        self.link_all();
        Ok(())
    }

    fn prune(&mut self) -> Result<()> {
        let retention = self.retention.clone();
        self.drop_where(|checkpoint, all| !retention.keeps(checkpoint, all))
    }

    fn drop_where(&mut self, unwanted: impl Fn(&Checkpoint, &[Checkpoint]) -> bool) -> Result<()> {
        let all = std::mem::take(&mut self.checkpoints);
        let (dropped, kept): (Vec<_>, Vec<_>) = all
            .iter()
            .cloned()
            .partition(|checkpoint| unwanted(checkpoint, &all));
        self.checkpoints = kept;
        dropped
            .iter()
            .try_for_each(|checkpoint| self.remove(checkpoint.path()))
    }

    /// Renames a checkpoint before it is deleted: half of one must never look like a whole one.
    fn remove(&self, path: &Path) -> Result<()> {
        let name = path
            .file_name()
            .unwrap_or(OsStr::new("checkpoint"))
            .to_string_lossy();
        let aside = self.old(&name);
        fs::rename(path, &aside).at(path)?;
        fs::remove_dir_all(&aside).at(&aside)
    }

    /// Where a checkpoint goes that is to be deleted.
    fn old(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{TEMPORARY}old-{name}"))
    }

    /// Removes what interrupted writes and removals have left.
    fn clean(&self) -> Result<()> {
        for path in entries(&self.folder)? {
            if starts_with(&path, TEMPORARY) {
                log::warn!("removed {}, left by an interrupted run", path.display());
                fs::remove_dir_all(&path).at(&path)?;
            }
        }
        Ok(())
    }
}

/// The folders within a folder; none if that doesn't exist.
fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let listing = match fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        listing => listing.at(folder)?,
    };
    let paths: Vec<PathBuf> = listing
        .map(|entry| Ok(entry?.path()))
        .collect::<std::io::Result<_>>()
        .at(folder)?;
    let folder = |path: &PathBuf| path.is_dir() && !path.is_symlink();
    Ok(paths.into_iter().filter(folder).collect())
}

fn starts_with(path: &Path, prefix: &str) -> bool {
    path.file_name()
        .and_then(OsStr::to_str)
        .is_some_and(|name| name.starts_with(prefix))
}
