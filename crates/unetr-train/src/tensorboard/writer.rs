use std::fs::{self, File};
use std::io::{BufWriter, Cursor, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use image::{ImageFormat, RgbImage};
use prost::Message as _;

use super::proto::{Content, Event, Image, SessionLog, Summary, Value, What};
use super::record;
use crate::Result;
use crate::error::At;

/// How old what is not yet in the file may become.
const FLUSH_EVERY: Duration = Duration::from_secs(10);
const SESSION_START: i32 = 1;

/// Writes an event file for TensorBoard.
///
/// What is written goes through a buffer, which is flushed every ten seconds while something is written,
/// by [`flush`](Self::flush), and when the writer is dropped.
///
/// # Examples
/// ```
/// use unetr_train::EventWriter;
///
/// let folder = tempfile::tempdir()?;
/// let mut events = EventWriter::create(folder.path(), 0)?;
/// for step in 1..=3 {
///     events.scalars(step, [("loss", 1. / step as f64), ("lr", 0.1)])?;
/// }
/// events.flush()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct EventWriter {
    path: PathBuf,
    file: BufWriter<File>,
    flushed: Instant,
}

impl EventWriter {
    /// A new file in a folder, which is created if it is not there, for a run that has made
    /// `first_step` updates: what other files of the folder say of later ones is dropped by TensorBoard,
    /// so that the updates of a resumed run are there once.
    ///
    /// # Errors
    /// When folder or file cannot be created or written.
    pub fn create(folder: impl AsRef<Path>, first_step: u64) -> Result<Self> {
        let folder = folder.as_ref();
        fs::create_dir_all(folder).at(folder)?;
        let (path, file) = create_file(folder)?;
        let mut writer = Self {
            path,
            file: BufWriter::new(file),
            flushed: Instant::now(),
        };
        let purge = first_step + 1;
        writer.event(purge, What::FileVersion("brain.Event:2".to_owned()))?;
        writer.event(
            purge,
            What::SessionLog(SessionLog {
                status: SESSION_START,
            }),
        )?;
        writer.flush()?;
        Ok(writer)
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Numbers by name, after so many updates; `a/b` is shown in the group `a`. TensorBoard keeps them
    /// in f32.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn scalars<T: Into<String>>(
        &mut self,
        step: u64,
        values: impl IntoIterator<Item = (T, f64)>,
    ) -> Result<()> {
        let values = values.into_iter().map(|(tag, value)| Value {
            tag: tag.into(),
            content: Some(Content::Scalar(value as f32)),
        });
        let values = values.collect();
        self.event(step, What::Summary(Summary { values }))
    }

    /// A picture by name, after so many updates.
    ///
    /// # Errors
    /// When the picture is empty or the file cannot be written.
    pub fn image(&mut self, step: u64, tag: impl Into<String>, image: &RgbImage) -> Result<()> {
        let mut png = Cursor::new(Vec::new());
        let encoded = image.write_to(&mut png, ImageFormat::Png);
        encoded.map_err(std::io::Error::other).at(&self.path)?;
        let content = Content::Image(Image {
            height: image.height() as i32,
            width: image.width() as i32,
            colorspace: 3,
            encoded: png.into_inner(),
        });
        let value = Value {
            tag: tag.into(),
            content: Some(content),
        };
        let values = vec![value];
        self.event(step, What::Summary(Summary { values }))
    }

    /// Puts all that was written into the file.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn flush(&mut self) -> Result<()> {
        self.flushed = Instant::now();
        self.file.flush().at(&self.path)
    }

    fn event(&mut self, step: u64, what: What) -> Result<()> {
        let event = Event {
            wall_time: now().as_secs_f64(),
            step: step as i64,
            what: Some(what),
        };
        record::write(&mut self.file, &event.encode_to_vec()).at(&self.path)?;
        if self.flushed.elapsed() >= FLUSH_EVERY {
            self.flush()?;
        }
        Ok(())
    }
}

fn now() -> Duration {
    // A clock before 1970 is no reason to stop a run.
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}

/// A file whose name comes after those of all others in the folder: TensorBoard reads them in the order
/// of their names.
fn create_file(folder: &Path) -> Result<(PathBuf, File)> {
    let mut seconds = now().as_secs();
    for entry in fs::read_dir(folder).at(folder)? {
        let name = entry.at(folder)?.file_name();
        let other = name
            .to_string_lossy()
            .split('.')
            .nth(3)
            .map(str::parse::<u64>);
        if let Some(Ok(other)) = other {
            seconds = seconds.max(1 + other);
        }
    }
    let path = folder.join(format!(
        "events.out.tfevents.{seconds:010}.unetr.{}",
        std::process::id()
    ));
    let file = File::create_new(&path).at(&path)?;
    Ok((path, file))
}
