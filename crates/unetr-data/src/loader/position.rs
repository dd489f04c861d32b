use serde::{Deserialize, Serialize};

/// How far a loader has come: small, to be saved beside a model.
///
/// [`DataLoader::resume`](crate::DataLoader::resume) goes on there with the same batches that would have come,
/// bit for bit, also where broken samples were skipped before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Position {
    /// The epoch, counted from 0.
    pub epoch: u64,
    /// How many samples of its order are behind, skipped ones included.
    pub samples: usize,
}
