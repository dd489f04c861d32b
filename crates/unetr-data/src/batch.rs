use crate::{Error, Image, Result, Sample};
use candle_core::{Device, Tensor, WithDType};

/// Samples of one size, stacked for the network.
#[derive(Debug, Clone)]
pub struct Batch {
    /// The photos, `[batch, 3, height, width]`: f32 where the transforms end with
    /// [`Normalize`](crate::Normalize), u8 otherwise.
    pub images: Tensor,
    /// The class of every pixel, `[batch, height, width]`, u8.
    pub masks: Tensor,
    /// Where each sample stands in the dataset.
    pub indices: Vec<usize>,
}

impl Batch {
    /// Stacks samples, each given with its index in the dataset, on the CPU.
    ///
    /// # Errors
    /// When there is no sample, a mask has another size than its photo, or two samples differ in
    /// size or in their pixels' type; the error names both.
    pub fn collate(samples: impl IntoIterator<Item = (usize, Sample)>) -> Result<Self> {
        let items = samples.into_iter().map(|(i, sample)| Item::new(i, sample));
        Self::stack(items.collect::<Result<_>>()?)
    }

    /// How many samples there are.
    pub fn len(&self) -> usize {
        self.indices.len()
    }

    /// Whether there is no sample; never so for a batch from a loader.
    pub fn is_empty(&self) -> bool {
        self.indices.is_empty()
    }

    /// The batch on another device.
    ///
    /// # Errors
    /// When the copy fails.
    pub fn to_device(&self, device: &Device) -> Result<Self> {
        Ok(Self {
            images: self.images.to_device(device)?,
            masks: self.masks.to_device(device)?,
            indices: self.indices.clone(),
        })
    }

    pub(crate) fn stack(items: Vec<Item>) -> Result<Self> {
        let first = items.first().ok_or(Error::EmptyBatch)?;
        if let Some(odd) = items.iter().find(|item| item.shape() != first.shape()) {
            return Err(Error::BatchShape {
                first: first.name.clone(),
                first_shape: first.describe(),
                second: odd.name.clone(),
                second_shape: odd.describe(),
            });
        }
        let [height, width] = first.size;
        let masks: Vec<&[u8]> = items.iter().map(|item| item.mask.as_slice()).collect();
        let masks = Tensor::from_vec(masks.concat(), (items.len(), height, width), &Device::Cpu)?;
        let images = match first.planes {
            Planes::U8(_) => images(&items, Planes::as_u8),
            Planes::F32(_) => images(&items, Planes::as_f32),
        }?;
        Ok(Self {
            images,
            masks,
            indices: items.into_iter().map(|item| item.index).collect(),
        })
    }
}

/// Stacks photos that are known to have one size and one type.
fn images<T: WithDType>(items: &[Item], values: fn(&Planes) -> Option<&[T]>) -> Result<Tensor> {
    let [height, width] = items[0].size;
    let shape = (items.len(), 3, height, width);
    let photos: Vec<&[T]> = items
        .iter()
        .filter_map(|item| values(&item.planes))
        .collect();
    Ok(Tensor::from_vec(photos.concat(), shape, &Device::Cpu)?)
}

/// A sample in the layout of a batch. A worker thread makes it, so that the thread that trains has
/// nothing left to do but to concatenate.
#[derive(Debug)]
pub(crate) struct Item {
    index: usize,
    name: String,
    size: [usize; 2],
    planes: Planes,
    mask: Vec<u8>,
}

/// A photo as three planes, red, green and blue.
#[derive(Debug)]
enum Planes {
    U8(Vec<u8>),
    F32(Vec<f32>),
}

impl Planes {
    fn as_u8(&self) -> Option<&[u8]> {
        match self {
            Self::U8(values) => Some(values),
            Self::F32(_) => None,
        }
    }

    fn as_f32(&self) -> Option<&[f32]> {
        match self {
            Self::F32(values) => Some(values),
            Self::U8(_) => None,
        }
    }
}

impl Item {
    pub(crate) fn new(index: usize, sample: Sample) -> Result<Self> {
        Ok(Self {
            index,
            size: sample.size()?,
            name: sample.name,
            planes: match sample.image {
                Image::U8(pixels) => Planes::U8(planes(&pixels)),
                Image::F32(pixels) => Planes::F32(planes(&pixels)),
            },
            mask: sample.mask.into_raw(),
        })
    }

    fn pixel_type(&self) -> &'static str {
        match self.planes {
            Planes::U8(_) => "u8",
            Planes::F32(_) => "f32",
        }
    }

    fn shape(&self) -> ([usize; 2], &'static str) {
        (self.size, self.pixel_type())
    }

    fn describe(&self) -> String {
        let [height, width] = self.size;
        format!("{height}x{width} {}", self.pixel_type())
    }
}

fn planes<T: Copy>(interleaved: &[T]) -> Vec<T> {
    let (pixels, _) = interleaved.as_chunks::<3>();
    let mut planes = Vec::with_capacity(interleaved.len());
    for channel in 0..3 {
        planes.extend(pixels.iter().map(|pixel| pixel[channel]));
    }
    planes
}
