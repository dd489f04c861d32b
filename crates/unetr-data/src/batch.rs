use crate::{Error, Image, Normalize, Result, Sample, transform::planes};
use candle_core::{Device, Tensor};
use image::GrayImage;

/// Samples of one size, stacked for the network.
#[derive(Debug, Clone)]
pub struct Batch {
    /// The photos, `[batch, 3, height, width]`: f32 where the transforms end with [`Normalize`] and it was not left
    /// for later, u8 otherwise.
    pub images: Tensor,
    /// What is to be done to the photos yet, see
    /// [`DataLoader::normalizing_later`](crate::DataLoader::normalizing_later).
    pub normalize: Option<Normalize>,
    /// The class of every pixel, `[batch, height, width]`, u8.
    pub masks: Tensor,
    /// The samples' extra masks, each as `masks`.
    pub extra_masks: Vec<Tensor>,
    /// Where each sample stands in the dataset.
    pub indices: Vec<usize>,
}

impl Batch {
    /// Stacks samples, each given with its index in the dataset, on the CPU.
    ///
    /// # Errors
    /// When there is no sample, a mask has another size than its photo, or two samples differ in
    /// size, in their pixels' type or in the number of their masks; the error names both.
    pub fn collate(samples: impl IntoIterator<Item = (usize, Sample)>) -> Result<Self> {
        let items = samples
            .into_iter()
            .map(|(i, sample)| Item::new(i, sample, None));
        let items: Vec<_> = items.collect::<Result<_>>()?;
        Item::check_alike(&items)?;
        Self::stack(items)
    }

    /// How many samples there are.
    pub fn len(&self) -> usize {
        self.indices.len()
    }

    /// Whether there is no sample; never so for a batch from a loader.
    pub fn is_empty(&self) -> bool {
        self.indices.is_empty()
    }

    /// The batch on another device. What was left of the normalisation is done there.
    ///
    /// # Errors
    /// When the copy fails.
    pub fn to_device(&self, device: &Device) -> Result<Self> {
        let extra_masks = self.extra_masks.iter().map(|mask| mask.to_device(device));
        let images = self.images.to_device(device)?;
        Ok(Self {
            images: match &self.normalize {
                Some(normalize) => normalize.on_device(&images)?,
                None => images,
            },
            normalize: None,
            masks: self.masks.to_device(device)?,
            extra_masks: extra_masks.collect::<candle_core::Result<_>>()?,
            indices: self.indices.clone(),
        })
    }

    /// Stacks samples that are alike.
    pub(crate) fn stack(items: Vec<Item>) -> Result<Self> {
        let first = items.first().ok_or(Error::EmptyBatch)?;
        let [height, width] = first.size;
        let images = images(&items, first)?;
        let masks = (0..first.masks.len()).map(|n| {
            let masks: Vec<&[u8]> = items.iter().map(|item| item.masks[n].as_slice()).collect();
            Tensor::from_vec(masks.concat(), (items.len(), height, width), &Device::Cpu)
        });
        let mut masks = masks.collect::<candle_core::Result<Vec<_>>>()?;
        Ok(Self {
            images,
            normalize: None,
            masks: masks.remove(0),
            extra_masks: masks,
            indices: items.into_iter().map(|item| item.index).collect(),
        })
    }
}

/// Stacks photos that are known to be like the first.
fn images(items: &[Item], first: &Item) -> Result<Tensor> {
    let [height, width] = first.size;
    let shape = (items.len(), 3, height, width);
    let count = items.len() * 3 * height * width;
    let (mut bytes, mut floats) = (Vec::new(), Vec::new());
    let is_bytes = matches!(first.pixels, Pixels::U8(_));
    match is_bytes {
        true => bytes.reserve_exact(count),
        false => floats.reserve_exact(count),
    }
    for item in items {
        match &item.pixels {
            Pixels::U8(photo) => bytes.extend_from_slice(photo),
            Pixels::F32(photo) => floats.extend_from_slice(photo),
            Pixels::ToNormalize(photo, normalize) => normalize.append(photo, &mut floats),
        }
    }
    let images = match is_bytes {
        true => Tensor::from_vec(bytes, shape, &Device::Cpu),
        false => Tensor::from_vec(floats, shape, &Device::Cpu),
    };
    Ok(images?)
}

/// A sample in the layout of a batch. A worker thread makes it, so that the thread that trains has
/// nothing left to do but to concatenate.
#[derive(Debug, Clone)]
pub(crate) struct Item {
    pub(crate) index: usize,
    name: String,
    pub(crate) size: [usize; 2],
    pub(crate) pixels: Pixels,
    /// The mask, and then the extra ones.
    pub(crate) masks: Vec<Vec<u8>>,
}

/// A photo as three planes, red, green and blue.
#[derive(Debug, Clone)]
pub(crate) enum Pixels {
    U8(Vec<u8>),
    F32(Vec<f32>),
    /// Floats that are made of these bytes when a batch is stacked: a quarter of the memory until then.
    ToNormalize(Vec<u8>, Normalize),
}

impl Pixels {
    /// Makes the floats now.
    pub(crate) fn normalize(&mut self) {
        if let Self::ToNormalize(photo, normalize) = self {
            *self = Self::F32(normalize.floats(photo));
        }
    }

    /// If both are bytes that become floats in the same way.
    pub(crate) fn is_normalized_as(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::ToNormalize(_, one), Self::ToNormalize(_, another)) => one == another,
            _ => false,
        }
    }

    fn type_name(&self) -> &'static str {
        match self {
            Self::U8(_) => "u8",
            Self::F32(_) | Self::ToNormalize(..) => "f32",
        }
    }
}

impl Item {
    /// A sample, the normalisation of whose bytes may be left for later.
    pub(crate) fn new(index: usize, sample: Sample, normalize: Option<Normalize>) -> Result<Self> {
        let size = sample.size()?;
        let masks = std::iter::once(sample.mask).chain(sample.extra_masks);
        Ok(Self {
            index,
            size,
            masks: masks.map(GrayImage::into_raw).collect(),
            pixels: match (sample.image, normalize) {
                (Image::U8(photo), None) => Pixels::U8(planes(&photo)),
                (Image::U8(photo), Some(normalize)) => {
                    Pixels::ToNormalize(planes(&photo), normalize)
                }
                (Image::F32(planes), _) => Pixels::F32(planes.values),
            },
            name: sample.name,
        })
    }

    /// Checks that samples can be stacked.
    pub(crate) fn check_alike(items: &[Self]) -> Result<()> {
        let Some((first, others)) = items.split_first() else {
            return Ok(());
        };
        match others.iter().find(|item| item.shape() != first.shape()) {
            Some(odd) => Err(Error::BatchShape {
                first: first.name.clone(),
                first_shape: first.describe(),
                second: odd.name.clone(),
                second_shape: odd.describe(),
            }),
            None => Ok(()),
        }
    }

    fn shape(&self) -> ([usize; 2], &'static str, usize) {
        (self.size, self.pixels.type_name(), self.masks.len())
    }

    fn describe(&self) -> String {
        let ([height, width], pixels, masks) = self.shape();
        match masks {
            1 => format!("{height}x{width} {pixels}"),
            _ => format!("{height}x{width} {pixels} with {masks} masks"),
        }
    }
}
