//! Losses of class scores, and the sums that others are made of. Nothing is read on the host: sums,
//! losses and what their gradients are multiplied with stay on the GPU.

use candle_core::{DType, Device, Result, Shape, Tensor};

use super::graph::{self, Gradient, Operation, Order, Pass};
use super::pixels::Pixels;
use super::{Array, Launch, args, launch};

/// What `losses.cu` adds up for its losses.
const SUMS: usize = 7;

/// The losses that are asked for, in the order of their results.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Losses<'a> {
    pub(crate) cross_entropy: bool,
    pub(crate) jaccard: bool,
    /// The exponent of a focal loss.
    pub(crate) focal: Option<f64>,
    /// Of the cross entropy or the focal loss; all are 1 without.
    pub(crate) class_weights: Option<&'a [f32]>,
    /// Of the cross entropy.
    pub(crate) smoothing: f64,
}

/// The losses of `logits` in a tensor of `shape` and f32. All of them are NaN if a label is no class,
/// and 0 where every pixel is ignored.
pub(crate) fn losses(
    name: &'static str,
    logits: &Tensor,
    pixels: Pixels,
    shape: impl Into<Shape>,
    losses: Losses<'_>,
) -> Result<Tensor> {
    let classes = pixels.scores.classes;
    let device = pixels.scores.array.device().clone();
    let weights = match losses.class_weights {
        Some(weights) => {
            let weights = Tensor::new(weights, &Device::Cuda(device.clone()))?;
            Some(Array::of(&weights)?)
        }
        None => None,
    };
    let op = Recorded {
        pixels,
        weights,
        all_weights: match losses.class_weights {
            Some(weights) => weights.iter().map(|&weight| f64::from(weight)).sum(),
            None => classes as f64,
        },
        slopes: Array::empty(&device, DType::F32, [3])?,
        terms: i32::from(losses.cross_entropy)
            | i32::from(losses.jaccard) << 1
            | i32::from(losses.focal.is_some()) << 2,
        smoothing: losses.smoothing,
        gamma: losses.focal.unwrap_or_default(),
    };
    let result = op.forward(shape.into())?;
    graph::record(name, &[logits], result, Order::Rows, op)
}

struct Recorded {
    pixels: Pixels,
    weights: Option<Array>,
    all_weights: f64,
    /// What the gradient of each loss is multiplied with.
    slopes: Array,
    /// A bit for each loss.
    terms: i32,
    smoothing: f64,
    gamma: f64,
}

impl Recorded {
    fn forward(&self, shape: Shape) -> Result<Array> {
        let Pixels { scores, labels } = &self.pixels;
        let device = scores.array.device();
        let partial = Array::empty(device, DType::F64, [SUMS, scores.blocks()])?;
        let args = args![
            &scores.array,
            &labels.array,
            self.weights.as_ref(),
            &partial,
            labels.bytes(),
            self.terms,
            self.smoothing,
            self.gamma,
            scores.chunks(),
            scores.pixels,
            scores.classes,
            labels.ignore_index
        ];
        let kernel = for_classes("loss_sums", scores.classes);
        launch(device, "losses", &kernel, scores.launch(0), args)?;
        let losses = Array::empty(device, DType::F32, shape.into_dims())?;
        let args = args![
            &partial,
            &losses,
            &self.slopes,
            self.terms,
            scores.blocks(),
            scores.classes,
            self.smoothing
        ];
        launch(device, "losses", "loss_totals", ONE_BLOCK, args)?;
        Ok(losses)
    }
}

const ONE_BLOCK: Launch = Launch {
    grid: [1, 1, 1],
    block: [256, 1, 1],
    shared: 0,
};

impl Operation for Recorded {
    fn backward(&self, pass: Pass<'_>) -> Result<Vec<Option<Gradient>>> {
        let Pixels { scores, labels } = &self.pixels;
        let device = scores.array.device();
        let of_scores = Array::empty(device, DType::F32, scores.array.dims())?;
        let args = args![
            &scores.array,
            &labels.array,
            self.weights.as_ref(),
            &self.slopes,
            pass.grads,
            &of_scores,
            labels.bytes(),
            self.terms,
            self.smoothing,
            self.gamma,
            self.all_weights,
            scores.chunks(),
            scores.pixels,
            scores.classes,
            labels.ignore_index
        ];
        let kernel = for_classes("loss_gradient", scores.classes);
        launch(device, "losses", &kernel, scores.launch(0), args)?;
        Ok(vec![Some(Gradient::Rows(of_scores))])
    }
}

/// The kernel for so many classes.
fn for_classes(kernel: &str, classes: usize) -> String {
    let size = match classes {
        0..=4 => "few",
        5..=16 => "some",
        _ => "any",
    };
    format!("{kernel}_{size}")
}

/// `[3, batch, classes]` in f32: the sums of [`soft_counts`](crate::soft_counts()). Those of an image
/// are NaN if one of its labels is no class.
pub(crate) fn soft_counts(name: &'static str, logits: &Tensor, pixels: Pixels) -> Result<Tensor> {
    let op = SoftCounts { pixels };
    let result = op.forward()?;
    graph::record(name, &[logits], result, Order::Rows, op)
}

struct SoftCounts {
    pixels: Pixels,
}

impl SoftCounts {
    fn forward(&self) -> Result<Array> {
        let Pixels { scores, labels } = &self.pixels;
        let device = scores.array.device();
        let width = 3 * scores.classes + 1;
        let partial = Array::empty(device, DType::F64, [scores.blocks(), width])?;
        let args = args![
            &scores.array,
            &labels.array,
            &partial,
            labels.bytes(),
            scores.chunks(),
            scores.pixels,
            scores.classes,
            labels.ignore_index
        ];
        launch(device, "losses", "soft_count_sums", scores.launch(0), args)?;
        let counts = Array::empty(device, DType::F32, [3, scores.batch, scores.classes])?;
        let args = args![
            &partial,
            &counts,
            scores.batch,
            scores.chunks(),
            scores.classes
        ];
        let size = Launch::rows(counts.count());
        launch(device, "losses", "soft_count_totals", size, args)?;
        Ok(counts)
    }
}

impl Operation for SoftCounts {
    fn backward(&self, pass: Pass<'_>) -> Result<Vec<Option<Gradient>>> {
        let Pixels { scores, labels } = &self.pixels;
        let device = scores.array.device();
        let of_scores = Array::empty(device, DType::F32, scores.array.dims())?;
        let args = args![
            &scores.array,
            &labels.array,
            pass.grads,
            &of_scores,
            labels.bytes(),
            scores.batch,
            scores.chunks(),
            scores.pixels,
            scores.classes,
            labels.ignore_index
        ];
        let kernel = for_classes("soft_count_gradient", scores.classes);
        launch(device, "losses", &kernel, scores.launch(0), args)?;
        Ok(vec![Some(Gradient::Rows(of_scores))])
    }
}
