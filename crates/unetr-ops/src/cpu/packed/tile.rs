//! The register tile of a product: some rows by a few vectors of columns.

use pulp::Simd;

use super::super::Real;

/// The most vectors in a row of a tile.
pub(super) const VECTORS: usize = 3;

/// `a · b` for panels `a` of `[depth, ROWS]` and `b` of `[depth, COUNT vectors]`.
///
/// # Safety
/// Both panels are valid for reading that many elements.
#[inline(always)]
pub(super) unsafe fn tile<T: Real, S: Simd, const ROWS: usize, const COUNT: usize>(
    simd: S,
    a: *const T,
    b: *const T,
    depth: usize,
) -> [[T::Vector<S>; COUNT]; ROWS] {
    let zero = T::splat(simd, T::zero());
    let mut sums = [[zero; COUNT]; ROWS];
    let b = b.cast::<T::Vector<S>>();
    for k in 0..depth {
        let mut columns = [zero; COUNT];
        for (v, column) in columns.iter_mut().enumerate() {
            // SAFETY: inside the panel, as the caller vouches.
            *column = unsafe { b.add(k * COUNT + v).read_unaligned() };
        }
        for (r, sums) in sums.iter_mut().enumerate() {
            // SAFETY: inside the panel, as the caller vouches.
            let x = T::splat(simd, unsafe { *a.add(k * ROWS + r) });
            for (sum, column) in sums.iter_mut().zip(columns) {
                *sum = T::mul_add(simd, x, column, *sum);
            }
        }
    }
    sums
}
