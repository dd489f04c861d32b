use rayon::prelude::*;

use super::{Real, add};

/// Elements that one task should have at least: less is done before another thread has woken up.
const TASK: usize = 32 * 1024;

/// The fewest chunks of so many elements that are worth a task of their own.
pub(crate) fn min_chunks(size: usize) -> usize {
    (TASK / size.max(1)).max(1)
}

/// A result that several tasks write to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shared<T>(pub(crate) *mut T);

// SAFETY: whoever writes through the pointer sees to it that tasks write to different elements, and that
// the borrow of the result outlives them all.
unsafe impl<T: Send> Send for Shared<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Shared<T> {}

impl<T> Shared<T> {
    /// The place of an element; a closure that calls this takes the whole of `self` along, and not its pointer.
    ///
    /// # Safety
    /// The result has so many elements.
    pub(crate) unsafe fn at(self, index: usize) -> *mut T {
        // SAFETY: as above.
        unsafe { self.0.add(index) }
    }
}

/// Copies `xs` to `ys`, by all threads.
pub(crate) fn copy_in_parallel<T: Real>(xs: &[T], ys: &mut [T]) {
    ys.par_chunks_mut(TASK)
        .zip(xs.par_chunks(TASK))
        .for_each(|(ys, xs)| ys.copy_from_slice(xs));
}

/// `xs += ys`, by all threads.
pub(crate) fn add_in_parallel<T: Real>(xs: &mut [T], ys: &[T]) {
    xs.par_chunks_mut(TASK)
        .zip(ys.par_chunks(TASK))
        .for_each(|(xs, ys)| add(xs, ys));
}
