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

/// The labels of a tensor as class indices, each checked to be one; `classes` stands for `ignore_index`.
pub(crate) fn class_indices(
    op: &'static str,
    labels: &Tensor,
    classes: usize,
    ignore_index: Option<u32>,
) -> Result<Vec<u32>> {
    let labels = labels.flatten_all()?;
    match labels.dtype() {
        DType::U8 => checked(op, labels.to_vec1::<u8>()?, classes, ignore_index),
        DType::U32 => checked(op, labels.to_vec1::<u32>()?, classes, ignore_index),
        _ => checked(op, labels.to_vec1::<i64>()?, classes, ignore_index),
    }
}

fn checked<L: Copy + Into<i64>>(
    op: &'static str,
    labels: Vec<L>,
    classes: usize,
    ignore_index: Option<u32>,
) -> Result<Vec<u32>> {
    let ignore_index = ignore_index.map(i64::from);
    let valid = 0..classes as i64;
    let mut all_valid = true;
    let indices = labels.iter().map(|&label| {
        let label = label.into();
        if Some(label) == ignore_index {
            return classes as u32;
        }
        all_valid &= valid.contains(&label);
        label as u32
    });
    let indices = indices.collect();
    if all_valid {
        return Ok(indices);
    }
    let mut labels = labels.into_iter().map(Into::into);
    let found = labels.find(|label| !valid.contains(label) && Some(*label) != ignore_index);
    let label = found.unwrap_or_default();
    Err(OpError::Label { op, label, classes }.into())
}

/// Labels for compositions of Candle operations, on any device and unchecked.
pub(crate) struct DeviceLabels {
    /// Class indices, 0 where a pixel is ignored.
    pub(crate) indices: Tensor,
    /// 1 where a pixel counts and 0 where it is ignored.
    pub(crate) valid: Tensor,
}

impl DeviceLabels {
    /// With `valid` in the type of `logits`.
    pub(crate) fn new(logits: &Tensor, labels: &Tensor, ignore_index: Option<u32>) -> Result<Self> {
        let labels = labels.to_dtype(DType::I64)?;
        let valid = match ignore_index {
            Some(ignore_index) => labels.ne(i64::from(ignore_index))?,
            None => labels.ones_like()?.to_dtype(DType::U8)?,
        };
        let indices = valid.where_cond(&labels, &labels.zeros_like()?)?;
        Ok(Self {
            indices: indices.to_dtype(DType::U32)?,
            valid: valid.to_dtype(logits.dtype())?,
        })
    }

    /// The scores, 0 where a pixel is ignored: whatever there is, nothing of it may be left.
    pub(crate) fn scores(&self, logits: &Tensor) -> Result<Tensor> {
        let valid = self.valid.ne(0.)?.unsqueeze(1)?;
        let valid = valid.broadcast_as(logits.shape())?;
        valid.where_cond(logits, &logits.zeros_like()?)
    }

    /// Like `logits`, 1 at the class of each pixel that counts and 0 elsewhere.
    pub(crate) fn one_hot(&self, logits: &Tensor) -> Result<Tensor> {
        let classes = logits.dim(1)?;
        let mut class_shape = vec![1; logits.rank()];
        class_shape[1] = classes;
        let class = Tensor::arange(0, classes as u32, logits.device())?.reshape(class_shape)?;
        let one_hot = self.indices.unsqueeze(1)?.broadcast_eq(&class)?;
        one_hot
            .to_dtype(logits.dtype())?
            .broadcast_mul(&self.valid.unsqueeze(1)?)
    }

    /// 1 if any pixel counts, 0 otherwise.
    pub(crate) fn any(&self) -> Result<Tensor> {
        self.valid.max_all()
    }
}
