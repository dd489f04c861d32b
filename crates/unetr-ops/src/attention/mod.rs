//! Multi-head self-attention.

mod composed;
mod cpu;

use candle_core::{Result, Tensor};
pub(crate) use cpu::Heads;

use crate::cpu::runs_on_cpu;
use crate::error::{shape_error, value_error};
use crate::precision;
use crate::{Dropout, Mode, many};

const OP: &str = "attention";

/// Scaled dot-product self-attention over packed queries, keys and values (Vaswani et al. 2017,
/// section 3.2, <https://arxiv.org/abs/1706.03762>); `dropout` acts on the attention weights.
///
/// # Shapes
/// - `qkv`: `[batch, tokens, 3·hidden]`: queries, then keys, then values; each head-major
/// - returns: `[batch, tokens, hidden]`
///
/// # Errors
/// When the last dimension is no multiple of `3·heads`.
///
/// # Examples
/// ```
/// use candle_core::{Device, Tensor};
/// use unetr_ops::{Dropout, Mode, attention};
///
/// // Two images of five tokens, four heads of eight channels.
/// let qkv = Tensor::randn(0f32, 1., (2, 5, 3 * 32), &Device::Cpu)?;
/// let mixed = attention(&qkv, 4, &Dropout::new(0., "attention")?, Mode::Eval)?;
/// assert_eq!(mixed.dims(), [2, 5, 32]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn attention(qkv: &Tensor, heads: usize, dropout: &Dropout, mode: Mode) -> Result<Tensor> {
    let &[batch, tokens, packed] = qkv.dims() else {
        return Err(shape_error(
            OP,
            "the packed input",
            qkv,
            "[batch, tokens, 3·hidden]",
        ));
    };
    if heads == 0 || packed % (3 * heads) != 0 {
        let expected = format!("a divisor of a third of the packed width {packed}");
        return Err(value_error(OP, "heads", &heads, expected));
    }
    let drops = dropout.rate() > 0. && mode != Mode::Eval;
    if drops || !runs_on_cpu(qkv) || qkv.elem_count() == 0 {
        return composed::attention(qkv, heads, dropout, mode);
    }
    let size = packed / 3 / heads;
    let sizes = Heads {
        batch,
        tokens,
        heads,
        size,
        precision: precision::current(),
    };
    many::apply(OP, &[qkv], (batch, tokens, packed / 3), sizes)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::check::{assert_close, assert_gradients, assert_same, random};

    #[test]
    fn gradients_are_those_of_finite_differences() {
        let none = Dropout::new(0., "attention").unwrap();
        let some = Dropout::new(0.4, "attention").unwrap();
        for (dropout, mode) in [(none, Mode::Eval), (some, Mode::Train { seed: 3 })] {
            assert_gradients("attention", &[random(1, &[2, 3, 12])], |x| {
                attention(&x[0], 2, &dropout, mode)
            });
        }
    }

    #[test]
    fn the_kernel_agrees_with_its_parts() {
        let dropout = Dropout::new(0., "attention").unwrap();
        for (shape, heads) in [([2, 5, 18], 3), ([3, 70, 96], 4), ([1, 1, 3], 1)] {
            crate::cpu::at_each_level(|level| {
                assert_same(
                    &format!("attention {shape:?} {level:?}"),
                    &[random(1, &shape)],
                    |x| attention(&x[0], heads, &dropout, Mode::Eval),
                    |x| composed::attention(&x[0], heads, &dropout, Mode::Eval),
                );
            });
        }
    }

    #[test]
    fn each_head_mixes_its_own_values() {
        // With queries and keys of zero every token gets the mean of the values.
        let zeros = random(1, &[1, 4, 12]).zeros_like().unwrap();
        let values = random(2, &[1, 4, 6]);
        let qkv = Tensor::cat(&[&zeros, &values], 2).unwrap();
        let dropout = Dropout::new(0., "attention").unwrap();
        let mixed = attention(&qkv, 3, &dropout, Mode::Eval).unwrap();
        let mean = values
            .mean_keepdim(1)
            .unwrap()
            .broadcast_as((1, 4, 6))
            .unwrap();
        assert_close("attention", &mixed, &mean, 1e-12);
    }

    #[test]
    fn heads_that_do_not_divide_the_width_are_refused() {
        let dropout = Dropout::new(0., "attention").unwrap();
        let error = attention(&random(1, &[1, 2, 12]), 3, &dropout, Mode::Eval).unwrap_err();
        assert!(error.to_string().contains("heads is 3"), "{error}");
    }
}
