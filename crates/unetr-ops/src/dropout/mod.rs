//! Dropout with a generator that is a function of `(seed, layer, element)`.

mod mask;

use candle_core::{Result, Tensor};

use crate::cpu::runs_on_cpu;
use crate::error::value_error;
use crate::{Mode, many};
use mask::Mask;

/// Inverted dropout (Srivastava et al. 2014, <https://jmlr.org/papers/v15/srivastava14a.html>).
///
/// Whether an element is dropped depends on the seed of the step ([`Mode::Train`]), on the layer's
/// name and on the element's position alone, so that a resumed run drops what the uninterrupted
/// one would have dropped, whatever the number of threads.
///
/// # Examples
/// ```
/// use candle_core::{DType, Device, Tensor};
/// use unetr_ops::{Dropout, Mode};
///
/// let dropout = Dropout::new(0.5, "mlp.drop1")?;
/// let xs = Tensor::ones(64, DType::F32, &Device::Cpu)?;
/// let train = |seed| dropout.apply(&xs, Mode::Train { seed })?.to_vec1::<f32>();
/// assert_eq!(train(1)?, train(1)?);
/// assert_ne!(train(1)?, train(2)?);
/// assert_eq!(dropout.apply(&xs, Mode::Eval)?.to_vec1::<f32>()?, [1.; 64]);
/// # Ok::<(), candle_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Dropout {
    rate: f64,
    layer: u64,
}

impl Dropout {
    /// A dropout that zeroes elements with probability `rate`; `layer` names its random stream and
    /// is different for every layer of a network.
    ///
    /// # Errors
    /// When `rate` is not in `0..1`.
    pub fn new(rate: f64, layer: &str) -> Result<Self> {
        if (0. ..1.).contains(&rate) {
            return Ok(Self {
                rate,
                layer: mask::hash_name(layer),
            });
        }
        let expected = "at least 0 and less than 1";
        Err(value_error("dropout", "the rate", &rate, expected))
    }

    /// The probability of an element to be zeroed.
    pub fn rate(&self) -> f64 {
        self.rate
    }

    /// Zeroes elements at random and scales the others by `1 / (1 - rate)`; in [`Mode::Eval`] or
    /// at rate 0 nothing changes.
    ///
    /// # Shapes
    /// - `xs`: any shape
    /// - returns: the same shape
    ///
    /// # Errors
    /// When Candle cannot allocate the mask.
    pub fn apply(&self, xs: &Tensor, mode: Mode) -> Result<Tensor> {
        match mode {
            Mode::Train { seed } if self.rate > 0. => {
                let mask = Mask::new(self.rate, seed ^ self.layer);
                if runs_on_cpu(xs) {
                    many::apply("dropout", &[xs], xs.shape(), mask)
                } else {
                    multiply(xs, mask)
                }
            }
            Mode::Train { .. } | Mode::Eval => Ok(xs.clone()),
        }
    }
}

/// `xs` times the mask, in Candle's operations.
fn multiply(xs: &Tensor, mask: Mask) -> Result<Tensor> {
    let mask: Vec<f32> = (0..xs.elem_count()).map(|i| mask.at(i)).collect();
    xs * Tensor::from_vec(mask, xs.shape(), xs.device())?.to_dtype(xs.dtype())?
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::check::{assert_same, random, values};

    const TRAIN: Mode = Mode::Train { seed: 7 };

    #[test]
    fn drops_at_the_rate_and_keeps_the_mean() {
        let ones = random(1, &[100_000]).ones_like().unwrap();
        let dropped = values(&Dropout::new(0.3, "a").unwrap().apply(&ones, TRAIN).unwrap());
        let zeros = dropped.iter().filter(|&&x| x == 0.).count() as f64 / 1e5;
        assert!((zeros - 0.3).abs() < 0.006, "{zeros}");
        let mean = dropped.iter().sum::<f64>() / 1e5;
        assert!((mean - 1.).abs() < 0.01, "{mean}");
    }

    #[test]
    fn the_mask_depends_on_seed_and_layer_alone() {
        let xs = random(1, &[64, 3]);
        let drop = |layer: &str, seed| {
            values(
                &Dropout::new(0.5, layer)
                    .unwrap()
                    .apply(&xs, Mode::Train { seed })
                    .unwrap(),
            )
        };
        assert_eq!(drop("a", 1), drop("a", 1));
        assert_ne!(drop("a", 1), drop("a", 2));
        assert_ne!(drop("a", 1), drop("b", 1));
    }

    #[test]
    fn the_kernel_agrees_with_candle() {
        let dropout = Dropout::new(0.3, "a").unwrap();
        let reference = |x: &[Tensor]| multiply(&x[0], Mask::new(0.3, 7 ^ dropout.layer));
        let f = |x: &[Tensor]| dropout.apply(&x[0], TRAIN);
        assert_same("dropout", &[random(1, &[3, 7001])], f, reference);
    }

    #[test]
    fn nothing_changes_in_evaluation_or_at_rate_0() {
        let xs = random(1, &[10]);
        for (rate, mode) in [(0.5, Mode::Eval), (0., TRAIN)] {
            let same = Dropout::new(rate, "a").unwrap().apply(&xs, mode).unwrap();
            assert_eq!(values(&same), values(&xs));
        }
    }

    #[test]
    fn impossible_rates_are_refused() {
        for rate in [-0.1, 1., f64::NAN] {
            assert!(
                Dropout::new(rate, "a")
                    .unwrap_err()
                    .to_string()
                    .contains("the rate is")
            );
        }
    }
}
