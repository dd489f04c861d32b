//! The residual block of a U-Net as one operation.
//!
//! Candle's graph keeps the result of every operation until the loss is gone, and adds every
//! gradient to zeros. As one operation the block keeps only what its convolutions give, each image
//! goes through it while it lies in the cache, and what is concatenated is never copied.

mod backward;
mod composed;
mod cpu;
#[cfg(feature = "cuda")]
mod cuda;
mod forward;
mod plane;

use candle_core::{Result, Tensor};

use crate::Affine;
use crate::cpu::runs_on_cpu;
use crate::error::{check_shape, shape_error, value_error};

const OP: &str = "residual_block";

/// A 3×3 or 1×1 convolution without a bias, and the instance normalisation that follows it.
#[derive(Debug, Clone, Copy)]
pub struct NormedConv<'a> {
    /// `[out, in, kernel, kernel]`, the kernel odd
    pub weight: &'a Tensor,
    /// Scale and shift after the normalisation; `None` is 1 and 0.
    pub affine: Option<Affine<'a>>,
}

/// The parameters of a [`residual_block`].
#[derive(Debug, Clone, Copy)]
pub struct ResidualBlock<'a> {
    /// From the input's channels to the output's.
    pub first: NormedConv<'a>,
    /// From the output's channels to the output's.
    pub second: NormedConv<'a>,
    /// What the input goes through before it is added; `None` adds it as it is.
    pub shortcut: Option<NormedConv<'a>>,
    /// Added to each variance.
    pub eps: f64,
    /// The factor for negative numbers of the leaky ReLUs.
    pub negative_slope: f64,
}

/// `leaky(norm(second(leaky(norm(first(x))))) + norm(shortcut(x)))`, where `x` are the inputs one
/// after the other along the channels: the residual block of MONAI's UNETR (`UnetResBlock`), after He
/// et al. 2015 (<https://arxiv.org/abs/1512.03385>).
///
/// Convolutions are padded so that the resolution stays; the normalisation is that of
/// [`instance_norm`](crate::instance_norm).
///
/// # Shapes
/// - `inputs`: `[batch, in_i, height, width]` each
/// - returns: `[batch, out, height, width]`
///
/// # Errors
/// When the shapes do not fit, when a kernel is even, or when the slope is not positive.
///
/// # Examples
/// ```
/// use candle_core::{Device, Tensor};
/// use unetr_ops::{NormedConv, ResidualBlock, residual_block};
///
/// let conv = |outputs: usize, inputs: usize, kernel: usize| {
///     Tensor::randn(0f32, 0.1, (outputs, inputs, kernel, kernel), &Device::Cpu)
/// };
/// let (first, second, shortcut) = (conv(8, 5, 3)?, conv(8, 8, 3)?, conv(8, 5, 1)?);
/// let normed = |weight| NormedConv { weight, affine: None };
/// let block = ResidualBlock {
///     first: normed(&first),
///     second: normed(&second),
///     shortcut: Some(normed(&shortcut)),
///     eps: 1e-6,
///     negative_slope: 0.01,
/// };
/// // An upsampled map of three channels and the encoder's of two.
/// let (up, skip) = (conv(1, 3, 16)?, conv(1, 2, 16)?);
/// assert_eq!(residual_block(&[&up, &skip], &block)?.dims(), [1, 8, 16, 16]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn residual_block(inputs: &[&Tensor], block: &ResidualBlock<'_>) -> Result<Tensor> {
    let shape = Sizes::new(inputs, block)?;
    if inputs.iter().all(|xs| runs_on_cpu(xs)) {
        return cpu::residual_block(inputs, block, shape);
    }
    #[cfg(feature = "cuda")]
    if inputs.iter().all(|xs| crate::cuda::runs_on_cuda(xs)) {
        return cuda::residual_block(inputs, block);
    }
    composed::residual_block(inputs, block)
}

impl<'a> ResidualBlock<'a> {
    fn convolutions(&self) -> impl Iterator<Item = NormedConv<'a>> {
        [Some(self.first), Some(self.second), self.shortcut]
            .into_iter()
            .flatten()
    }

    /// Inputs and parameters, in the order of their gradients.
    fn arguments(&self, inputs: &[&'a Tensor]) -> Vec<&'a Tensor> {
        let mut arguments = inputs.to_vec();
        for NormedConv { weight, affine } in self.convolutions() {
            arguments.push(weight);
            arguments.extend(affine.into_iter().flat_map(|x| [x.weight, x.bias]));
        }
        arguments
    }
}

/// Sizes of one residual block, checked.
#[derive(Debug, Clone, Copy)]
struct Sizes {
    batch: usize,
    /// Channels of all inputs together.
    inputs: usize,
    outputs: usize,
    height: usize,
    width: usize,
}

impl Sizes {
    fn new(inputs: &[&Tensor], block: &ResidualBlock<'_>) -> Result<Self> {
        let Some(first) = inputs.first() else {
            return Err(value_error(OP, "the number of inputs", &0, "1 or more"));
        };
        let &[batch, _, height, width] = first.dims() else {
            let expected = "[batch, channels, height, width]";
            return Err(shape_error(OP, "an input", first, expected));
        };
        let mut channels = 0;
        for xs in inputs {
            match xs.dims() {
                &[b, c, h, w] if (b, h, w) == (batch, height, width) => channels += c,
                _ => {
                    let expected = format!("[{batch}, channels, {height}, {width}]");
                    return Err(shape_error(OP, "an input", xs, expected));
                }
            }
        }
        let sizes = Self {
            batch,
            inputs: channels,
            outputs: block.first.weight.dim(0)?,
            height,
            width,
        };
        if let Some(xs) = inputs.iter().find(|xs| xs.elem_count() == 0) {
            let expected = "at least one image, channel, row and column";
            return Err(shape_error(OP, "an input", xs, expected));
        }
        if sizes.outputs == 0 {
            let (what, weight) = ("the first convolution", block.first.weight);
            return Err(shape_error(OP, what, weight, "at least one output channel"));
        }
        sizes.check("the first convolution", &block.first, channels)?;
        sizes.check("the second convolution", &block.second, sizes.outputs)?;
        match &block.shortcut {
            Some(shortcut) => sizes.check("the shortcut", shortcut, channels)?,
            None if channels != sizes.outputs => {
                let expected = format!("{} without a shortcut", sizes.outputs);
                let what = "the number of input channels";
                return Err(value_error(OP, what, &channels, expected));
            }
            None => {}
        }
        if block.negative_slope <= 0. {
            let (what, slope) = ("the negative slope", block.negative_slope);
            return Err(value_error(OP, what, &slope, "greater than 0"));
        }
        Ok(sizes)
    }

    fn check(&self, what: &'static str, conv: &NormedConv<'_>, inputs: usize) -> Result<()> {
        let outputs = self.outputs;
        match conv.weight.dims() {
            &[o, i, h, w] if (o, i) == (outputs, inputs) && h == w && h % 2 == 1 => {}
            _ => {
                let expected = format!("[{outputs}, {inputs}, k, k] with an odd k");
                return Err(shape_error(OP, what, conv.weight, expected));
            }
        }
        if let Some(affine) = conv.affine {
            check_shape(OP, "a weight of a normalisation", affine.weight, outputs)?;
            check_shape(OP, "a bias of a normalisation", affine.bias, outputs)?;
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::check::{assert_gradients, assert_same, random};

    /// Sizes of a block to test.
    #[derive(Debug, Clone, Copy)]
    struct Case {
        inputs: &'static [usize],
        outputs: usize,
        batch: usize,
        size: [usize; 2],
        /// Of two convolutions, or of three with the shortcut.
        kernels: &'static [usize],
        affine: bool,
    }

    impl Case {
        fn arguments(&self) -> Vec<Tensor> {
            let total = self.inputs.iter().sum();
            let mut all = Vec::new();
            for &channels in self.inputs {
                let shape = [self.batch, channels, self.size[0], self.size[1]];
                all.push(random(all.len() as u64, &shape));
            }
            for (conv, &kernel) in self.kernels.iter().enumerate() {
                let channels = if conv == 1 { self.outputs } else { total };
                let seed = all.len() as u64;
                all.push(random(seed, &[self.outputs, channels, kernel, kernel]));
                if self.affine {
                    all.push(random(seed + 1, &[self.outputs]));
                    all.push(random(seed + 2, &[self.outputs]));
                }
            }
            all
        }

        fn run(
            &self,
            x: &[Tensor],
            block: impl Fn(&[&Tensor], &ResidualBlock<'_>) -> Result<Tensor>,
        ) -> Result<Tensor> {
            let (xs, parameters) = x.split_at(self.inputs.len());
            let convs: Vec<NormedConv<'_>> = parameters
                .chunks(if self.affine { 3 } else { 1 })
                .map(|x| NormedConv {
                    weight: &x[0],
                    affine: self.affine.then(|| Affine {
                        weight: &x[1],
                        bias: &x[2],
                    }),
                })
                .collect();
            let parameters = ResidualBlock {
                first: convs[0],
                second: convs[1],
                shortcut: convs.get(2).copied(),
                eps: 1e-5,
                negative_slope: 0.01,
            };
            block(&xs.iter().collect::<Vec<_>>(), &parameters)
        }
    }

    const SMALL: Case = Case {
        inputs: &[2, 1],
        outputs: 2,
        batch: 2,
        size: [3, 4],
        kernels: &[3, 3, 1],
        affine: true,
    };

    #[test]
    fn gradients_are_those_of_finite_differences() {
        let identity = Case {
            inputs: &[2],
            kernels: &[3, 3],
            affine: false,
            ..SMALL
        };
        for case in [SMALL, identity] {
            assert_gradients(&format!("{case:?}"), &case.arguments(), |x| {
                case.run(x, residual_block)
            });
        }
    }

    #[test]
    fn the_block_is_its_parts_with_every_instruction_set() {
        let cases = [
            SMALL,
            Case {
                inputs: &[3],
                outputs: 8,
                size: [33, 20],
                ..SMALL
            },
            Case {
                inputs: &[5, 4],
                outputs: 17,
                batch: 1,
                size: [9, 40],
                affine: false,
                ..SMALL
            },
            Case {
                inputs: &[2, 4],
                outputs: 6,
                batch: 3,
                size: [8, 8],
                kernels: &[3, 5],
                ..SMALL
            },
        ];
        for case in cases {
            crate::cpu::at_each_level(|level| {
                assert_same(
                    &format!("{case:?} {level:?}"),
                    &case.arguments(),
                    |x| case.run(x, residual_block),
                    |x| case.run(x, composed::residual_block),
                );
            });
        }
    }

    #[test]
    fn frozen_parameters_and_constant_inputs_cost_no_gradient() {
        let x = SMALL.arguments();
        let var = candle_core::Var::from_tensor(&x[2]).unwrap();
        let mut mixed = x.clone();
        mixed[2] = var.as_tensor().clone();
        let ys = SMALL.run(&mixed, residual_block).unwrap();
        let grads = ys.sqr().unwrap().sum_all().unwrap().backward().unwrap();
        assert!(grads.get(&var).is_some());
        assert!(
            mixed
                .iter()
                .all(|x| x.id() == var.id() || grads.get(x).is_none())
        );
        let constant = SMALL.run(&x, residual_block).unwrap();
        assert!(!constant.track_op());
    }

    #[test]
    fn a_second_backward_pass_computes_again_what_the_first_has_freed() {
        let vars: Vec<_> = SMALL
            .arguments()
            .iter()
            .map(|x| candle_core::Var::from_tensor(x).unwrap())
            .collect();
        let tracked: Vec<Tensor> = vars.iter().map(|x| x.as_tensor().clone()).collect();
        let ys = SMALL.run(&tracked, residual_block).unwrap();
        let loss = ys.sqr().unwrap().sum_all().unwrap();
        let gradients = || -> Vec<_> {
            let store = loss.backward().unwrap();
            let gradient = |var| crate::check::values(store.get(var).unwrap());
            vars.iter().map(|var| gradient(var)).collect()
        };
        assert_eq!(gradients(), gradients());
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let x = SMALL.arguments();
        let message =
            |case: Case, x: &[Tensor]| case.run(x, residual_block).unwrap_err().to_string();
        let swapped = [x[1].clone(), x[0].narrow(3, 0, 2).unwrap()];
        let wrong = [&swapped, &x[2..]].concat();
        assert!(message(SMALL, &wrong).contains("an input has shape [2, 2, 3, 2]"));
        let without = Case {
            kernels: &[3, 3],
            ..SMALL
        };
        assert!(message(without, &x[..8]).contains("expected 2 without a shortcut"));
        let even = Case {
            kernels: &[2, 3, 1],
            ..SMALL
        };
        assert!(message(even, &even.arguments()).contains("with an odd k"));
        let without_channels = [&[x[0].clone(), x[1].narrow(1, 0, 0).unwrap()], &x[2..]].concat();
        assert!(message(SMALL, &without_channels).contains("at least one image, channel"));
        let mut nothing = x.clone();
        nothing[2] = x[2].narrow(0, 0, 0).unwrap();
        assert!(message(SMALL, &nothing).contains("at least one output channel"));
    }
}
