use rayon::prelude::*;

use super::{Real, add};

/// Elements that one task should have at least: less is done before another thread has woken up.
const TASK: usize = 32 * 1024;

/// The fewest chunks of so many elements that are worth a task of their own.
pub(crate) fn min_chunks(size: usize) -> usize {
    (TASK / size.max(1)).max(1)
}

/// Calls `f` for every row of `size` numbers.
pub(crate) fn for_each_row<T: Real>(xs: &mut [T], size: usize, f: impl Fn(&mut [T]) + Send + Sync) {
    xs.par_chunks_mut(size.max(1))
        .with_min_len(min_chunks(size))
        .for_each(f);
}

/// `xs += ys`, by all threads.
pub(crate) fn add_in_parallel<T: Real>(xs: &mut [T], ys: &[T]) {
    xs.par_chunks_mut(TASK)
        .zip(ys.par_chunks(TASK))
        .for_each(|(xs, ys)| add(xs, ys));
}
