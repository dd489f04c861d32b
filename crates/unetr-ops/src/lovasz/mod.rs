//! Lovász-softmax loss of pixel-wise class scores.

mod composed;
mod cpu;
mod extension;
mod sort;

use candle_core::{Result, Tensor};
use serde::{Deserialize, Serialize};

use crate::cpu::runs_on_cpu;
use crate::error::value_error;
use crate::labels::check_labels;
use crate::many;
use crate::pixels::Pixels;
use crate::precision::widened;

const OP: &str = "lovasz_softmax";

/// What the overlap of prediction and labels is taken of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Region {
    /// Each image; the loss is the mean over the images.
    Image,
    /// All images of a batch together.
    #[default]
    Batch,
}

/// The classes whose mean a loss is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClassMean {
    /// Those that a pixel of the region is labelled with.
    #[default]
    Present,
    /// Every class. One without a label has a loss where it is predicted at all.
    All,
    /// These, with a label or without: `Only(vec![1, 2])` leaves out a background 0.
    Only(Vec<u32>),
}

impl ClassMean {
    /// Checks that the classes are some of so many, each once.
    ///
    /// # Errors
    /// When there is none, or when one is out of range or there twice; `op` says whose they are.
    pub fn check(&self, op: &'static str, classes: usize) -> Result<()> {
        let Self::Only(only) = self else {
            return Ok(());
        };
        for (i, &class) in only.iter().enumerate() {
            let expected = if class as usize >= classes {
                format!("less than {classes}, the classes of the logits")
            } else if only[..i].contains(&class) {
                "each class once".to_owned()
            } else {
                continue;
            };
            return Err(value_error(op, "a class of the mean", &class, expected));
        }
        if only.is_empty() {
            let argument = "the number of classes of the mean";
            return Err(value_error(op, argument, &0, "at least 1"));
        }
        Ok(())
    }

    /// Whether a class belongs to the mean, by its number and that of its pixels.
    fn includes(&self, class: usize, pixels: usize) -> bool {
        match self {
            Self::Present => pixels > 0,
            Self::All => true,
            Self::Only(classes) => classes.contains(&(class as u32)),
        }
    }
}

/// What [`lovasz_softmax`] is taken of.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LovaszConfig {
    /// All images together by default.
    pub region: Region,
    /// Those that are labelled by default.
    pub classes: ClassMean,
    /// Pixels with this label are left out, whether it is a class or not.
    pub ignore_index: Option<u32>,
}

/// Lovász-softmax loss (Berman et al. 2018, <https://arxiv.org/abs/1705.08790>): the Lovász extension
/// of one minus the intersection over union, the surface that is closest to it and convex in the errors
/// `|y - p|` of a class, of `y` the one-hot labels and `p` the softmax. It is the mean over classes, and
/// over images if they are taken apart. A region whose pixels are all ignored counts as 0.
///
/// The gradient at an error of 0 is 0, as in PyTorch; of equal errors, the order decides which gets
/// how much.
///
/// # Shapes
/// - `logits`: `[batch, classes, ..]`
/// - `labels`: `[batch, ..]`, u8, u32 or i64, each less than `classes` or ignored
/// - returns: a scalar, in f32 where the logits have 16 bits
///
/// Devices other than the CPU send errors to the host and get weights back.
///
/// # Errors
/// When the shapes do not fit, when there are 2³¹ scores or more, when the classes of the mean are not
/// classes of the logits, or when a label is no class.
///
/// # Examples
/// ```
/// use candle_core::{Device, Tensor};
/// use unetr_ops::{LovaszConfig, lovasz_softmax};
///
/// let logits = Tensor::new(&[[[[9f32, -9.]], [[-9., 9.]]]], &Device::Cpu)?;
/// let labels = Tensor::new(&[[[0u8, 1]]], &Device::Cpu)?;
/// let right = lovasz_softmax(&logits, &labels, &LovaszConfig::default())?;
/// assert!(right.to_scalar::<f32>()? < 1e-6);
/// let wrong = lovasz_softmax(&logits.neg()?, &labels, &LovaszConfig::default())?;
/// assert!(wrong.to_scalar::<f32>()? > 0.999);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn lovasz_softmax(logits: &Tensor, labels: &Tensor, config: &LovaszConfig) -> Result<Tensor> {
    check_labels(OP, logits, labels)?;
    config.classes.check(OP, logits.dim(1)?)?;
    if logits.elem_count() >= 1 << 31 {
        let expected = "fewer than 2³¹; take smaller batches";
        return Err(value_error(
            OP,
            "the number of scores",
            &logits.elem_count(),
            expected,
        ));
    }
    let pixels = Pixels::new(OP, logits, labels, config.ignore_index)?;
    let terms = extension::terms(&pixels, config);
    if runs_on_cpu(logits) {
        return many::apply(OP, &[logits], (), cpu::LovaszSoftmax { pixels, terms });
    }
    composed::lovasz_softmax(&widened(logits)?, labels, config, &terms)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::check::{assert_gradients, assert_ignores, assert_same, scores_and_labels};
    use crate::cpu::at_each_level;

    fn configs() -> impl Iterator<Item = LovaszConfig> {
        let means = [
            ClassMean::Present,
            ClassMean::All,
            ClassMean::Only(vec![3, 0]),
        ];
        let regions = [Region::Image, Region::Batch];
        regions.into_iter().flat_map(move |region| {
            means.clone().map(|classes| LovaszConfig {
                region,
                classes,
                ignore_index: Some(255),
            })
        })
    }

    /// Of four classes, the last of which no pixel has.
    fn batch(height: usize, width: usize) -> (Tensor, Tensor) {
        let (logits, _) = scores_and_labels([2, 4, height, width]);
        let (_, labels) = scores_and_labels([2, 3, height, width]);
        (logits, labels)
    }

    /// The definition: the errors in descending order, each with the growth of the set function
    /// `1 - intersection / union` by its pixel.
    fn by_definition(logits: &Tensor, labels: &Tensor, config: &LovaszConfig) -> f64 {
        let probabilities = candle_nn::ops::softmax(logits, 1).unwrap();
        let probabilities = probabilities
            .flatten(2, 3)
            .unwrap()
            .to_vec3::<f64>()
            .unwrap();
        let labels = labels.flatten(1, 2).unwrap().to_vec2::<u8>().unwrap();
        let images: Vec<usize> = (0..labels.len()).collect();
        let regions: Vec<&[usize]> = match config.region {
            Region::Image => images.chunks(1).collect(),
            Region::Batch => vec![&images],
        };
        let of_class = |region: &[usize], class: usize| {
            let mut pixels = Vec::new();
            for &image in region {
                for (pixel, &label) in labels[image].iter().enumerate() {
                    let (p, y) = (
                        probabilities[image][class][pixel],
                        usize::from(label) == class,
                    );
                    if label != 255 {
                        pixels.push((if y { 1. - p } else { p }, y));
                    }
                }
            }
            pixels.sort_by(|a, b| b.0.total_cmp(&a.0));
            let labelled = pixels.iter().filter(|pixel| pixel.1).count();
            let jaccard_loss = |wrong: &[(f64, bool)]| {
                let missed = wrong.iter().filter(|pixel| pixel.1).count();
                let union = labelled + wrong.len() - missed;
                match union {
                    0 => 0.,
                    _ => 1. - (labelled - missed) as f64 / union as f64,
                }
            };
            let growth = |k| jaccard_loss(&pixels[..=k]) - jaccard_loss(&pixels[..k]);
            let loss: f64 = (0..pixels.len()).map(|k| pixels[k].0 * growth(k)).sum();
            (loss, labelled)
        };
        let of_region = |region: &&[usize]| {
            let classes = (0..logits.dim(1).unwrap()).map(|class| (class, of_class(region, class)));
            let losses: Vec<f64> = classes
                .filter(|&(class, (_, labelled))| config.classes.includes(class, labelled))
                .map(|(_, (loss, _))| loss)
                .collect();
            losses.iter().sum::<f64>() / losses.len() as f64
        };
        regions.iter().map(of_region).sum::<f64>() / regions.len() as f64
    }

    #[test]
    fn it_is_the_lovasz_extension_of_the_jaccard_loss() {
        let (logits, labels) = batch(9, 11);
        for config in configs() {
            let found = lovasz_softmax(&logits, &labels, &config).unwrap();
            let found = found.to_scalar::<f64>().unwrap();
            let expected = by_definition(&logits, &labels, &config);
            assert!(
                (found - expected).abs() < 1e-13,
                "{config:?}: {found}, not {expected}"
            );
        }
    }

    #[test]
    fn gradients_are_those_of_finite_differences() {
        let (logits, labels) = batch(2, 7);
        for config in configs() {
            assert_gradients(OP, std::slice::from_ref(&logits), |x| {
                lovasz_softmax(&x[0], &labels, &config)
            });
        }
    }

    #[test]
    fn the_kernel_agrees_with_candle() {
        let (logits, labels) = batch(19, 21);
        for config in configs() {
            let reference = |x: &[Tensor]| {
                let pixels = Pixels::new(OP, &x[0], &labels, config.ignore_index)?;
                let terms = extension::terms(&pixels, &config);
                composed::lovasz_softmax(&x[0], &labels, &config, &terms)
            };
            let f = |x: &[Tensor]| lovasz_softmax(&x[0], &labels, &config);
            at_each_level(|_| assert_same(OP, std::slice::from_ref(&logits), f, reference));
        }
    }

    #[test]
    fn ignored_pixels_are_not_there() {
        for config in configs() {
            let config = LovaszConfig {
                classes: ClassMean::Present,
                ..config
            };
            assert_ignores(OP, |logits, labels| lovasz_softmax(logits, labels, &config));
        }
    }

    #[test]
    fn classes_that_are_none_are_refused() {
        let (logits, labels) = batch(2, 2);
        let error = |classes| {
            let config = LovaszConfig {
                classes: ClassMean::Only(classes),
                ignore_index: Some(255),
                ..LovaszConfig::default()
            };
            let error = lovasz_softmax(&logits, &labels, &config);
            error.unwrap_err().to_string()
        };
        assert_eq!(
            error(vec![0, 4]),
            "lovasz_softmax: a class of the mean is 4, expected less than 4, the classes of the logits"
        );
        assert!(error(vec![1, 1]).ends_with("is 1, expected each class once"));
        assert!(error(vec![]).ends_with("is 0, expected at least 1"));
    }
}
