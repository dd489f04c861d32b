use candle_core::{DType, Result, Tensor};

use crate::OpError;
use crate::error::shape_error;

/// Checks that `labels` is what `logits` without its class dimension is, of an integer type.
pub(crate) fn check_labels(op: &'static str, logits: &Tensor, labels: &Tensor) -> Result<()> {
    let &[batch, _, ref space @ ..] = logits.dims() else {
        return Err(shape_error(
            op,
            "the logits",
            logits,
            "[batch, classes, ..]",
        ));
    };
    let mut expected = vec![batch];
    expected.extend_from_slice(space);
    if labels.dims() != expected {
        return Err(shape_error(
            op,
            "the labels",
            labels,
            format!("{expected:?}, from the logits"),
        ));
    }
    if logits.elem_count() == 0 {
        return Err(shape_error(
            op,
            "the logits",
            logits,
            "at least one pixel and one class",
        ));
    }
    match labels.dtype() {
        DType::U8 | DType::U32 | DType::I64 => Ok(()),
        found => {
            let expected = "u8, u32 or i64";
            Err(OpError::Type {
                op,
                argument: "the labels",
                found,
                expected,
            }
            .into())
        }
    }
}

/// The labels of a CPU tensor as class indices, each checked to be one.
pub(crate) fn class_indices(op: &'static str, labels: &Tensor, classes: usize) -> Result<Vec<u32>> {
    let labels = labels.flatten_all()?;
    match labels.dtype() {
        DType::U8 => checked(op, labels.to_vec1::<u8>()?, classes),
        DType::U32 => checked(op, labels.to_vec1::<u32>()?, classes),
        _ => checked(op, labels.to_vec1::<i64>()?, classes),
    }
}

fn checked<L: Copy + Into<i64>>(
    op: &'static str,
    labels: Vec<L>,
    classes: usize,
) -> Result<Vec<u32>> {
    let valid = 0..classes as i64;
    let mut all_valid = true;
    let indices = labels.iter().map(|&label| {
        let label = label.into();
        all_valid &= valid.contains(&label);
        label as u32
    });
    let indices = indices.collect();
    if all_valid {
        return Ok(indices);
    }
    let mut labels = labels.into_iter().map(Into::into);
    let found = labels.find(|label| !valid.contains(label));
    let label = found.unwrap_or_default();
    Err(OpError::Label { op, label, classes }.into())
}
