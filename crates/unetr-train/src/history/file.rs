use std::fs::{File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::{History, Record};
use crate::error::At;
use crate::{Error, Result, files};

/// A history on disk: `history.jsonl`, one record per line, appended and flushed at once.
///
/// A crash can tear the last line only. It is dropped, with a warning in the log, when the file is
/// opened again. Numbers that are not finite are the strings `"NaN"`, `"inf"` and `"-inf"`.
#[derive(Debug)]
pub struct HistoryFile {
    path: PathBuf,
    file: File,
    history: History,
}

impl HistoryFile {
    /// Opens a history to append to it, and makes it and its folder if there is none.
    ///
    /// # Errors
    /// When the file can't be opened, or when a line other than the last is not a record.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).at(folder)?;
        }
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .at(&path)?;
        let text = std::fs::read(&path).at(&path)?;
        let (history, intact) = parse(&text, &path)?;
        if intact < text.len() {
            log::warn!("{}: dropped a torn last line", path.display());
            file.set_len(intact as u64).at(&path)?;
        }
        file.seek(SeekFrom::End(0)).at(&path)?;
        Ok(Self {
            path,
            file,
            history,
        })
    }

    /// Reads a history and leaves the file as it is.
    ///
    /// # Errors
    /// When the file can't be read, or when a line other than the last is not a record.
    pub fn read(path: impl AsRef<Path>) -> Result<History> {
        let path = path.as_ref();
        let text = std::fs::read(path).at(path)?;
        let (history, intact) = parse(&text, path)?;
        if intact < text.len() {
            log::warn!("{}: ignored a torn last line", path.display());
        }
        Ok(history)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The records so far.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// Adds a record, as [`History::push`] does, and writes it through to the disk.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn append(&mut self, record: Record) -> Result<()> {
        if self.history.ends_with(&record) {
            let mut history = self.history.clone();
            history.push(record);
            return self.replace(history);
        }
        self.file
            .write_all(&line(&record, &self.path)?)
            .at(&self.path)?;
        self.file.sync_data().at(&self.path)?;
        self.history.push(record);
        Ok(())
    }

    /// Begins a history without records. One that is there, but has no checkpoint to go on from, is kept beside it.
    pub(crate) fn begin_anew(&mut self) -> Result<()> {
        if self.history.last().is_none() {
            return Ok(());
        }
        let beside = (1..).map(|n| self.path.with_extension(format!("{n}.jsonl")));
        let mut free = beside.filter(|path| !path.exists());
        if let Some(place) = free.next() {
            std::fs::rename(&self.path, &place).at(&place)?;
            log::warn!(
                "no checkpoint to go on from: training begins anew, and the history so far is in {}",
                place.display()
            );
        }
        *self = Self::open(&self.path)?;
        Ok(())
    }

    /// Drops all records after `step`, from which training is about to be resumed.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn rewind(&mut self, step: u64) -> Result<()> {
        let mut kept = self.history.clone();
        kept.rewind(step);
        if kept == self.history {
            return Ok(());
        }
        self.replace(kept)
    }

    /// Writes a history in place of the one that is there.
    fn replace(&mut self, history: History) -> Result<()> {
        let mut lines = Vec::new();
        for record in history.records() {
            lines.extend(line(record, &self.path)?);
        }
        files::write_whole(&self.path, &lines)?;
        let mut options = OpenOptions::new();
        self.file = options.append(true).open(&self.path).at(&self.path)?;
        self.history = history;
        Ok(())
    }
}

fn line(record: &Record, path: &Path) -> Result<Vec<u8>> {
    let mut line = serde_json::to_vec(record).at(path)?;
    line.push(b'\n');
    Ok(line)
}

/// The records of a file and the length of its intact part. A line is intact when it ends.
fn parse(text: &[u8], path: &Path) -> Result<(History, usize)> {
    let mut history = History::default();
    let mut intact = 0;
    for (index, line) in text.split_inclusive(|&byte| byte == b'\n').enumerate() {
        if !line.ends_with(b"\n") {
            break;
        }
        intact += line.len();
        if line.trim_ascii().is_empty() {
            continue;
        }
        let record = serde_json::from_slice(line).map_err(|source| Error::Record {
            path: path.to_owned(),
            line: index + 1,
            source,
        })?;
        history.push(record);
    }
    Ok((history, intact))
}
