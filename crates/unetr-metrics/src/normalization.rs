use serde::{Deserialize, Serialize};

/// What the cells of a confusion matrix are divided by, see
/// [`ConfusionMatrix::compute`](crate::ConfusionMatrix::compute).
///
/// The names are those of PyTorch-Ignite's `ConfusionMatrix(average=...)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Normalization {
    /// Nothing: numbers of pixels (`average=None`).
    #[default]
    Counts,
    /// The number of images: pixels per image.
    Samples,
    /// The sum of the row: every row with a pixel sums to 1, and the diagonal is the recall.
    Recall,
    /// The sum of the column: every column with a pixel sums to 1, and the diagonal is the
    /// precision.
    Precision,
}
