use serde::{Deserialize, Serialize};

/// The part of every epoch that one of several processes reads.
///
/// All processes use the same seed, and so shuffle alike; of that order each takes every `count`-th sample. Their parts
/// are disjoint, and together they are the whole epoch. Where incomplete batches are dropped, all get the same number of
/// samples, as processes that train together wait for each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shard {
    /// Which of the processes this is, counted from 0.
    pub index: usize,
    /// How many processes there are.
    pub count: usize,
}

/// The whole epoch.
impl Default for Shard {
    fn default() -> Self {
        Self { index: 0, count: 1 }
    }
}
