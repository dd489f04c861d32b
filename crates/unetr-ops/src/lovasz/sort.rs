//! Errors in their order: a radix sort, whose result does not depend on threads since it keeps the
//! order of equals.

use rayon::prelude::*;

use crate::cpu::{Real, Shared};

/// Entries of a task.
pub(super) const CHUNK: usize = 1 << 15;
/// Bits that a pass sorts by.
const DIGIT: u32 = 8;
const BUCKETS: usize = 1 << DIGIT;

/// An error and where it is from.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Entry<T> {
    /// From 0 to 1.
    pub(super) error: T,
    /// Twice the place, one more if the pixel is of the class.
    origin: u32,
}

impl<T: Real> Entry<T> {
    /// Of a place below 2³¹.
    pub(super) fn new(error: T, place: usize, is_of_class: bool) -> Self {
        let origin = (place << 1) as u32 | u32::from(is_of_class);
        Self { error, origin }
    }

    pub(super) fn is_of_class(&self) -> bool {
        self.origin & 1 == 1
    }

    pub(super) fn place(&self) -> usize {
        (self.origin >> 1) as usize
    }

    fn bucket(&self, shift: u32) -> usize {
        (self.error.ordinal() >> shift) as usize % BUCKETS
    }
}

/// Sorts entries by their errors, ascending.
pub(super) fn sort<T: Real>(entries: Vec<Entry<T>>) -> Vec<Entry<T>> {
    let (mut from, mut to) = (entries, Vec::new());
    to.resize(from.len(), Entry::default());
    for shift in (0..T::ORDINAL_BITS).step_by(DIGIT as usize) {
        pass(&from, &mut to, shift);
        std::mem::swap(&mut from, &mut to);
    }
    from
}

/// Sorts by one digit.
fn pass<T: Real>(from: &[Entry<T>], to: &mut [Entry<T>], shift: u32) {
    let chunks = from.par_chunks(CHUNK);
    let mut starts: Vec<[usize; BUCKETS]> = chunks
        .clone()
        .map(|chunk| {
            let mut counts = [0; BUCKETS];
            for entry in chunk {
                counts[entry.bucket(shift)] += 1;
            }
            counts
        })
        .collect();
    let mut next = 0;
    for bucket in 0..BUCKETS {
        for starts in &mut starts {
            let count = starts[bucket];
            starts[bucket] = next;
            next += count;
        }
    }
    assert!(next == to.len(), "as many entries come out as go in");
    let to = Shared(to.as_mut_ptr());
    chunks.zip(starts).for_each(|(chunk, mut starts)| {
        for &entry in chunk {
            let start = &mut starts[entry.bucket(shift)];
            // SAFETY: every chunk has a place of its own for each of its entries, below their number.
            unsafe { *to.at(*start) = entry };
            *start += 1;
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted<T: Real>(count: usize) {
        let error = |i: usize| T::of((i * 7919 % 1013) as f64 / 1012.);
        let entries: Vec<_> = (0..count)
            .map(|i| Entry::new(error(i), i, i % 3 == 0))
            .collect();
        let mut expected = entries.clone();
        expected.sort_by(|a, b| a.error.f64().total_cmp(&b.error.f64()));
        let found = sort(entries);
        let all = |entries: &[Entry<T>]| -> Vec<_> {
            let parts = entries
                .iter()
                .map(|e| (e.error.f64(), e.place(), e.is_of_class()));
            parts.collect()
        };
        assert_eq!(all(&found), all(&expected), "{count}");
    }

    #[test]
    fn it_is_the_stable_sort_of_the_standard_library() {
        for count in [0, 1, 2, 1000, CHUNK, 2 * CHUNK + 7] {
            sorted::<f32>(count);
            sorted::<f64>(count);
        }
    }
}
