use image::{GrayImage, RgbImage};

use super::geometry::{Fill, Geometry, Region, Step};
use super::pixels::{into_u8, planes};
use super::{Normalize, sample_at};
use crate::{Error, Image, Planes, Result, Sample};

/// A sample on its way through a pipeline.
///
/// What geometric transforms, changes of colour and the normalisation do is noted here, put together, and done in one
/// pass over the pixels of the result; [`sample`](Self::sample) does what is noted so far. So a rotation, a crop and a
/// mirror image cost as much as one of them, and interpolate once. Where putting two together would show something
/// else than the one after the other, the first is done before the second is noted.
///
/// # Examples
/// One's own transform:
/// ```
/// use unetr_data::{Canvas, Image, Result, SampleRng, Transform};
///
/// /// Makes the photo a negative.
/// #[derive(Debug)]
/// struct Negative;
///
/// impl Transform for Negative {
///     fn draw(&self, canvas: &mut Canvas, _: &mut SampleRng) -> Result<()> {
///         if let Image::U8(pixels) = &mut canvas.sample()?.image {
///             pixels.iter_mut().for_each(|value| *value = 255 - *value);
///         }
///         Ok(())
///     }
/// }
/// ```
#[derive(Debug)]
pub struct Canvas {
    sample: Sample,
    geometry: Option<Geometry>,
    colours: Option<Box<Tables>>,
    normalize: Option<Normalize>,
}

/// What each value of each channel becomes.
type Tables = [[u8; 256]; 3];

impl Canvas {
    /// A sample to which nothing has been done.
    ///
    /// # Errors
    /// When the mask has another size than the photo, or there are no pixels.
    pub fn new(sample: Sample) -> Result<Self> {
        sample.size()?;
        Ok(Self {
            sample,
            geometry: None,
            colours: None,
            normalize: None,
        })
    }

    /// Does something to a sample.
    pub(crate) fn with(
        sample: Sample,
        change: impl FnOnce(&mut Self) -> Result<()>,
    ) -> Result<Sample> {
        let mut canvas = Self::new(sample)?;
        change(&mut canvas)?;
        canvas.finish()
    }

    /// Height and width of what the sample is by now.
    ///
    /// # Errors
    /// When someone gave the mask another size than the photo, or no pixels.
    pub fn size(&self) -> Result<[usize; 2]> {
        match &self.geometry {
            Some(geometry) => Ok(geometry.size()),
            None => self.sample.size(),
        }
    }

    /// The sample as it is by now.
    ///
    /// # Errors
    /// As [`size`](Self::size).
    pub fn sample(&mut self) -> Result<&mut Sample> {
        self.flush()?;
        Ok(&mut self.sample)
    }

    /// The sample at the end of the pipeline.
    ///
    /// # Errors
    /// As [`size`](Self::size).
    pub fn finish(mut self) -> Result<Sample> {
        self.flush()?;
        Ok(self.sample)
    }

    /// As [`finish`](Self::finish), but a normalisation at the end is left to the caller: bytes are a quarter of the
    /// floats.
    pub(crate) fn finish_in_bytes(mut self) -> Result<(Sample, Option<Normalize>)> {
        let normalize = self.normalize.take();
        Ok((self.finish()?, normalize))
    }

    /// The photo's 8-bit pixels and the masks, for a transform that changes values and no sizes.
    pub(super) fn pixels(
        &mut self,
        transform: &'static str,
    ) -> Result<(&mut RgbImage, impl Iterator<Item = &mut GrayImage>)> {
        self.require_u8(transform)?;
        self.flush()?;
        let Sample {
            image,
            mask,
            extra_masks,
            ..
        } = &mut self.sample;
        match image {
            Image::U8(pixels) => Ok((pixels, std::iter::once(mask).chain(extra_masks))),
            Image::F32(_) => Err(Error::AfterNormalize { transform }),
        }
    }

    /// Notes a geometric step.
    pub(super) fn geometry(&mut self, transform: &'static str, step: Step) -> Result<()> {
        self.require_u8(transform)?;
        if self.colours.is_some() {
            // Interpolation comes after the change of colours.
            self.flush()?;
        }
        let geometry = match self.geometry {
            Some(geometry) => geometry,
            None => Geometry::whole(self.sample.size()?),
        };
        self.geometry = geometry.then(step);
        if self.geometry.is_none() {
            self.geometry = Some(geometry);
            self.flush()?;
            // Nothing stands in the way of a first step.
            self.geometry = Geometry::whole(self.sample.size()?).then(step);
            debug_assert!(self.geometry.is_some(), "{transform}: {step:?} is lost");
        }
        Ok(())
    }

    /// Moves every pixel by a field that can't be put together with anything: `row` says where the pixels of a row come
    /// from. Beyond the image there is its outermost pixel.
    pub(super) fn displace<R: Iterator<Item = [f64; 2]>>(
        &mut self,
        transform: &'static str,
        row: impl Fn(usize) -> R,
    ) -> Result<()> {
        let size = self.size()?;
        let frame = Region::whole(size);
        let [bottom, right] = size.map(|length| length as f64 - 1.0);
        let row = |y| row(y).map(move |[x, y]| [x.clamp(0.0, right), y.clamp(0.0, bottom)]);
        // Neither of them is seen.
        let Fill { colour, class } = Fill::default();
        let (pixels, masks) = self.pixels(transform)?;
        let mut moved = RgbImage::new(pixels.width(), pixels.height());
        let (rows, _) = moved.as_chunks_mut::<3>();
        sample_at::bilinear(pixels, frame, colour, size, row, |y, row| {
            rows[y * size[1]..][..size[1]].copy_from_slice(row);
        });
        *pixels = moved;
        for mask in masks {
            *mask = sample_at::nearest(mask, frame, class, size, row);
        }
        Ok(())
    }

    /// Notes what becomes of each value of each channel.
    pub(super) fn colours(
        &mut self,
        transform: &'static str,
        change: impl Fn(usize, u8) -> u8,
    ) -> Result<()> {
        self.require_u8(transform)?;
        self.colours = Some(table(self.colours.take().as_deref(), change));
        Ok(())
    }

    /// Notes the normalisation.
    pub(crate) fn normalize(&mut self, normalize: &Normalize) -> Result<()> {
        self.require_u8("Normalize")?;
        self.normalize = Some(normalize.clone());
        Ok(())
    }

    fn require_u8(&self, transform: &'static str) -> Result<()> {
        match self.sample.image {
            Image::U8(_) if self.normalize.is_none() => Ok(()),
            _ => Err(Error::AfterNormalize { transform }),
        }
    }

    /// Does what is noted.
    fn flush(&mut self) -> Result<()> {
        let geometry = self.geometry.take();
        let (colours, normalize) = (self.colours.take(), self.normalize.take());
        if geometry.is_none() && colours.is_none() && normalize.is_none() {
            return self.sample.size().map(drop);
        }
        self.sample.size()?;
        let image = std::mem::replace(&mut self.sample.image, Image::U8(RgbImage::new(0, 0)));
        let mut pixels = into_u8(image, "Canvas")?;
        if let Some(geometry) = geometry {
            pixels = to_pixels(&geometry, &pixels, colours.as_deref());
        } else if let Some(colours) = colours {
            let (rgb, _) = pixels.as_chunks_mut::<3>();
            rgb.iter_mut()
                .for_each(|pixel| *pixel = look_up(&colours, pixel));
        }
        self.sample.image = match normalize {
            Some(normalize) => Image::F32(Planes {
                size: [pixels.height() as usize, pixels.width() as usize],
                values: normalize.floats(&planes(&pixels)),
            }),
            None => Image::U8(pixels),
        };
        if let Some(geometry) = geometry {
            for mask in std::iter::once(&mut self.sample.mask).chain(&mut self.sample.extra_masks) {
                *mask = geometry.nearest(mask);
            }
        }
        Ok(())
    }
}

/// What becomes of each value after an earlier change.
fn table(before: Option<&Tables>, change: impl Fn(usize, u8) -> u8) -> Box<Tables> {
    let mut tables = Box::new([[0; 256]; 3]);
    for (channel, table) in tables.iter_mut().enumerate() {
        for (from, to) in (0..=u8::MAX).zip(table) {
            let from = before.map_or(from, |before| before[channel][usize::from(from)]);
            *to = change(channel, from);
        }
    }
    tables
}

fn look_up([red, green, blue]: &Tables, &[r, g, b]: &[u8; 3]) -> [u8; 3] {
    [
        red[usize::from(r)],
        green[usize::from(g)],
        blue[usize::from(b)],
    ]
}

fn to_pixels(geometry: &Geometry, pixels: &RgbImage, colours: Option<&Tables>) -> RgbImage {
    let [height, width] = geometry.size();
    let mut output = RgbImage::new(width as u32, height as u32);
    let (rows, _) = output.as_chunks_mut::<3>();
    geometry.bilinear(pixels, |y, row| {
        let to = &mut rows[y * width..][..width];
        match colours {
            Some(colours) => to
                .iter_mut()
                .zip(row)
                .for_each(|(to, pixel)| *to = look_up(colours, pixel)),
            None => to.copy_from_slice(row),
        }
    });
    output
}

impl Geometry {
    fn bilinear(&self, source: &RgbImage, write: impl FnMut(usize, &[[u8; 3]])) {
        match self {
            Self::Window(window) => window.bilinear(source, write),
            Self::Warp(warp) => {
                let (frame, fill, size) = (warp.frame, warp.fill.colour, warp.size);
                let row = |y| warp.projection.row(y, size[1]);
                if warp.projection.copies() {
                    sample_at::copied(source, frame, fill, size, row, write);
                } else {
                    sample_at::bilinear(source, frame, fill, size, row, write);
                }
            }
        }
    }

    fn nearest(&self, source: &GrayImage) -> GrayImage {
        match self {
            Self::Window(window) => window.nearest(source),
            Self::Warp(warp) => {
                let row = |y| warp.projection.row(y, warp.size[1]);
                sample_at::nearest(source, warp.frame, warp.fill.class, warp.size, row)
            }
        }
    }
}
