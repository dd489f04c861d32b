use candle_core::{DType, Device, Tensor};
use serde::{Deserialize, Serialize};
use unetr_model::SegmentationModel;

use super::pixels::Planes;
use super::{Network, ScoreRows, Sweep, SweepConfig};
use crate::config::Flips;
use crate::{Error, Result};

/// How windows that overlap are put together.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Blend {
    /// All pixels of a window count alike.
    Constant,
    /// Pixels in the middle of a window count more, by a Gaussian.
    Gaussian {
        /// The Gaussian's standard deviation, as a part of the window's height and width.
        sigma: f64,
    },
}

impl Default for Blend {
    /// A Gaussian of an eighth, as MONAI's `sigma_scale`.
    fn default() -> Self {
        Self::Gaussian { sigma: 0.125 }
    }
}

impl Blend {
    /// The weight of every pixel of a window, `[height, width]`.
    ///
    /// Source: MONAI's `compute_importance_map`.
    pub(crate) fn weights(self, window: [usize; 2]) -> Vec<f32> {
        // A weight of nothing could not be divided by.
        const LEAST: f32 = 1e-3;
        let Self::Gaussian { sigma } = self else {
            return vec![1.; window[0] * window[1]];
        };
        let [rows, columns] = window.map(|length| {
            let (middle, sigma) = ((length - 1) as f32 / 2., (sigma * length as f64) as f32);
            let weight = move |i| ((i as f32 - middle).powi(2) / (-2. * sigma * sigma)).exp();
            (0..length).map(weight).collect::<Vec<_>>()
        });
        let products = rows
            .iter()
            .flat_map(|row| columns.iter().map(move |column| row * column));
        products.map(|weight| weight.max(LEAST)).collect()
    }
}

/// How windows go over an image that is larger than the network's.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SlidingWindow {
    /// The part of a window that the next one shows too, 0 to less than 1; a quarter by default.
    pub overlap: f64,
    /// How overlapping windows are put together.
    pub blend: Blend,
}

impl Default for SlidingWindow {
    fn default() -> Self {
        Self {
            overlap: 0.25,
            blend: Blend::default(),
        }
    }
}

impl SlidingWindow {
    pub(crate) fn validate(&self) -> Result<()> {
        if !(0. ..1.).contains(&self.overlap) {
            return Err(Error::Setting {
                what: "the overlap of windows",
                found: self.overlap.to_string(),
                expected: "at least 0 and less than 1",
            });
        }
        match self.blend {
            Blend::Gaussian { sigma } if !(sigma > 0. && sigma.is_finite()) => {
                Err(Error::Setting {
                    what: "sigma of the Gaussian that blends windows",
                    found: sigma.to_string(),
                    expected: "a number above 0",
                })
            }
            _ => Ok(()),
        }
    }
}

/// The scores of images of any size by a network of one size, whose windows go over them.
///
/// An image that is smaller than a window has zeros around it. The network takes `batch_size` windows at once, and computes
/// in the precision around it, see [`with_precision`](unetr_model::with_precision).
///
/// Source: MONAI's `sliding_window_inference`, whose numbers these are.
///
/// # Shapes
/// - `images`: `[batch, channels, height, width]`
/// - `window`: height and width that the network takes
/// - returns: `[batch, classes, height, width]`, f32, on the CPU
///
/// # Errors
/// When a setting is out of range, or when the network cannot be computed or changes the size of its input.
///
/// # Examples
/// ```
/// use candle_core::{DType, Device, Tensor};
/// use unetr_model::{Parameters, Unetr, UnetrConfig};
/// use unetr_predict::{SlidingWindow, sliding_window};
///
/// let cfg = UnetrConfig { classes: 2, ..UnetrConfig::tiny().with_image_size([32, 32]) };
/// let parameters = Parameters::new(7, DType::F32, &Device::Cpu);
/// let model = Unetr::new(&cfg, parameters.var_builder())?;
/// let images = Tensor::zeros((1, 3, 50, 40), DType::F32, &Device::Cpu)?;
/// let scores = sliding_window(&model, &images, cfg.image_size, &SlidingWindow::default(), 4)?;
/// assert_eq!(scores.dims(), [1, 2, 50, 40]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn sliding_window(
    model: &dyn SegmentationModel,
    images: &Tensor,
    window: [usize; 2],
    config: &SlidingWindow,
    batch_size: usize,
) -> Result<Tensor> {
    config.validate()?;
    let (batch, _, height, width) = images.dims4()?;
    if window.contains(&0) || batch_size == 0 || images.elem_count() == 0 {
        return Err(Error::Setting {
            what: "window, batch size or shape of the images",
            found: format!("{window:?}, {batch_size}, {:?}", images.dims()),
            expected: "numbers above 0",
        });
    }
    let network = Network {
        model,
        device: images.device(),
        window,
        classes: None,
        flips: Flips::None,
        precision: None,
    };
    let config = SweepConfig::new(config, window, batch_size);
    let mut all = Vec::with_capacity(batch);
    for image in 0..batch {
        let image = images.get(image)?.to_dtype(DType::F32)?;
        let values = image
            .flatten_all()?
            .to_device(&Device::Cpu)?
            .to_vec1::<f32>()?;
        let size = [height, width];
        let pixels = Box::new(Planes {
            values: &values,
            size,
        });
        let mut sweep = Sweep::new(network, pixels, config.clone());
        let rows = (0..height).map(|_| {
            let row = sweep.next_row()?;
            let classes = row.len() / width;
            Ok(Tensor::from_vec(row, (classes, 1, width), &Device::Cpu)?)
        });
        all.push(Tensor::cat(&rows.collect::<Result<Vec<_>>>()?, 1)?);
    }
    Ok(Tensor::stack(&all, 0)?)
}
