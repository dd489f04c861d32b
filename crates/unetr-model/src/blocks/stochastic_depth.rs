use candle_core::{DType, Device, Result, Tensor};
use unetr_ops::{Dropout, Mode};

/// Lets each sample of a batch skip a residual block at random in training, which regularises deep
/// networks.
///
/// The block computes the samples that do not skip it and no others, so that a step takes less work.
/// What it adds to them is multiplied by `1 / (1 - rate)`: the mean stays, and evaluation takes the
/// whole block as it is. As in [`Dropout`], who skips depends on the seed of the step, on the layer's
/// name and on the position in the batch alone.
///
/// Source: Huang et al. 2016, section 3, <https://arxiv.org/abs/1603.09382>, with the scaling of
/// timm's `DropPath`. timm draws for attention and MLP separately, here a sample skips both, as it
/// skips a whole block in the paper.
///
/// # Examples
/// ```
/// use candle_core::{Device, Tensor};
/// use unetr_model::{Mode, StochasticDepth};
///
/// let depth = StochasticDepth::new(0.5, "blocks.0")?;
/// let xs = Tensor::ones((4, 3), candle_core::DType::F32, &Device::Cpu)?;
/// let ys = depth.apply(&xs, Mode::Train { seed: 1 }, |xs| xs + 1.)?;
/// // A sample is as it was, or twice what the block adds has been added.
/// for y in ys.to_vec2::<f32>()? {
///     assert!(y == [1.; 3] || y == [3.; 3]);
/// }
/// # Ok::<(), candle_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StochasticDepth {
    draw: Dropout,
}

impl StochasticDepth {
    /// Samples skip with the probability `rate`; `layer` names the random stream and is different for
    /// every block of a network.
    ///
    /// # Errors
    /// When `rate` is not in `0..1`.
    pub fn new(rate: f64, layer: &str) -> Result<Self> {
        let draw = Dropout::new(rate, layer)?;
        Ok(Self { draw })
    }

    /// The probability of a sample to skip the block.
    pub fn rate(&self) -> f64 {
        self.draw.rate()
    }

    /// Applies `block`, a residual block that treats each sample on its own, to those that do not
    /// skip it; to all of them in [`Mode::Eval`] or at rate 0.
    ///
    /// If all samples skip it, its parameters have no gradient in this step.
    ///
    /// # Shapes
    /// - `xs`: `[batch, ..]`
    /// - returns: the same shape
    ///
    /// # Errors
    /// When `block` fails or returns another shape.
    pub fn apply(
        &self,
        xs: &Tensor,
        mode: Mode,
        block: impl FnOnce(&Tensor) -> Result<Tensor>,
    ) -> Result<Tensor> {
        if mode == Mode::Eval || self.rate() == 0. {
            return block(xs);
        }
        let kept = self.kept(xs.dim(0)?, mode)?;
        if kept.is_empty() {
            return Ok(xs.clone());
        }
        let kept = Tensor::new(kept, xs.device())?;
        let some = xs.index_select(&kept, 0)?;
        let change = ((block(&some)? - some)? / (1. - self.rate()))?;
        xs.index_add(&kept, &change, 0)
    }

    /// The samples that do not skip the block.
    fn kept(&self, batch: usize, mode: Mode) -> Result<Vec<u32>> {
        // Drawn on the CPU whatever the device: the same samples everywhere, and nobody waits.
        let ones = Tensor::ones(batch, DType::F32, &Device::Cpu)?;
        let factors = self.draw.apply(&ones, mode)?.to_vec1::<f32>()?;
        let samples = (0..).zip(factors);
        Ok(samples.filter(|(_, f)| *f != 0.).map(|(i, _)| i).collect())
    }
}
