use candle_core::{Result, Tensor};
use unetr_ops::cross_entropy_and_soft_jaccard;

use super::{Loss, LossValue, SoftJaccard};

/// [`CrossEntropy`](super::CrossEntropy) plus [`SoftJaccard`], computed together.
#[derive(Debug)]
pub(super) struct CrossEntropyAndSoftJaccard(pub(super) SoftJaccard);

impl Loss for CrossEntropyAndSoftJaccard {
    fn compute(&self, logits: &Tensor, labels: &Tensor) -> Result<LossValue> {
        let SoftJaccard { reduction } = self.0;
        let (cross_entropy, jaccard) = cross_entropy_and_soft_jaccard(logits, labels, reduction)?;
        Ok(LossValue {
            total: (&cross_entropy + &jaccard)?,
            parts: vec![
                ("cross_entropy".to_owned(), cross_entropy),
                ("soft_jaccard".to_owned(), jaccard),
            ],
        })
    }
}
