//! Laying out what output pixels see as the columns of a matrix, and adding such a matrix back.

use std::ops::Range;

use super::geometry::Geometry;
use crate::cpu::{Real, vectorised};

/// One row of the patch matrix inside one output row: which output columns meet the input, and
/// where the first of them does.
struct Run {
    /// Output columns whose tap lies inside the input.
    columns: Range<usize>,
    /// Index into the input's channels of the first of them.
    first: usize,
}

/// The run of tap `(row, column)` of channel `channel` in output row `out_row`; `None` where the
/// whole row lies in the padding.
fn run(g: &Geometry, channel: usize, tap: (usize, usize), out_row: usize) -> Option<Run> {
    let y = (out_row * g.stride + tap.0 * g.dilation).checked_sub(g.padding)?;
    if y >= g.height {
        return None;
    }
    let offset = tap.1 * g.dilation;
    // x = column·stride + offset - padding, from the first column with x ≥ 0 ...
    let first = g.padding.saturating_sub(offset).div_ceil(g.stride);
    // ... to the last one with x < width.
    let end = (g.width + g.padding)
        .saturating_sub(offset)
        .div_ceil(g.stride)
        .min(g.out_width);
    if first >= end {
        return None;
    }
    let x = first * g.stride + offset - g.padding;
    Some(Run {
        columns: first..end,
        first: (channel * g.height + y) * g.width + x,
    })
}

/// Calls `visit` for every row of the patch matrix in every output row of a strip, with the
/// position in the matrix.
fn for_each_run(
    g: &Geometry,
    start: usize,
    rows: usize,
    mut visit: impl FnMut(usize, Option<Run>),
) {
    let mut position = 0;
    for channel in 0..g.inputs / g.groups {
        for tap_row in 0..g.kernel_height {
            for tap_column in 0..g.kernel_width {
                for out_row in start..start + rows {
                    visit(position, run(g, channel, (tap_row, tap_column), out_row));
                    position += g.out_width;
                }
            }
        }
    }
}

/// Writes the patches of output rows `start..start + rows` of one group to `patches`.
pub(super) fn gather<T: Real>(
    g: &Geometry,
    input: &[T],
    patches: &mut [T],
    start: usize,
    rows: usize,
) {
    for_each_run(g, start, rows, |position, run| {
        let patches = &mut patches[position..][..g.out_width];
        let Some(Run { columns, first }) = run else {
            patches.fill(T::zero());
            return;
        };
        patches[..columns.start].fill(T::zero());
        patches[columns.end..].fill(T::zero());
        let inside = &mut patches[columns];
        let pixels = &input[first..];
        match g.stride {
            1 => inside.copy_from_slice(&pixels[..inside.len()]),
            2 => vectorised!(copy(inside, pixels.iter().step_by(2))),
            stride => copy(inside, pixels.iter().step_by(stride)),
        }
    });
}

/// Adds the patches of output rows `start..start + rows` of one group to the pixels they came from.
pub(super) fn scatter<T: Real>(
    g: &Geometry,
    patches: &[T],
    input: &mut [T],
    start: usize,
    rows: usize,
) {
    for_each_run(g, start, rows, |position, run| {
        let Some(Run { columns, first }) = run else {
            return;
        };
        let inside = &patches[position..][..g.out_width][columns];
        let pixels = &mut input[first..];
        match g.stride {
            1 => vectorised!(add(pixels.iter_mut(), inside)),
            2 => vectorised!(add(pixels.iter_mut().step_by(2), inside)),
            stride => add(pixels.iter_mut().step_by(stride), inside),
        }
    });
}

#[inline(always)]
fn copy<'a, T: Real>(patches: &mut [T], pixels: impl Iterator<Item = &'a T>) {
    for (patch, &pixel) in patches.iter_mut().zip(pixels) {
        *patch = pixel;
    }
}

#[inline(always)]
fn add<'a, T: Real>(pixels: impl Iterator<Item = &'a mut T>, patches: &[T]) {
    for (pixel, &patch) in pixels.zip(patches) {
        *pixel += patch;
    }
}
