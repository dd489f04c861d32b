//! Convolutions on [`Frame`](super::frame::Frame)s of numbers rounded to bfloat16, by matrix units ([`Tiles`]).
//! The vertical taps and the channels of a pixel lie one below the other, so that a tile of 16 pixels is read
//! where it is for every horizontal tap, and nothing is laid out as patches.

mod forward;
mod gradient;

pub(super) use forward::Rounded;
pub(super) use gradient::weight_gradient;

use super::frame::Frame;
use super::kernel::KernelShape;
use crate::Precision;
use crate::cpu::Tiles;

/// Whether a convolution can be computed this way, and should be.
fn fits(frame: Frame, shape: KernelShape) -> bool {
    shape.precision == Precision::Bf16
        && shape.dilation == 1
        && frame.width >= Tiles::SIDE
        && shape.outputs >= Tiles::SIDE / 2
        && shape.inputs * shape.height * shape.width >= Tiles::SIDE
        && Tiles::are_supported()
}

/// The row and the column of a frame that the first tap of the first pixel sees.
fn reach(frame: Frame, shape: KernelShape) -> (usize, usize) {
    (
        frame.rows - shape.height / 2,
        frame.columns - shape.width / 2,
    )
}
