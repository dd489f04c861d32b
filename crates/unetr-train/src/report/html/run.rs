use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde_json::Value;

use super::status::Status;
use crate::error::At;
use crate::{
    Environment, Error, Evaluation, Gallery, History, HistoryFile, Result, RunFolder, Split, files,
};

/// Everything a run's folder holds, as far as it is there.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) name: String,
    pub(super) config: Option<Value>,
    pub(super) environment: Option<Environment>,
    pub(super) history: History,
    pub(super) evaluation: Option<Evaluation>,
    pub(super) gallery: Option<Gallery>,
    pub(super) status: Status,
}

impl Run {
    /// Reads a folder, and leaves it as it is.
    pub(super) fn open(folder: &Path, name: String, now: SystemTime) -> Result<Self> {
        let run = RunFolder::new(folder);
        if !run.config().exists() && !run.history().exists() {
            return Err(Error::NoRun {
                path: folder.to_owned(),
            });
        }
        let config = if_there(run.config(), |path| files::read_json(&path))?;
        let history = if_there(run.history(), HistoryFile::read)?.unwrap_or_default();
        let written = [run.config(), run.history(), run.evaluation()]
            .iter()
            .filter_map(|file| file.metadata().ok()?.modified().ok())
            .max();
        Ok(Self {
            name,
            status: Status::new(config.as_ref(), &history, written, now),
            config,
            environment: if_there(run.environment(), Environment::read)?,
            history,
            evaluation: if_there(run.evaluation(), Evaluation::read)?,
            // Its index is written last: without it, the first gallery is still being made.
            gallery: if_there(Gallery::index(&run.gallery()), |_| {
                Gallery::read(run.gallery())
            })?,
        })
    }

    /// The split that decides which model is best: validation where it was measured.
    pub(super) fn split(&self) -> Split {
        let measured = |&split: &Split| !self.history.series(split, "mean_iou").is_empty();
        [Split::Validation, Split::Test, Split::Train]
            .into_iter()
            .find(measured)
            .unwrap_or(Split::Validation)
    }
}

/// What is read from a file or folder, if that is there.
fn if_there<T>(path: PathBuf, read: impl FnOnce(PathBuf) -> Result<T>) -> Result<Option<T>> {
    if path.try_exists().at(&path)? {
        read(path).map(Some)
    } else {
        Ok(None)
    }
}

/// What to call runs of these folders: the ends of their paths by which they differ.
pub(super) fn names(folders: &[&Path]) -> Vec<String> {
    let whole: Vec<Vec<String>> = folders
        .iter()
        .map(|folder| {
            let absolute = std::path::absolute(folder).unwrap_or_else(|_| folder.to_path_buf());
            let parts = absolute
                .iter()
                .map(|part| part.to_string_lossy().into_owned());
            parts.filter(|part| part != "/").collect()
        })
        .collect();
    let longest = whole.iter().map(Vec::len).max().unwrap_or(0);
    let ends = |count: usize| -> Vec<String> {
        let end = |parts: &Vec<String>| parts[parts.len().saturating_sub(count)..].join("/");
        whole.iter().map(end).collect()
    };
    (1..=longest)
        .map(ends)
        .find(|names| {
            names
                .iter()
                .enumerate()
                .all(|(index, name)| !names[..index].contains(name))
        })
        .unwrap_or_else(|| ends(longest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_called_by_the_least_that_tells_them_apart() {
        let named = |folders: &[&str]| names(&folders.iter().map(Path::new).collect::<Vec<_>>());
        assert_eq!(named(&["runs/pets/"]), ["pets"]);
        assert_eq!(named(&["runs/a", "runs/b"]), ["a", "b"]);
        assert_eq!(named(&["/x/1/a", "/x/2/a"]), ["1/a", "2/a"]);
        assert_eq!(named(&["/x/a", "/x/a"]), ["x/a", "x/a"]);
    }
}
