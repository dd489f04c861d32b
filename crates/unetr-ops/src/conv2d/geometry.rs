use candle_core::{Result, Tensor};

use super::frame::Frame;
use super::{Conv2dConfig, OP};
use crate::cpu::{Product, Threads};
use crate::error::{shape_error, value_error};
use crate::precision::{self, Precision};

/// All sizes of one convolution, checked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Geometry {
    pub(crate) batch: usize,
    /// Channels of the input.
    pub(crate) inputs: usize,
    pub(crate) height: usize,
    pub(crate) width: usize,
    /// Channels of the output.
    pub(crate) outputs: usize,
    pub(crate) out_height: usize,
    pub(crate) out_width: usize,
    pub(crate) kernel_height: usize,
    pub(crate) kernel_width: usize,
    pub(crate) stride: usize,
    /// Zeros before the first row and column; those behind follow from the sizes.
    pub(crate) padding: usize,
    pub(crate) dilation: usize,
    pub(crate) groups: usize,
    /// How it multiplies.
    pub(crate) precision: Precision,
}

impl Geometry {
    pub(super) fn new(xs: &Tensor, weight: &Tensor, cfg: &Conv2dConfig) -> Result<Self> {
        let &[batch, inputs, height, width] = xs.dims() else {
            return Err(shape_error(
                OP,
                "the input",
                xs,
                "[batch, channels, height, width]",
            ));
        };
        let &[outputs, group_inputs, kernel_height, kernel_width] = weight.dims() else {
            return Err(shape_error(
                OP,
                "the weight",
                weight,
                "[out, in / groups, height, width]",
            ));
        };
        for (argument, number) in [
            ("the stride", cfg.stride),
            ("the dilation", cfg.dilation),
            ("groups", cfg.groups),
        ] {
            if number == 0 {
                return Err(value_error(OP, argument, &0, "1 or more"));
            }
        }
        if group_inputs * cfg.groups != inputs || outputs % cfg.groups != 0 {
            let expected = format!(
                "[multiple of {}, {inputs} / {}, height, width] for {inputs} input channels in {} groups",
                cfg.groups, cfg.groups, cfg.groups
            );
            return Err(shape_error(OP, "the weight", weight, expected));
        }
        let sizes = cfg
            .output_size(height, kernel_height)
            .zip(cfg.output_size(width, kernel_width));
        let Some((out_height, out_width)) = sizes else {
            let expected = format!(
                "at least the kernel's {kernel_height}x{kernel_width} taps, dilated by {}, less {} padding",
                cfg.dilation, cfg.padding
            );
            return Err(shape_error(OP, "the input", xs, expected));
        };
        Ok(Self {
            batch,
            inputs,
            height,
            width,
            outputs,
            out_height,
            out_width,
            kernel_height,
            kernel_width,
            stride: cfg.stride,
            padding: cfg.padding,
            dilation: cfg.dilation,
            groups: cfg.groups,
            precision: precision::current(),
        })
    }

    /// How its matrices are multiplied.
    pub(super) fn product<T>(&self, threads: Threads) -> Product<'static, T> {
        Product {
            precision: self.precision,
            ..threads.into()
        }
    }

    pub(super) fn group_inputs(&self) -> usize {
        self.inputs / self.groups
    }

    pub(super) fn group_outputs(&self) -> usize {
        self.outputs / self.groups
    }

    /// Rows of the patch matrix: what one output pixel of one group sees.
    pub(super) fn patch_size(&self) -> usize {
        self.group_inputs() * self.kernel_height * self.kernel_width
    }

    pub(super) fn input_shape(&self) -> (usize, usize, usize, usize) {
        (self.batch, self.inputs, self.height, self.width)
    }

    pub(super) fn output_shape(&self) -> (usize, usize, usize, usize) {
        (self.batch, self.outputs, self.out_height, self.out_width)
    }

    /// The frame in which the direct kernels compute this convolution: those of stride 1 with an odd
    /// kernel of several taps that keep the resolution.
    pub(super) fn frame(&self) -> Option<Frame> {
        let reach = |kernel: usize| kernel.saturating_sub(1) * self.dilation;
        let same = |kernel: usize| kernel % 2 == 1 && reach(kernel) == 2 * self.padding;
        let keeps = self.stride == 1 && same(self.kernel_height) && same(self.kernel_width);
        let sizes = (self.height, self.width);
        let taps = self.kernel_height * self.kernel_width;
        (keeps && taps > 1 && sizes == (self.out_height, self.out_width)).then_some(Frame {
            height: self.height,
            width: self.width,
            rows: self.padding,
            columns: self.padding,
        })
    }
}
