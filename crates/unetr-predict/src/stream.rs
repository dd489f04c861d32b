use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use image::RgbImage;
use serde::{Deserialize, Serialize};

use crate::segmenter::{Scored, View, size_of};
use crate::{Error, Result, Segmentation, Segmenter};

/// How many threads work beside the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StreamConfig {
    /// Threads that read photos and prepare them; 2 by default.
    pub readers: usize,
    /// Threads that bring scores to a photo's size and write; 2 by default.
    pub writers: usize,
}

impl Default for StreamConfig {
    fn default() -> Self {
        Self {
            readers: 2,
            writers: 2,
        }
    }
}

/// A photo that waits for the network.
enum Read<'a> {
    /// Every view of it is one window.
    Windows(RgbImage, Vec<View<'a>>),
    /// It is larger.
    Large(RgbImage),
}

/// A photo that waits to be written.
enum Predicted<E> {
    Windows(RgbImage, Scored),
    Large(RgbImage, Result<Segmentation>),
    Failed(E),
}

impl Segmenter {
    /// Segments photos one after the other, while others are read and written: in threads, with the network in this
    /// one, which takes several photos at once where they are there.
    ///
    /// `read` makes a photo of an item, and `write` takes what became of it; what `read` said if it failed. Photos are
    /// written in no certain order. No more than some batches of them are in memory.
    ///
    /// # Errors
    /// When the network cannot be computed, which ends the stream, or when there are no threads.
    ///
    /// # Panics
    /// When `read` or `write` does.
    ///
    /// # Examples
    /// ```no_run
    /// use unetr_data::{ExifOrientation, read_image};
    /// use unetr_predict::{Error, Segmenter, StreamConfig, find_photos};
    ///
    /// let segmenter = Segmenter::from_pretrained("runs/quickstart/model")?;
    /// let photos = find_photos(["holiday/"])?;
    /// segmenter.segment_stream(
    ///     photos,
    ///     StreamConfig::default(),
    ///     |path| Ok::<_, Error>(read_image(path, ExifOrientation::Apply)?),
    ///     |path, result| match result {
    ///         Ok((_, segmentation)) => println!("{}: {:?}", path.display(), segmentation.areas(3)),
    ///         Err(error) => eprintln!("{error}"),
    ///     },
    /// )?;
    /// # Ok::<(), unetr_predict::Error>(())
    /// ```
    pub fn segment_stream<T: Send, E: From<Error> + Send>(
        &self,
        items: impl IntoIterator<Item = T, IntoIter: Send>,
        config: StreamConfig,
        read: impl Fn(&T) -> Result<RgbImage, E> + Sync,
        write: impl Fn(T, Result<(RgbImage, Segmentation), E>) + Sync,
    ) -> Result<()> {
        if config.readers == 0 || config.writers == 0 {
            return Err(Error::Setting {
                what: "the number of reading and writing threads",
                found: format!("{} and {}", config.readers, config.writers),
                expected: "at least 1 of each",
            });
        }
        let items = Mutex::new(items.into_iter());
        let waiting = 2 * self.config().batch_size;
        let (to_network, photos) = sync_channel(waiting);
        let (to_writers, predictions) = sync_channel(waiting);
        let predictions = Arc::new(Mutex::new(predictions));
        let (items, read, write) = (&items, &read, &write);
        thread::scope(|scope| {
            for _ in 0..config.readers {
                let to_network: SyncSender<(T, Result<Read<'_>, E>)> = to_network.clone();
                scope.spawn(move || {
                    while let Some(item) = next(items) {
                        let photo = read(&item).and_then(|photo| Ok(self.prepare(photo)?));
                        if to_network.send((item, photo)).is_err() {
                            break;
                        }
                    }
                });
            }
            // The readers have theirs.
            drop(to_network);
            for _ in 0..config.writers {
                let predictions = Arc::clone(&predictions);
                scope.spawn(move || {
                    while let Some((item, predicted)) = receive(&predictions) {
                        write(item, self.complete(predicted));
                    }
                });
            }
            // Only writers receive: where they have panicked, nothing waits for them.
            drop(predictions);
            let predicted = self.predict_all(&photos, &to_writers);
            // Readers and writers end with their channels.
            drop((photos, to_writers));
            predicted
        })
    }

    /// What the network does, until there are no more photos or no one takes them.
    fn predict_all<T, E>(
        &self,
        photos: &Receiver<(T, Result<Read<'_>, E>)>,
        to_writers: &SyncSender<(T, Predicted<E>)>,
    ) -> Result<()> {
        while let Ok(first) = photos.recv() {
            let batch = std::iter::once(first).chain(photos.try_iter());
            let (mut windows, mut together) = (Vec::new(), Vec::new());
            for (item, photo) in batch.take(self.config().batch_size) {
                let predicted = match photo {
                    Ok(Read::Windows(photo, views)) => {
                        windows.push((size_of(&photo), views));
                        together.push((item, photo));
                        continue;
                    }
                    Ok(Read::Large(photo)) => {
                        let segmentation = self.segment(&photo);
                        Predicted::Large(photo, segmentation)
                    }
                    Err(error) => Predicted::Failed(error),
                };
                if to_writers.send((item, predicted)).is_err() {
                    return Ok(());
                }
            }
            for ((item, photo), scored) in together.into_iter().zip(self.score(&windows)?) {
                if to_writers
                    .send((item, Predicted::Windows(photo, scored)))
                    .is_err()
                {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn prepare(&self, photo: RgbImage) -> Result<Read<'_>> {
        let views = self.views(&photo)?;
        if !views.iter().all(|view| self.is_one_window(view)) {
            return Ok(Read::Large(photo));
        }
        let views = views.into_iter().map(|view| self.owned(view)).collect();
        Ok(Read::Windows(photo, views))
    }

    fn complete<E: From<Error>>(
        &self,
        predicted: Predicted<E>,
    ) -> Result<(RgbImage, Segmentation), E> {
        match predicted {
            Predicted::Windows(photo, scored) => Ok((photo, self.finish(scored)?)),
            Predicted::Large(photo, segmentation) => Ok((photo, segmentation?)),
            Predicted::Failed(error) => Err(error),
        }
    }
}

fn next<T>(items: &Mutex<impl Iterator<Item = T>>) -> Option<T> {
    items.lock().unwrap_or_else(PoisonError::into_inner).next()
}

fn receive<T>(from: &Mutex<Receiver<T>>) -> Option<T> {
    from.lock()
        .unwrap_or_else(PoisonError::into_inner)
        .recv()
        .ok()
}
