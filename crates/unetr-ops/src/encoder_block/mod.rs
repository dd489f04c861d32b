//! The pre-norm transformer block as one operation.
//!
//! As separate operations it would keep every intermediate until the loss is gone, and Candle would
//! add every gradient to zeros. As one operation it keeps the packed queries, keys and values, what
//! the attention mixes, the sum in the middle and the hidden layer of the MLP before its GELU; the
//! rest is cheap to compute again.

mod backward;
mod composed;
mod cpu;
#[cfg(feature = "cuda")]
mod cuda;
mod forward;

use candle_core::{Result, Tensor};

use crate::cpu::runs_on_cpu;
use crate::error::{check_shape, shape_error, value_error};
use crate::{Affine, Gelu};

const OP: &str = "encoder_block";

/// A fully connected layer.
#[derive(Debug, Clone, Copy)]
pub struct Dense<'a> {
    /// `[out, in]`
    pub weight: &'a Tensor,
    /// `[out]`
    pub bias: Option<&'a Tensor>,
}

/// The parameters of an [`encoder_block`].
#[derive(Debug, Clone, Copy)]
pub struct EncoderBlock<'a> {
    /// Before the attention.
    pub norm1: Affine<'a>,
    /// From `hidden` to `3·hidden`: queries, then keys, then values; each head-major.
    pub qkv: Dense<'a>,
    /// From `hidden` to `hidden`, after the attention.
    pub projection: Dense<'a>,
    /// Before the MLP.
    pub norm2: Affine<'a>,
    /// From `hidden` to the MLP's width.
    pub linear1: Dense<'a>,
    /// And back.
    pub linear2: Dense<'a>,
    /// A divisor of `hidden`.
    pub heads: usize,
    /// Between the two layers of the MLP.
    pub gelu: Gelu,
    /// Added to the variances of the normalisations.
    pub eps: f64,
    /// What the forward pass keeps for the backward pass.
    pub keep: Keep,
}

/// What a block keeps for its backward pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Keep {
    /// What is expensive to compute again: five hidden sizes and the MLP's width for each token.
    #[default]
    Activations,
    /// Nothing but the input: the backward pass computes the block once more, a third more work for
    /// a fraction of the memory (Chen et al. 2016, <https://arxiv.org/abs/1604.06174>).
    Input,
}

/// `y = x + projection(attention(qkv(norm1(x))))`, then `y + linear2(gelu(linear1(norm2(y))))`: the
/// encoder block of the Vision Transformer (Dosovitskiy et al. 2020, equations 2 and 3,
/// <https://arxiv.org/abs/2010.11929>), without dropout.
///
/// # Shapes
/// - `xs`: `[batch, tokens, hidden]`
/// - returns: the same shape
///
/// # Errors
/// When the shapes or the heads do not fit.
///
/// # Examples
/// ```
/// use candle_core::{DType, Device, Tensor};
/// use unetr_ops::{Affine, Dense, EncoderBlock, Gelu, Keep, encoder_block};
///
/// let zeros = |shape: &[usize]| Tensor::zeros(shape, DType::F32, &Device::Cpu);
/// let (one, none) = (zeros(&[8])?, zeros(&[8])?);
/// let (wide, square) = (zeros(&[24, 8])?, zeros(&[8, 8])?);
/// let (up, down) = (zeros(&[16, 8])?, zeros(&[8, 16])?);
/// let norm = Affine { weight: &one, bias: &none };
/// let layer = |weight| Dense { weight, bias: None };
/// let block = EncoderBlock {
///     norm1: norm,
///     qkv: layer(&wide),
///     projection: layer(&square),
///     norm2: norm,
///     linear1: layer(&up),
///     linear2: layer(&down),
///     heads: 2,
///     gelu: Gelu::Tanh,
///     eps: 1e-6,
///     keep: Keep::Activations,
/// };
/// let xs = Tensor::randn(0f32, 1., (1, 5, 8), &Device::Cpu)?;
/// // Layers of zeros add nothing.
/// assert_eq!(encoder_block(&xs, &block)?.to_vec3::<f32>()?, xs.to_vec3::<f32>()?);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn encoder_block(xs: &Tensor, block: &EncoderBlock<'_>) -> Result<Tensor> {
    check(xs, block)?;
    if runs_on_cpu(xs) {
        return cpu::encoder_block(xs, block);
    }
    #[cfg(feature = "cuda")]
    if crate::cuda::runs_on_cuda(xs) {
        return cuda::encoder_block(xs, block);
    }
    composed::encoder_block(xs, block)
}

impl<'a> EncoderBlock<'a> {
    /// The input and the parameters, in the order of their gradients.
    fn arguments(&self, xs: &'a Tensor) -> Vec<&'a Tensor> {
        let mut arguments = vec![xs];
        for (norm, layers) in [
            (self.norm1, [self.qkv, self.projection]),
            (self.norm2, [self.linear1, self.linear2]),
        ] {
            arguments.extend([norm.weight, norm.bias]);
            for Dense { weight, bias } in layers {
                arguments.push(weight);
                arguments.extend(bias);
            }
        }
        arguments
    }
}

fn check(xs: &Tensor, block: &EncoderBlock<'_>) -> Result<()> {
    let &[batch, tokens, hidden] = xs.dims() else {
        return Err(shape_error(OP, "the input", xs, "[batch, tokens, hidden]"));
    };
    if batch * tokens * hidden == 0 {
        let expected = "at least one image, token and number";
        return Err(shape_error(OP, "the input", xs, expected));
    }
    if block.heads == 0 || hidden % block.heads != 0 {
        let expected = format!("a divisor of the hidden size {hidden}");
        return Err(value_error(OP, "heads", &block.heads, expected));
    }
    let mlp = block.linear1.weight.dim(0)?;
    if mlp == 0 {
        let (weight, expected) = (block.linear1.weight, "at least one row");
        return Err(shape_error(OP, "linear1", weight, expected));
    }
    for (what, Dense { weight, bias }, outputs, inputs) in [
        ("qkv", block.qkv, 3 * hidden, hidden),
        ("the projection", block.projection, hidden, hidden),
        ("linear1", block.linear1, mlp, hidden),
        ("linear2", block.linear2, hidden, mlp),
    ] {
        check_shape(OP, what, weight, (outputs, inputs))?;
        if let Some(bias) = bias {
            check_shape(OP, "a bias", bias, outputs)?;
        }
    }
    for Affine { weight, bias } in [block.norm1, block.norm2] {
        check_shape(OP, "the weight of a normalisation", weight, hidden)?;
        check_shape(OP, "the bias of a normalisation", bias, hidden)?;
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::check::{assert_gradients, assert_same, random};

    const HIDDEN: usize = 6;

    fn arguments(batch: usize, tokens: usize, hidden: usize, mlp: usize) -> Vec<Tensor> {
        let shapes: [&[usize]; 13] = [
            &[batch, tokens, hidden],
            &[hidden],
            &[hidden],
            &[3 * hidden, hidden],
            &[3 * hidden],
            &[hidden, hidden],
            &[hidden],
            &[hidden],
            &[hidden],
            &[mlp, hidden],
            &[mlp],
            &[hidden, mlp],
            &[hidden],
        ];
        let numbered = shapes.iter().enumerate();
        numbered.map(|(i, shape)| random(i as u64, shape)).collect()
    }

    fn block(x: &[Tensor], heads: usize, gelu: Gelu) -> EncoderBlock<'_> {
        let affine = |i: usize| Affine {
            weight: &x[i],
            bias: &x[i + 1],
        };
        let dense = |i: usize| Dense {
            weight: &x[i],
            bias: Some(&x[i + 1]),
        };
        EncoderBlock {
            norm1: affine(1),
            qkv: dense(3),
            projection: dense(5),
            norm2: affine(7),
            linear1: dense(9),
            linear2: dense(11),
            heads,
            gelu,
            eps: 1e-6,
            keep: Keep::Activations,
        }
    }

    #[test]
    fn gradients_are_those_of_finite_differences() {
        for gelu in [Gelu::Tanh, Gelu::Erf] {
            assert_gradients("encoder_block", &arguments(2, 3, HIDDEN, 5), |x| {
                encoder_block(&x[0], &block(x, 2, gelu))
            });
        }
    }

    #[test]
    fn the_block_is_its_parts_with_every_instruction_set() {
        for (batch, tokens, hidden, mlp, heads) in [(2, 5, 6, 9, 3), (3, 16, 64, 96, 4)] {
            crate::cpu::at_each_level(|level| {
                assert_same(
                    &format!("encoder_block {batch} {tokens} {hidden} {level:?}"),
                    &arguments(batch, tokens, hidden, mlp),
                    |x| encoder_block(&x[0], &block(x, heads, Gelu::Tanh)),
                    |x| composed::encoder_block(&x[0], &block(x, heads, Gelu::Tanh)),
                );
            });
        }
    }

    #[test]
    fn what_is_computed_again_is_the_same() {
        let x = arguments(2, 5, HIDDEN, 9);
        let run = |keep| {
            let vars: Vec<_> = x
                .iter()
                .map(|x| candle_core::Var::from_tensor(x).unwrap())
                .collect();
            let tracked: Vec<Tensor> = vars.iter().map(|x| x.as_tensor().clone()).collect();
            let mut block = block(&tracked, 3, Gelu::Tanh);
            block.keep = keep;
            let ys = encoder_block(&tracked[0], &block).unwrap();
            let grads = ys.sqr().unwrap().sum_all().unwrap().backward().unwrap();
            let gradient = |var| crate::check::values(grads.get(var).unwrap());
            vars.iter().map(|var| gradient(var)).collect::<Vec<_>>()
        };
        assert_eq!(run(Keep::Activations), run(Keep::Input));
    }

    #[test]
    fn only_what_is_wanted_has_a_gradient() {
        let x = arguments(2, 5, HIDDEN, 9);
        let gradient = |wanted: &[usize], of: usize| {
            let vars: Vec<_> = x
                .iter()
                .map(|x| candle_core::Var::from_tensor(x).unwrap())
                .collect();
            let tracked: Vec<Tensor> = vars
                .iter()
                .enumerate()
                .map(|(i, x)| match wanted.contains(&i) {
                    true => x.as_tensor().clone(),
                    false => x.as_detached_tensor(),
                })
                .collect();
            let ys = encoder_block(&tracked[0], &block(&tracked, 3, Gelu::Tanh)).unwrap();
            let grads = ys.sqr().unwrap().sum_all().unwrap().backward().unwrap();
            for (i, var) in vars.iter().enumerate() {
                assert_eq!(
                    grads.get(var).is_some(),
                    wanted.contains(&i),
                    "argument {i}"
                );
            }
            crate::check::values(grads.get(&vars[of]).unwrap())
        };
        let all: Vec<usize> = (0..x.len()).collect();
        for of in [0, 3, 6, 12] {
            assert_eq!(gradient(&[of], of), gradient(&all, of));
        }
    }

    #[test]
    fn layers_without_a_bias() {
        let x = arguments(2, 3, HIDDEN, 5);
        let unbiased = [&x[..4], &x[5..]].concat();
        let with = |x: &[Tensor]| {
            let zeros = x[3].zeros_like()?.get_on_dim(1, 0)?;
            let all = [&x[..4], &[zeros], &x[4..]].concat();
            let mut block = block(&all, 2, Gelu::Tanh);
            block.qkv.bias = None;
            encoder_block(&all[0], &block)
        };
        assert_gradients("encoder_block without qkv bias", &unbiased, with);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let x = arguments(2, 3, HIDDEN, 5);
        let message = |xs: &Tensor, block: &EncoderBlock<'_>| {
            encoder_block(xs, block).unwrap_err().to_string()
        };
        assert!(message(&x[0], &block(&x, 4, Gelu::Tanh)).contains("heads is 4"));
        let mut wrong = block(&x, 2, Gelu::Tanh);
        wrong.linear2 = wrong.linear1;
        assert!(message(&x[0], &wrong).contains("linear2 has shape [5, 6], expected [6, 5]"));
        assert!(message(&x[1], &block(&x, 2, Gelu::Tanh)).contains("[batch, tokens, hidden]"));
        let x = arguments(2, 3, HIDDEN, 0);
        let error = message(&x[0], &block(&x, 2, Gelu::Tanh));
        assert!(
            error.contains("linear1 has shape [0, 6], expected at least one row"),
            "{error}"
        );
    }
}
