//! Laying out what output pixels see as the columns of a matrix, and adding such a matrix back.

use std::ops::Range;

use rayon::prelude::*;

use super::geometry::Geometry;
use crate::cpu::{Real, Threads, min_chunks, vectorised};

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
#[inline(always)]
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
#[inline(always)]
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

impl Geometry {
    /// Whether every output pixel sees two by two pixels that no other one sees.
    pub(super) fn halves(&self) -> bool {
        let sizes = (self.kernel_height, self.kernel_width, self.stride);
        sizes == (2, 2, 2)
            && (self.padding, self.dilation) == (0, 1)
            && (self.height, self.width) == (2 * self.out_height, 2 * self.out_width)
    }

    /// The fewest channels whose halves one task takes apart or together.
    fn min_channels(&self, rows: usize, threads: Threads) -> usize {
        match threads {
            Threads::One => usize::MAX,
            Threads::All => min_chunks(4 * rows * self.out_width),
        }
    }
}

/// Writes the patches of output rows `start..start + rows` of one group to `patches`.
pub(super) fn gather<T: Real>(
    g: &Geometry,
    input: &[T],
    patches: &mut [T],
    (start, rows): (usize, usize),
    threads: Threads,
) {
    if g.halves() {
        return patches
            .par_chunks_mut(4 * rows * g.out_width)
            .zip(input.par_chunks(g.height * g.width))
            .with_min_len(g.min_channels(rows, threads))
            .for_each(|(patches, plane)| {
                let plane = &plane[2 * start * g.width..];
                vectorised!(take_apart(plane, patches, rows, g.out_width));
            });
    }
    vectorised!(for_each_run(
        g,
        start,
        rows,
        #[inline(always)]
        |position, run| {
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
                2 => copy(inside, pixels.iter().step_by(2)),
                stride => copy(inside, pixels.iter().step_by(stride)),
            }
        }
    ));
}

/// Adds the patches of output rows `start..start + rows` of one group to the pixels they came from; where
/// nothing else does, writes them.
pub(super) fn scatter<T: Real>(
    g: &Geometry,
    patches: &[T],
    input: &mut [T],
    (start, rows): (usize, usize),
    threads: Threads,
) {
    if g.halves() {
        return input
            .par_chunks_mut(g.height * g.width)
            .zip(patches.par_chunks(4 * rows * g.out_width))
            .with_min_len(g.min_channels(rows, threads))
            .for_each(|(plane, patches)| {
                let plane = &mut plane[2 * start * g.width..];
                vectorised!(put_together(patches, plane, rows, g.out_width));
            });
    }
    vectorised!(for_each_run(
        g,
        start,
        rows,
        #[inline(always)]
        |position, run| {
            let Some(Run { columns, first }) = run else {
                return;
            };
            let inside = &patches[position..][..g.out_width][columns];
            let pixels = &mut input[first..];
            match g.stride {
                1 => add(pixels.iter_mut(), inside),
                2 => add(pixels.iter_mut().step_by(2), inside),
                stride => add(pixels.iter_mut().step_by(stride), inside),
            }
        }
    ));
}

/// From a plane to four planes of `rows` by `columns`: its pixels at even and odd places of even rows,
/// then those of odd rows.
#[inline(always)]
fn take_apart<T: Real>(plane: &[T], patches: &mut [T], rows: usize, columns: usize) {
    for (odd, both) in patches.chunks_exact_mut(2 * rows * columns).enumerate() {
        let (left, right) = both.split_at_mut(rows * columns);
        let left = left.chunks_exact_mut(columns);
        let patches = left.zip(right.chunks_exact_mut(columns));
        let plane = plane.chunks_exact(2 * columns).skip(odd).step_by(2);
        for ((left, right), pixels) in patches.zip(plane) {
            let (pairs, _) = pixels.as_chunks::<2>();
            for ((left, right), &pair) in left.iter_mut().zip(right).zip(pairs) {
                [*left, *right] = pair;
            }
        }
    }
}

/// The inverse of [`take_apart`].
#[inline(always)]
fn put_together<T: Real>(patches: &[T], plane: &mut [T], rows: usize, columns: usize) {
    for (odd, both) in patches.chunks_exact(2 * rows * columns).enumerate() {
        let (left, right) = both.split_at(rows * columns);
        let patches = left.chunks_exact(columns).zip(right.chunks_exact(columns));
        let plane = plane.chunks_exact_mut(2 * columns).skip(odd).step_by(2);
        for ((left, right), pixels) in patches.zip(plane) {
            let (pairs, _) = pixels.as_chunks_mut::<2>();
            for ((&left, &right), pair) in left.iter().zip(right).zip(pairs) {
                *pair = [left, right];
            }
        }
    }
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
