use std::ops::Range;

/// One of two matrices that are multiplied, as lines that run along the depth: the rows of the left
/// one, the columns of the right one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Operand<T> {
    pub(crate) data: *const T,
    pub(crate) lines: usize,
    pub(crate) contiguous: Contiguous,
    /// The distance between what is not contiguous.
    pub(crate) stride: usize,
}

/// What lies side by side in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Contiguous {
    /// The numbers of a line.
    Depth,
    /// The lines, at each place of the depth.
    Lines,
}

// SAFETY: whoever makes one vouches for its memory, which is only read.
unsafe impl<T: Sync> Send for Operand<T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for Operand<T> {}

impl<T> Operand<T> {
    /// Where a line's number at a place of the depth is.
    ///
    /// # Safety
    /// There is such a number.
    pub(super) unsafe fn at(&self, line: usize, place: usize) -> *const T {
        let index = match self.contiguous {
            Contiguous::Depth => line * self.stride + place,
            Contiguous::Lines => place * self.stride + line,
        };
        // SAFETY: the caller vouches for it.
        unsafe { self.data.add(index) }
    }
}

/// Ranges of at most `most` that cover a range as evenly as they can, in multiples of `granule`.
pub(super) fn even(
    range: Range<usize>,
    most: usize,
    granule: usize,
) -> impl Iterator<Item = Range<usize>> + Clone {
    let granules = range.len().div_ceil(granule);
    let parts = granules.div_ceil((most / granule).max(1));
    (0..parts).map(move |part| {
        let edge = |part: usize| {
            range
                .end
                .min(range.start + granules * part / parts * granule)
        };
        edge(part)..edge(part + 1)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cover_a_range_evenly() {
        let parts = |range, most, granule| even(range, most, granule).collect::<Vec<_>>();
        assert_eq!(parts(0..768, 512, 1), [0..384, 384..768]);
        assert!(parts(5..5, 16, 4).is_empty());
        assert_eq!(parts(3..10, 4, 4), [3..7, 7..10]);
        assert_eq!(parts(0..64, 48, 16), [0..32, 32..64]);
        assert_eq!(parts(0..7, 2, 4), [0..4, 4..7]);
    }
}
