use std::path::PathBuf;

use image::RgbImage;

use super::EventWriter;
use crate::error::At;
use crate::{Callback, Plan, Record, Result, StepReport};

/// Draws pictures after an epoch.
type Draw<'a> = Box<dyn FnMut(&Record) -> Result<Vec<(String, RgbImage)>> + 'a>;

/// Writes what happens in a run into event files for TensorBoard.
///
/// Over the updates made, it writes the loss and its parts, learning rate and speed of every update whose
/// loss was read as `step/…`, the metrics of every epoch as `train/…` and `validation/…`, its speed as
/// `epoch/…`, and [`images`](Self::images). Every start has a file of its own; one that goes on from a
/// checkpoint takes the place of what was written after it. A file that cannot be written any more is
/// left with a warning, and the run goes on.
///
/// # Examples
/// ```no_run
/// # use unetr_train::{TensorBoard, Trainer};
/// # fn run(trainer: Trainer<'_>) -> Result<(), Box<dyn std::error::Error>> {
/// let trainer = trainer.callback(TensorBoard::create("runs/pets/tensorboard")?);
/// # Ok(())
/// # }
/// ```
pub struct TensorBoard<'a> {
    folder: PathBuf,
    events: Option<EventWriter>,
    draw: Option<Draw<'a>>,
}

impl std::fmt::Debug for TensorBoard<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TensorBoard")
            .field("folder", &self.folder)
            .field("events", &self.events)
            .finish_non_exhaustive()
    }
}

impl<'a> TensorBoard<'a> {
    /// Writes into a folder, which is created if it is not there.
    ///
    /// # Errors
    /// When the folder cannot be created.
    pub fn create(folder: impl Into<PathBuf>) -> Result<Self> {
        let folder = folder.into();
        std::fs::create_dir_all(&folder).at(&folder)?;
        Ok(Self {
            folder,
            events: None,
            draw: None,
        })
    }

    /// Writes pictures by name after every epoch: [`draw_predictions`](crate::draw_predictions) of some
    /// samples, say, in those epochs that were evaluated.
    #[must_use]
    pub fn images(
        mut self,
        draw: impl FnMut(&Record) -> Result<Vec<(String, RgbImage)>> + 'a,
    ) -> Self {
        self.draw = Some(Box::new(draw));
        self
    }

    /// Writes, if the file can still be written.
    fn write(&mut self, write: impl FnOnce(&mut EventWriter) -> Result<()>) {
        let Some(events) = &mut self.events else {
            return;
        };
        if let Err(error) = write(events) {
            log::warn!("{error}; nothing more is written for TensorBoard");
            self.events = None;
        }
    }
}

impl Callback for TensorBoard<'_> {
    fn on_start(&mut self, plan: &Plan) {
        match EventWriter::create(&self.folder, plan.first_step) {
            Ok(events) => self.events = Some(events),
            Err(error) => log::warn!("{error}; nothing is written for TensorBoard"),
        }
    }

    fn on_step(&mut self, report: &StepReport) {
        self.write(|events| events.scalars(report.step, step_scalars(report)));
    }

    fn on_epoch(&mut self, record: &Record) {
        let images = match &mut self.draw {
            Some(draw) => draw(record).unwrap_or_else(|error| {
                log::warn!("no pictures for TensorBoard: {error}");
                Vec::new()
            }),
            None => Vec::new(),
        };
        self.write(|events| {
            events.scalars(record.step, epoch_scalars(record))?;
            for (name, image) in &images {
                events.image(record.step, name, image)?;
            }
            events.flush()
        });
    }

    fn on_end(&mut self) {
        self.write(EventWriter::flush);
        self.events = None;
    }
}

fn step_scalars(report: &StepReport) -> Vec<(String, f64)> {
    let parts = report.parts.iter();
    let parts = parts.map(|(name, part)| (format!("step/{name}"), *part));
    let norm = report.gradient_norm;
    let norm = norm.map(|norm| ("step/gradient_norm".to_owned(), norm));
    let memory = report.memory;
    let memory = memory.map(|bytes| ("step/memory_gb".to_owned(), bytes as f64 / 1e9));
    [
        ("step/loss", report.loss),
        ("step/learning_rate", report.learning_rate),
        ("step/images_per_second", report.images_per_second),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into_iter()
    .chain(parts)
    .chain(norm)
    .chain(memory)
    .collect()
}

fn epoch_scalars(record: &Record) -> Vec<(String, f64)> {
    [
        ("epoch/learning_rate", record.lr),
        ("epoch/images_per_second", record.images_per_second),
        ("epoch/seconds", record.seconds),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into_iter()
    .chain(record.flat_metrics())
    .collect()
}
