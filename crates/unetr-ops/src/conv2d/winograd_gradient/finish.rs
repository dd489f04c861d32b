//! From the sums over the transformed tiles to the gradient of the weight.

use pulp::{Simd, WithSimd};

use super::Layout;
use crate::conv2d::winograd::PLACES;
use crate::cpu::{Aligned, Lanes, Real, Registers, Rows, Write};

/// Taps of the kernel.
const TAPS: usize = 9;

/// Takes the sums of the places to the gradient of the weight.
pub(super) struct Finish<'a, T> {
    /// `[places][rows of a tile][panel][rows, width of the panel]`
    pub(super) sums: &'a [T],
    /// Numbers of a place.
    pub(super) size: usize,
    pub(super) inputs: Layout,
    /// `[outputs, inputs, 3, 3]`
    pub(super) share: &'a mut [T],
}

impl<T: Real> WithSimd for Finish<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Registers { rows, lanes, .. } = Registers::of::<T>();
        let Layout { channels, .. } = self.inputs;
        let width = self.inputs.width;
        let mut taps = Aligned::new(TAPS * width);
        let outputs = self.share.chunks_exact_mut(channels * TAPS);
        for (output, share) in outputs.enumerate() {
            for vector in 0..self.inputs.vectors() {
                let (start, step) = self.inputs.place(vector, rows);
                let first = output / rows * rows * width + start + output % rows * step;
                let sums = &self.sums[first..];
                assert!(sums.len() >= (PLACES - 1) * self.size + lanes);
                assert!(taps.len() >= (TAPS - 1) * width + (vector + 1) * lanes);
                // SAFETY: the sums of all places and the taps are there, as asserted.
                unsafe {
                    let to = Rows {
                        first: taps[vector * lanes..].as_mut_ptr(),
                        stride: width,
                    };
                    transform_sums::<T, S>(simd, sums, self.size, to);
                }
            }
            let from = Rows {
                first: taps.as_ptr(),
                stride: width,
            };
            let to = Rows {
                first: share.as_mut_ptr(),
                stride: TAPS,
            };
            // SAFETY: a number for every tap of every channel, and room for it.
            unsafe { T::transpose(from, (TAPS, channels), to, Write::Add) };
        }
    }
}

/// `Gᵀ·m` of four numbers, of which the last has the opposite sign.
#[inline(always)]
fn kernel_line<T: Real, S: Simd>(simd: S, [a, b, c, d]: [T::Vector<S>; 4]) -> [T::Vector<S>; 3] {
    let half = T::splat(simd, T::of(0.5));
    let sum = <T as Lanes>::add(simd, b, c);
    let difference = <T as Lanes>::sub(simd, b, c);
    [
        T::mul_add(simd, half, sum, a),
        T::mul_add(simd, half, difference, T::splat(simd, T::zero())),
        <T as Lanes>::sub(
            simd,
            T::mul_add(simd, half, sum, T::splat(simd, T::zero())),
            d,
        ),
    ]
}

/// `Gᵀ·m·G` of a vector of channels.
///
/// # Safety
/// `sums` holds a vector in each of the places, `size` apart, and `to` has room for one in each of nine
/// rows.
#[inline(always)]
unsafe fn transform_sums<T: Real, S: Simd>(simd: S, sums: &[T], size: usize, to: Rows<*mut T>) {
    let zero = T::splat(simd, T::zero());
    let mut columns = [[zero; 3]; 4];
    for (i, column) in columns.iter_mut().enumerate() {
        let mut places = [zero; 4];
        for (row, place) in places.iter_mut().enumerate() {
            // SAFETY: as the caller vouches.
            unsafe {
                let from = sums.as_ptr().add((4 * row + i) * size);
                *place = from.cast::<T::Vector<S>>().read_unaligned();
            }
        }
        *column = kernel_line::<T, S>(simd, places);
    }
    let [a, b, c, d] = columns;
    for row in 0..3 {
        let line = kernel_line::<T, S>(simd, [a[row], b[row], c[row], d[row]]);
        for (column, x) in line.into_iter().enumerate() {
            // SAFETY: as the caller vouches.
            unsafe {
                let to = to.first.add((3 * row + column) * to.stride);
                to.cast::<T::Vector<S>>().write_unaligned(x);
            }
        }
    }
}
