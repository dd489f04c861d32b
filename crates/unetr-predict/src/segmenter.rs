use std::borrow::Cow;
use std::sync::Arc;

use candle_core::Device;
use image::RgbImage;
use unetr_data::{Classes, Normalize, resize_image};
use unetr_model::{SegmentationModel, Unetr};

use crate::config::Fit;
use crate::scores::{MapRows, Mean, Network, Photo, Resized, ScoreRows, Sweep, SweepConfig};
use crate::segmentation::predict;
use crate::{Error, Result, Segmentation, SegmenterConfig};

/// A network ready for photos of any size.
///
/// # Examples
/// ```no_run
/// use unetr_data::{ExifOrientation, read_image};
/// use unetr_predict::Segmenter;
///
/// let segmenter = Segmenter::from_pretrained("runs/quickstart/model")?;
/// let photo = read_image("photo.jpg", ExifOrientation::Apply)?;
/// let segmentation = segmenter.segment(&photo)?;
/// segmentation.labels.save("labels.png")?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Segmenter {
    model: Arc<dyn SegmentationModel>,
    device: Device,
    /// Height and width that the network takes.
    window: [usize; 2],
    classes: Classes,
    normalize: Normalize,
    config: SegmenterConfig,
    sweep: SweepConfig,
}

/// A photo as the network sees it.
pub(crate) struct View<'a> {
    photo: Photo<'a>,
}

/// The scores of a photo that takes one window a view.
pub(crate) struct Scored {
    /// Height and width of the photo.
    size: [usize; 2],
    views: Vec<MapRows>,
}

impl std::fmt::Debug for Segmenter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Segmenter")
            .field("device", &self.device)
            .field("window", &self.window)
            .field("classes", &self.classes)
            .field("normalize", &self.normalize)
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

impl Segmenter {
    /// A segmenter of a network with its parameters on `device`, that takes photos of one size, normalised.
    ///
    /// `size` is height and width.
    ///
    /// # Errors
    /// When the size has no pixels.
    pub fn new(
        model: impl SegmentationModel + 'static,
        size: [usize; 2],
        classes: Classes,
        normalize: Normalize,
        device: &Device,
    ) -> Result<Self> {
        if size.contains(&0) {
            return Err(Error::Setting {
                what: "the size that the network takes",
                found: format!("{size:?}"),
                expected: "at least one pixel",
            });
        }
        let config = SegmenterConfig::default();
        Ok(Self {
            model: Arc::new(model),
            device: device.clone(),
            window: size,
            classes,
            normalize,
            sweep: SweepConfig::new(&config.window, size, config.batch_size),
            config,
        })
    }

    /// [`Segmenter::new`] of a UNETR.
    ///
    /// # Errors
    /// When the network takes other than three channels or tells another number of classes.
    pub fn of_unetr(
        model: Unetr,
        classes: Classes,
        normalize: Normalize,
        device: &Device,
    ) -> Result<Self> {
        let cfg = model.config();
        let (channels, size) = (cfg.in_channels, cfg.image_size);
        if channels != 3 {
            return Err(Error::Channels { found: channels });
        }
        if classes.len() != cfg.classes {
            return Err(Error::Classes {
                found: classes.len(),
                expected: cfg.classes,
            });
        }
        Self::new(model, size, classes, normalize, device)
    }

    /// Sets how it works. Of a precision that the device does not compute in, a warning says that it is f32 instead.
    ///
    /// # Errors
    /// When a setting is out of range.
    pub fn with_config(mut self, config: SegmenterConfig) -> Result<Self> {
        config.validate()?;
        let precision = config.precision;
        if !precision.is_supported(&self.device) {
            log::warn!("this device does not compute in {precision}: computing in f32");
        }
        self.sweep = SweepConfig::new(&config.window, self.window, config.batch_size);
        self.config = config;
        Ok(self)
    }

    /// What the classes are called and drawn in.
    pub fn classes(&self) -> &Classes {
        &self.classes
    }

    /// What photos are normalised by.
    pub fn normalize(&self) -> &Normalize {
        &self.normalize
    }

    /// How it works.
    pub fn config(&self) -> &SegmenterConfig {
        &self.config
    }

    /// Height and width that the network takes.
    pub fn size(&self) -> [usize; 2] {
        self.window
    }

    /// The classes of a photo's pixels.
    ///
    /// Beside the photo and the result it takes the memory of the views of the photo and of a strip of their scores,
    /// whatever the photo's size.
    ///
    /// # Errors
    /// When the photo has no pixels or the network cannot be computed.
    pub fn segment(&self, photo: &RgbImage) -> Result<Segmentation> {
        Segmentation::of(&mut self.rows(photo)?, self.config.probabilities)
    }

    /// The classes of several photos, which the network takes together where each is one window to it.
    ///
    /// # Errors
    /// As [`segment`](Self::segment).
    pub fn segment_batch(&self, photos: &[RgbImage]) -> Result<Vec<Segmentation>> {
        let views = photos
            .iter()
            .map(|photo| self.views(photo))
            .collect::<Result<Vec<_>>>()?;
        if !views.iter().flatten().all(|view| self.is_one_window(view)) {
            return photos.iter().map(|photo| self.segment(photo)).collect();
        }
        let sizes = photos.iter().map(size_of);
        let scored = self.score(&sizes.zip(views).collect::<Vec<_>>())?;
        scored
            .into_iter()
            .map(|scored| self.finish(scored))
            .collect()
    }

    /// Gives the classes and confidences of a photo row by row, from the top, and keeps none: for photos of which the
    /// result is too much to hold.
    ///
    /// # Errors
    /// As [`segment`](Self::segment), and what `each_row` says.
    pub fn segment_rows<E: From<Error>>(
        &self,
        photo: &RgbImage,
        mut each_row: impl FnMut(&[u8], &[f32]) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut rows = self.rows(photo)?;
        let [height, width] = rows.size();
        let (mut labels, mut confidence) = (vec![0; width], vec![0.; width]);
        for _ in 0..height {
            predict(&rows.next_row()?, &mut labels, &mut confidence);
            each_row(&labels, &confidence)?;
        }
        Ok(())
    }

    /// The views of a photo, one for every scale.
    pub(crate) fn views<'a>(&'a self, photo: &'a RgbImage) -> Result<Vec<View<'a>>> {
        let size = size_of(photo);
        if size.contains(&0) {
            return Err(Error::NoPixels {
                name: "the photo",
                width: photo.width(),
                height: photo.height(),
            });
        }
        let views = self.config.scales.iter().map(|&scale| {
            let to = self.view_size(size, scale);
            let pixels = match to == size {
                true => Cow::Borrowed(photo),
                false => Cow::Owned(resize_image(photo, to)?),
            };
            let normalize = &self.normalize;
            Ok(View {
                photo: Photo { pixels, normalize },
            })
        });
        views.collect()
    }

    /// The size at which a photo is seen.
    fn view_size(&self, photo: [usize; 2], scale: f64) -> [usize; 2] {
        let fitting = [0, 1].map(|axis| self.window[axis] as f64 / photo[axis] as f64);
        let factors = match self.config.fit {
            Fit::Resize => fitting,
            Fit::Pad => [fitting[0].min(fitting[1]); 2],
            Fit::Window => [1.; 2],
        };
        [0, 1].map(|axis| {
            let length = photo[axis] as f64 * factors[axis] * scale;
            (length.round() as usize).max(1)
        })
    }

    /// A view that needs its photo no longer.
    pub(crate) fn owned<'a>(&'a self, view: View<'_>) -> View<'a> {
        let pixels = Cow::Owned(view.photo.pixels.into_owned());
        let normalize = &self.normalize;
        View {
            photo: Photo { pixels, normalize },
        }
    }

    pub(crate) fn is_one_window(&self, view: &View<'_>) -> bool {
        let size = size_of(&view.photo.pixels);
        size[0] <= self.window[0] && size[1] <= self.window[1]
    }

    /// The scores of photos, of which each view is one window.
    pub(crate) fn score(&self, photos: &[([usize; 2], Vec<View<'_>>)]) -> Result<Vec<Scored>> {
        let [height, width] = self.window;
        let mut views = photos.iter().flat_map(|(_, views)| views);
        let mut maps = Vec::new();
        loop {
            let batch: Vec<_> = views.by_ref().take(self.config.batch_size).collect();
            if batch.is_empty() {
                break;
            }
            let mut windows = vec![0.; batch.len() * 3 * height * width];
            let margins: Vec<_> = windows
                .chunks_exact_mut(3 * height * width)
                .zip(&batch)
                .map(|(window, view)| view.photo.write_centred(self.window, window))
                .collect();
            let scored = self.network().score(windows, batch.len())?;
            let scores = scored.scores.chunks_exact(scored.classes * height * width);
            for ((scores, view), before) in scores.zip(batch).zip(margins) {
                let size = size_of(&view.photo.pixels);
                maps.push(MapRows::new(scores.to_vec(), self.window, before, size));
            }
        }
        let mut maps = maps.into_iter();
        let scored = photos.iter().map(|(size, views)| Scored {
            size: *size,
            views: maps.by_ref().take(views.len()).collect(),
        });
        Ok(scored.collect())
    }

    /// What the scores of a photo say at its own size.
    pub(crate) fn finish(&self, Scored { size, views }: Scored) -> Result<Segmentation> {
        let views = views
            .into_iter()
            .map(|view| Box::new(Resized::new(view, size)) as _);
        Segmentation::of(&mut Mean(views.collect()), self.config.probabilities)
    }

    /// The scores of a photo, row by row.
    fn rows<'a>(&'a self, photo: &'a RgbImage) -> Result<Mean<'a>> {
        let size = size_of(photo);
        let rows = self.views(photo)?.into_iter().map(|view| {
            let sweep = Sweep::new(self.network(), Box::new(view.photo), self.sweep.clone());
            Box::new(Resized::new(sweep, size)) as _
        });
        Ok(Mean(rows.collect()))
    }

    fn network(&self) -> Network<'_> {
        Network {
            model: &*self.model,
            device: &self.device,
            window: self.window,
            classes: Some(self.classes.len()),
            flips: self.config.flips,
            precision: Some(self.config.precision),
        }
    }
}

/// Height and width.
pub(crate) fn size_of(photo: &RgbImage) -> [usize; 2] {
    [photo.height() as usize, photo.width() as usize]
}
