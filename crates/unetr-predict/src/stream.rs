use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use image::RgbImage;
use serde::{Deserialize, Serialize};

use crate::room::{Room, Taken};
use crate::segmenter::{Scored, View, size_of};
use crate::{Error, Result, Segmentation, Segmenter};

/// How many threads work beside the network, and how many pixels they hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StreamConfig {
    /// Threads that read photos and prepare them; 2 by default.
    pub readers: usize,
    /// Threads that bring scores to a photo's size and write; 2 by default.
    pub writers: usize,
    /// The most pixels of all photos that have been read and are not yet written, 128 million by default. A pixel takes 3
    /// bytes as read and 5 more with its class and confidence, 4 for each class with
    /// [`Probabilities::All`](crate::Probabilities::All), and what writing takes. A larger photo than this goes alone.
    pub max_pixels: usize,
}

impl Default for StreamConfig {
    fn default() -> Self {
        Self {
            readers: 2,
            writers: 2,
            max_pixels: 128_000_000,
        }
    }
}

/// A photo that waits for the network.
enum Read<'a> {
    /// Every view of it is one window.
    Windows(Held<'a>, Vec<View<'a>>),
    /// It is larger.
    Large(Held<'a>),
}

/// A photo that waits to be written.
enum Predicted<'a, E> {
    Windows(Held<'a>, Scored),
    Large(Held<'a>, Result<Segmentation>),
    Failed(E),
}

/// A photo with the room it takes.
struct Held<'a> {
    image: RgbImage,
    taken: Taken<'a>,
}

impl Segmenter {
    /// Segments photos one after the other, while others are read and written: in threads, with the network in this
    /// one, which takes several photos at once where they are there.
    ///
    /// `read` makes a photo of an item, and `write` takes what became of it; what `read` said if it failed. Photos are
    /// written in no certain order. In memory are no more than [`StreamConfig::max_pixels`] and five batches of them, and
    /// one more for each thread.
    ///
    /// # Errors
    /// When the network cannot be computed, which ends the stream, or when there are no threads. What fails for a photo
    /// that takes several windows is told to `write`.
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
        let room = Room::new(config.max_pixels);
        let waiting = 2 * self.config().batch_size;
        let (to_network, photos) = sync_channel(waiting);
        let (to_writers, predictions) = sync_channel(waiting);
        let predictions = Arc::new(Mutex::new(predictions));
        let (items, room, read, write) = (&items, &room, &read, &write);
        thread::scope(|scope| {
            for _ in 0..config.readers {
                let to_network: SyncSender<(T, Result<Read<'_>, E>)> = to_network.clone();
                scope.spawn(move || {
                    while let Some(item) = next(items) {
                        let photo = read(&item).and_then(|photo| {
                            let taken = room.take(photo.width() as usize * photo.height() as usize);
                            Ok(self.prepare(photo, taken)?)
                        });
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
                        let (result, _taken) = self.complete(predicted);
                        write(item, result);
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
    fn predict_all<'a, T, E>(
        &self,
        photos: &Receiver<(T, Result<Read<'a>, E>)>,
        to_writers: &SyncSender<(T, Predicted<'a, E>)>,
    ) -> Result<()> {
        while let Ok(first) = photos.recv() {
            let batch = std::iter::once(first).chain(photos.try_iter());
            let (mut windows, mut together) = (Vec::new(), Vec::new());
            for (item, photo) in batch.take(self.config().batch_size) {
                let predicted = match photo {
                    Ok(Read::Windows(photo, views)) => {
                        windows.push((size_of(&photo.image), views));
                        together.push((item, photo));
                        continue;
                    }
                    Ok(Read::Large(photo)) => {
                        let segmentation = self.segment(&photo.image);
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

    fn prepare<'a>(&'a self, image: RgbImage, taken: Taken<'a>) -> Result<Read<'a>> {
        let views = self.views(&image)?;
        if !views.iter().all(|view| self.is_one_window(view)) {
            return Ok(Read::Large(Held { image, taken }));
        }
        let views = views.into_iter().map(|view| self.owned(view)).collect();
        Ok(Read::Windows(Held { image, taken }, views))
    }

    /// What is written, and the room it takes until then.
    fn complete<'a, E: From<Error>>(
        &self,
        predicted: Predicted<'a, E>,
    ) -> (Result<(RgbImage, Segmentation), E>, Option<Taken<'a>>) {
        let (photo, segmentation) = match predicted {
            Predicted::Windows(photo, scored) => (photo, self.finish(scored)),
            Predicted::Large(photo, segmentation) => (photo, segmentation),
            Predicted::Failed(error) => return (Err(error), None),
        };
        let Held { image, taken } = photo;
        let result = segmentation.map(|segmentation| (image, segmentation));
        (result.map_err(E::from), Some(taken))
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
