//! Cross entropy of pixel-wise class scores.

mod composed;
mod cpu;

use candle_core::{Result, Tensor};

use crate::cpu::runs_on_cpu;
use crate::labels::{check_labels, class_indices};

const OP: &str = "cross_entropy";

/// Mean over all pixels of `-log softmax(logits)[label]`.
///
/// # Shapes
/// - `logits`: `[batch, classes, ..]`
/// - `labels`: `[batch, ..]`, u8, u32 or i64, each less than `classes`
/// - returns: a scalar
///
/// # Errors
/// When the shapes do not fit, or when a label is no class (found on the CPU; other devices would
/// have to wait for the check).
pub fn cross_entropy(logits: &Tensor, labels: &Tensor) -> Result<Tensor> {
    check_labels(OP, logits, labels)?;
    if runs_on_cpu(logits) {
        let labels = class_indices(OP, labels, logits.dim(1)?)?;
        logits.contiguous()?.apply_op1(cpu::CrossEntropy { labels })
    } else {
        composed::cross_entropy(logits, labels)
    }
}
