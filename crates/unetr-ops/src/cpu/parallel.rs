/// Elements that one task should have at least: less is done before another thread has woken up.
const TASK: usize = 32 * 1024;

/// The fewest chunks of so many elements that are worth a task of their own.
pub(crate) fn min_chunks(size: usize) -> usize {
    (TASK / size.max(1)).max(1)
}
