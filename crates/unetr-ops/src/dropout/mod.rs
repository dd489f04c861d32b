//! Dropout with a generator that is a function of `(seed, layer, element)`.

mod mask;

use candle_core::{Result, Tensor};

use crate::{Mode, OpError};

/// Inverted dropout (Srivastava et al. 2014, <https://jmlr.org/papers/v15/srivastava14a.html>).
///
/// Whether an element is dropped depends on the seed of the step ([`Mode::Train`]), on the layer's
/// name and on the element's position alone, so that a resumed run drops what the uninterrupted
/// one would have dropped, whatever the number of threads.
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
    pub fn new(rate: f64, layer: &str) -> std::result::Result<Self, OpError> {
        if (0. ..1.).contains(&rate) {
            return Ok(Self {
                rate,
                layer: mask::hash_name(layer),
            });
        }
        let (found, expected) = (rate.to_string(), "at least 0 and less than 1".to_owned());
        Err(OpError::Value {
            op: "dropout",
            argument: "the rate",
            found,
            expected,
        })
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
            Mode::Train { seed } if self.rate > 0. => xs * self.mask(xs, seed)?,
            Mode::Train { .. } | Mode::Eval => Ok(xs.clone()),
        }
    }

    fn mask(&self, xs: &Tensor, seed: u64) -> Result<Tensor> {
        let mask = mask::keep(xs.elem_count(), self.rate, seed ^ self.layer);
        Tensor::from_vec(mask, xs.shape(), xs.device())?.to_dtype(xs.dtype())
    }
}
