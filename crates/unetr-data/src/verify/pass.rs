use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use image::RgbImage;
use serde::{Deserialize, Serialize};

use super::report::{Problem, Verification};
use super::tally::{Histogram, Tally, histogram};
use crate::panic::guarded;
use crate::{Classes, Dataset, Image};

/// How [`verify`] reads a data set.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct VerifyConfig {
    /// How many threads read; as many as the machine runs at once if 0, the default.
    pub threads: usize,
    /// The classes, which give names to the values of masks; other values, but for 255, are then
    /// problems. None by default.
    pub classes: Option<Classes>,
}

/// Reads every sample of a data set once, lists what is wrong and counts what is there.
///
/// A sample that can't be read, has no pixels or a mask of another size or of values without a class,
/// or whose reading panics is a [`Problem`] and plays no part in the
/// [`Statistics`](crate::Statistics). Its further masks are not counted.
///
/// # Examples
/// ```no_run
/// use unetr_data::{Normalize, OxfordPets, VerifyConfig, verify};
///
/// let pets = OxfordPets::open("data/oxford_pets")?;
/// let cfg = VerifyConfig { classes: Some(OxfordPets::classes()), ..VerifyConfig::default() };
/// let verification = verify(&pets, &cfg);
/// println!("{verification}");
/// assert!(verification.problems.is_empty());
/// if let Some(statistics) = verification.statistics {
///     let normalize = Normalize {
///         mean: statistics.mean.map(|mean| mean as f32),
///         std: statistics.std.map(|std| std as f32),
///     };
/// }
/// # Ok::<(), unetr_data::Error>(())
/// ```
pub fn verify(dataset: &dyn Dataset, cfg: &VerifyConfig) -> Verification {
    let len = dataset.len();
    let threads = match cfg.threads {
        0 => thread::available_parallelism().map_or(1, usize::from),
        threads => threads,
    };
    let next = AtomicUsize::new(0);
    let work = || {
        let mut tally = Tally::default();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= len {
                return tally;
            }
            match read(dataset, index, cfg.classes.as_ref()) {
                Ok((photo, values)) => tally.count(&photo, &values),
                Err(error) => tally.problems.push(Problem {
                    index,
                    name: guarded(|| dataset.name(index)).unwrap_or("of unknown name".into()),
                    error,
                }),
            }
        }
    };
    let tally = thread::scope(|scope| {
        // Fewer when the system refuses more; this thread works too.
        let others = (1..threads.min(len)).map_while(|i| {
            let builder = thread::Builder::new().name(format!("unetr-data verify {i}"));
            builder.spawn_scoped(scope, work).ok()
        });
        let others: Vec<_> = others.collect();
        others.into_iter().fold(work(), |tally, other| {
            tally.and(other.join().unwrap_or_else(|panic| resume_unwind(panic)))
        })
    });
    tally.report(len, cfg.classes.as_ref())
}

/// A sample's photo and how often its mask has each value; what is wrong with it otherwise.
fn read(
    dataset: &dyn Dataset,
    index: usize,
    classes: Option<&Classes>,
) -> Result<(RgbImage, Histogram), String> {
    let sample = guarded(|| dataset.get(index))
        .map_err(|message| format!("the dataset panicked: {message}"))?
        .map_err(|error| error.to_string())?;
    sample.size().map_err(|error| error.to_string())?;
    let Image::U8(photo) = sample.image else {
        return Err(
            "the photo is normalised; expected 8-bit pixels, as before all transforms".into(),
        );
    };
    let values = histogram(sample.mask.iter());
    if let Some(classes) = classes {
        let is_stray =
            |value: &u8| usize::from(*value) >= classes.len() && *value != Classes::IGNORED;
        let stray = (0..=u8::MAX).find(|value| values[usize::from(*value)] > 0 && is_stray(value));
        if let Some(value) = stray {
            let (pixels, last) = (values[usize::from(value)], classes.len() - 1);
            return Err(format!(
                "{pixels} pixels of the mask have the value {value}; expected 0 to {last}, or 255 to be ignored"
            ));
        }
    }
    Ok((photo, values))
}
