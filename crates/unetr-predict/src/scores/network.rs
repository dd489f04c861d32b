use candle_core::{DType, Device, Tensor};
use unetr_model::{Mode, Precision, SegmentationModel, no_grad, with_precision};

use crate::config::Flips;
use crate::{Error, Result};

/// A network that takes windows of one size.
#[derive(Clone, Copy)]
pub(crate) struct Network<'a> {
    pub(crate) model: &'a dyn SegmentationModel,
    pub(crate) device: &'a Device,
    /// Height and width of what it takes.
    pub(crate) window: [usize; 2],
    /// How many classes it tells, if that is known.
    pub(crate) classes: Option<usize>,
    pub(crate) flips: Flips,
    /// That of the caller's `with_precision` if there is none.
    pub(crate) precision: Option<Precision>,
}

/// Scores of several windows.
pub(crate) struct WindowScores {
    /// `[windows, classes, height, width]`
    pub(crate) scores: Vec<f32>,
    pub(crate) classes: usize,
}

impl Network<'_> {
    /// The scores of windows `[count, channels, height, width]`, the mean over mirror images.
    pub(crate) fn score(&self, windows: Vec<f32>, count: usize) -> Result<WindowScores> {
        let [height, width] = self.window;
        let channels = windows.len() / (count * height * width);
        let shape = (count, channels, height, width);
        let images = Tensor::from_vec(windows, shape, &Device::Cpu)?.to_device(self.device)?;
        let mut sum: Option<Tensor> = None;
        for &axes in self.flips.axes() {
            let scores = self.forward(&images.flip(axes)?)?.flip(axes)?;
            sum = Some(match sum {
                Some(sum) => (sum + scores)?,
                None => scores,
            });
        }
        let sum = sum.expect("the image itself is one of its mirror images");
        let mean = (sum / self.flips.axes().len() as f64)?;
        let classes = mean.dim(1)?;
        // host sync: reads the scores
        let scores = mean.flatten_all()?.to_device(&Device::Cpu)?.to_vec1()?;
        Ok(WindowScores { scores, classes })
    }

    fn forward(&self, images: &Tensor) -> Result<Tensor> {
        let compute = || self.model.forward(images, Mode::Eval);
        let logits = no_grad(|| match self.precision {
            Some(precision) => with_precision(precision, compute),
            None => compute(),
        });
        let logits = logits?.detach();
        let [height, width] = self.window;
        let found = logits.dims().get(1).copied().unwrap_or(0).max(1);
        let expected = [images.dim(0)?, self.classes.unwrap_or(found), height, width];
        if logits.dims() != expected {
            return Err(Error::Scores {
                found: logits.dims().to_vec(),
                expected: expected.into(),
            });
        }
        Ok(logits.to_dtype(DType::F32)?)
    }
}
