//! Two-dimensional convolution.

mod by_channels;
mod by_pixels;
mod composed;
pub(crate) mod correlate;
mod cpu;
#[cfg(feature = "cuda")]
mod cuda;
mod direct;
mod frame;
mod geometry;
mod gradient_by_channels;
mod gradient_by_pixels;
mod kernel;
mod matrix;
mod patches;
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod rounded;
mod same;
mod winograd;
mod winograd_gradient;

use candle_core::{Result, Tensor};

pub(crate) use cpu::{Convolution, Direction};
pub(crate) use frame::Frame;
pub(crate) use geometry::Geometry;
pub(crate) use kernel::{Kernel, KernelShape};

use crate::cpu::runs_on_cpu;
use crate::error::check_shape;

const OP: &str = "conv2d";

/// How a convolution moves over its input; the same along height and width.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conv2dConfig {
    /// Distance between neighbouring outputs, in input pixels.
    pub stride: usize,
    /// Zeros added on each side of the input.
    pub padding: usize,
    /// Distance between neighbouring kernel taps, in input pixels.
    pub dilation: usize,
    /// Channels are split into so many groups that do not see each other.
    pub groups: usize,
}

impl Default for Conv2dConfig {
    fn default() -> Self {
        Self {
            stride: 1,
            padding: 0,
            dilation: 1,
            groups: 1,
        }
    }
}

impl Conv2dConfig {
    /// The size of the output along a dimension of `size` pixels and `kernel` taps; `None` when
    /// the kernel is larger than the padded input.
    pub(crate) fn output_size(&self, size: usize, kernel: usize) -> Option<usize> {
        let extent = self.dilation * (kernel.checked_sub(1)?) + 1;
        let room = (size + 2 * self.padding).checked_sub(extent)?;
        Some(room / self.stride.max(1) + 1)
    }
}

/// Two-dimensional cross-correlation, as every deep-learning library calls convolution.
///
/// # Shapes
/// - `xs`: `[batch, in, height, width]`
/// - `weight`: `[out, in / groups, kernel height, kernel width]`
/// - `bias`: `[out]`
/// - returns: `[batch, out, height', width']` with
///   `height' = (height + 2·padding - dilation·(kernel height - 1) - 1) / stride + 1`
///
/// # Errors
/// When shapes, groups, stride or dilation do not fit.
///
/// # Examples
/// ```
/// use candle_core::{DType, Device, Tensor};
/// use unetr_ops::{Conv2dConfig, conv2d};
///
/// let xs = Tensor::ones((1, 3, 8, 6), DType::F32, &Device::Cpu)?;
/// let weight = Tensor::ones((4, 3, 3, 3), DType::F32, &Device::Cpu)?;
/// let same = Conv2dConfig { padding: 1, ..Default::default() };
/// assert_eq!(conv2d(&xs, &weight, None, &same)?.dims(), [1, 4, 8, 6]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn conv2d(
    xs: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    cfg: &Conv2dConfig,
) -> Result<Tensor> {
    let geometry = Geometry::new(xs, weight, cfg)?;
    if let Some(bias) = bias {
        check_shape(OP, "the bias", bias, geometry.outputs)?;
    }
    if runs_on_cpu(xs) {
        let convolution = Convolution {
            geometry,
            direction: Direction::Forward,
        };
        return convolution.apply(OP, xs, weight, bias);
    }
    #[cfg(feature = "cuda")]
    if crate::cuda::runs_on_cuda(xs)
        && let Some(ys) = cuda::conv2d(xs, weight, bias, &geometry)?
    {
        return Ok(ys);
    }
    let xs = &xs.to_dtype(weight.dtype())?;
    let ys = composed::conv2d(xs, weight, &geometry)?;
    match bias {
        Some(bias) => ys.broadcast_add(&bias.reshape((1, geometry.outputs, 1, 1))?),
        None => Ok(ys),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::check::{assert_gradients, assert_same, random};
    use crate::{Precision, with_precision};

    fn config(stride: usize, padding: usize, dilation: usize, groups: usize) -> Conv2dConfig {
        Conv2dConfig {
            stride,
            padding,
            dilation,
            groups,
        }
    }

    /// Image, weight and configuration: square and not, every option, kernels of all shapes.
    fn cases() -> Vec<([usize; 4], [usize; 4], Conv2dConfig)> {
        vec![
            ([2, 3, 5, 4], [4, 3, 3, 3], config(1, 1, 1, 1)),
            ([1, 1, 1, 1], [1, 1, 3, 3], config(1, 1, 1, 1)),
            ([2, 4, 3, 5], [3, 4, 1, 1], config(1, 0, 1, 1)),
            ([2, 4, 7, 5], [6, 2, 3, 3], config(2, 2, 2, 2)),
            ([1, 3, 8, 8], [5, 3, 4, 4], config(4, 0, 1, 1)),
            ([2, 4, 5, 5], [4, 1, 3, 2], config(1, 1, 1, 4)),
            ([1, 2, 4, 5], [2, 2, 1, 1], config(2, 0, 1, 1)),
            ([1, 2, 4, 5], [2, 2, 1, 1], config(1, 1, 1, 1)),
            ([1, 2, 4, 3], [2, 2, 3, 3], config(3, 4, 1, 1)),
        ]
    }

    #[test]
    fn gradients_are_those_of_finite_differences() {
        for (image, weight, cfg) in cases() {
            let bias = random(3, &weight[..1]);
            let inputs = [random(1, &image), random(2, &weight), bias];
            let what = format!("conv2d {image:?} {weight:?} {cfg:?}");
            assert_gradients(&what, &inputs, |x| conv2d(&x[0], &x[1], Some(&x[2]), &cfg));
        }
    }

    #[test]
    fn the_kernel_agrees_with_the_sum_over_taps() {
        let large = [
            ([2, 5, 40, 33], [7, 5, 3, 3], config(1, 1, 1, 1)),
            ([1, 16, 130, 140], [8, 16, 3, 3], config(1, 1, 1, 1)),
            ([2, 16, 64, 64], [16, 16, 1, 1], config(1, 0, 1, 1)),
            ([2, 17, 6, 48], [19, 17, 3, 3], config(1, 1, 1, 1)),
            ([1, 16, 4, 26], [40, 16, 3, 3], config(1, 1, 1, 1)),
            ([2, 70, 22, 38], [24, 70, 3, 3], config(1, 1, 1, 1)),
        ];
        for (image, weight, cfg) in cases().into_iter().chain(large) {
            let inputs = [random(1, &image), random(2, &weight)];
            let reference =
                |x: &[Tensor]| composed::conv2d(&x[0], &x[1], &Geometry::new(&x[0], &x[1], &cfg)?);
            let what = format!("conv2d {image:?} {weight:?} {cfg:?}");
            assert_same(
                &what,
                &inputs,
                |x| conv2d(&x[0], &x[1], None, &cfg),
                reference,
            );
        }
    }

    #[test]
    fn every_instruction_set_computes_the_same() {
        // Sizes with tails of every kind: vectors, tiles, panels, taps, strips and blocks.
        let shapes = [
            ([1, 3, 7, 5], [5, 3, 3, 3]),
            ([1, 9, 33, 31], [17, 9, 3, 3]),
            ([1, 2, 200, 50], [3, 2, 1, 1]),
            ([1, 4, 9, 1], [8, 4, 5, 5]),
            ([1, 17, 6, 24], [19, 17, 3, 3]),
        ];
        for (image, weight) in shapes {
            let inputs = [random(1, &image), random(2, &weight)];
            let cfg = config(1, weight[2] / 2, 1, 1);
            let reference =
                |x: &[Tensor]| composed::conv2d(&x[0], &x[1], &Geometry::new(&x[0], &x[1], &cfg)?);
            crate::cpu::at_each_level(|level| {
                let what = format!("conv2d {image:?} {weight:?} {level:?}");
                let direct = |x: &[Tensor]| conv2d(&x[0], &x[1], None, &cfg);
                assert_same(&what, &inputs, direct, reference);
            });
        }
    }

    /// Small whole numbers, which bfloat16 has too, and whose products and sums are exact.
    fn whole_numbers(seed: usize, shape: &[usize]) -> Tensor {
        let number = |i: usize| ((i * 7 + seed * i / 5 + seed) % 9) as f32 - 4.;
        let numbers: Vec<f32> = (0..shape.iter().product()).map(number).collect();
        Tensor::from_vec(numbers, shape, &candle_core::Device::Cpu).unwrap()
    }

    #[test]
    fn rounded_convolutions_are_exact_on_whole_numbers() {
        // Rows of tiles, with and without a rest, and longer than a segment; channels likewise.
        let cases = [
            ([2, 16, 9, 16], [16, 16, 3, 3], config(1, 1, 1, 1)),
            ([1, 3, 7, 28], [16, 3, 3, 3], config(1, 1, 1, 1)),
            ([1, 17, 40, 70], [24, 17, 3, 3], config(1, 1, 1, 1)),
            ([1, 40, 5, 130], [40, 40, 3, 3], config(1, 1, 1, 1)),
            ([1, 6, 6, 263], [10, 6, 5, 5], config(1, 2, 1, 1)),
            ([1, 48, 4, 20], [32, 24, 1, 3], config(1, 1, 1, 2)),
            ([2, 20, 16, 16], [24, 20, 2, 2], config(2, 0, 1, 1)),
            ([1, 33, 12, 17], [9, 33, 1, 1], config(1, 0, 1, 1)),
            ([1, 16, 30, 10], [16, 16, 3, 3], config(1, 1, 1, 1)),
        ];
        let run = |xs: &Tensor, weight: &Tensor, cfg: &Conv2dConfig, precision: Precision| {
            let vars = [xs, weight].map(|x| candle_core::Var::from_tensor(x).unwrap());
            let convolve = || conv2d(&vars[0], &vars[1], None, cfg);
            let ys = with_precision(precision, convolve).unwrap();
            let loss = ys.mul(&whole_numbers(3, ys.dims())).unwrap();
            let grads = loss.sum_all().unwrap().backward().unwrap();
            let of = |var: &candle_core::Var| crate::check::values(grads.get(var).unwrap());
            [crate::check::values(&ys), of(&vars[0]), of(&vars[1])]
        };
        for (image, weight, cfg) in cases {
            let inputs = [whole_numbers(1, &image), whole_numbers(2, &weight)];
            let exact = run(&inputs[0], &inputs[1], &cfg, Precision::Full);
            crate::cpu::at_each_level(|level| {
                let rounded = run(&inputs[0], &inputs[1], &cfg, Precision::Bf16);
                for (i, (rounded, exact)) in rounded.iter().zip(&exact).enumerate() {
                    assert_eq!(rounded, exact, "{i} of {image:?} {weight:?} {level:?}");
                }
            });
        }
    }

    #[test]
    fn results_do_not_depend_on_the_number_of_threads() {
        for outputs in [8, 24] {
            threads_change_nothing(outputs, Precision::Full);
            threads_change_nothing(outputs, Precision::Bf16);
        }
    }

    fn threads_change_nothing(outputs: usize, precision: Precision) {
        let inputs = [random(1, &[1, 16, 40, 64]), random(2, &[outputs, 16, 3, 3])]
            .map(|x| x.to_dtype(candle_core::DType::F32).unwrap());
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap();
            pool.install(|| {
                let vars: Vec<_> = inputs
                    .iter()
                    .map(|x| candle_core::Var::from_tensor(x).unwrap())
                    .collect();
                let convolve = || conv2d(&vars[0], &vars[1], None, &config(1, 1, 1, 1));
                let ys = with_precision(precision, convolve).unwrap();
                let grads = ys.sqr().unwrap().sum_all().unwrap().backward().unwrap();
                let mut all = crate::check::values(&ys);
                for var in &vars {
                    all.extend(crate::check::values(grads.get(var).unwrap()));
                }
                all
            })
        };
        let one = run(1);
        for threads in [2, 3, 7] {
            assert!(one == run(threads), "{threads} threads");
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let weight = random(2, &[4, 3, 3, 3]);
        let message = |image: &[usize], cfg: Conv2dConfig| {
            conv2d(&random(1, image), &weight, None, &cfg)
                .unwrap_err()
                .to_string()
        };
        assert!(message(&[1, 2, 5, 5], config(1, 1, 1, 1)).contains("the weight has shape"));
        assert!(message(&[1, 3, 2, 2], config(1, 0, 1, 1)).contains("at least the kernel's 3x3"));
        assert!(message(&[3, 5, 5], config(1, 1, 1, 1)).contains("[batch, channels, height"));
        assert!(message(&[1, 3, 5, 5], config(0, 1, 1, 1)).contains("the stride is 0"));
        assert!(message(&[1, 6, 5, 5], config(1, 1, 1, 3)).contains("the weight has shape"));
    }
}
