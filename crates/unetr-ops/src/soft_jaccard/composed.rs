use candle_core::{DType, Result, Tensor};

use super::JaccardReduction;

pub(super) fn soft_jaccard(
    logits: &Tensor,
    labels: &Tensor,
    reduction: JaccardReduction,
) -> Result<Tensor> {
    let (batch, classes) = (logits.dim(0)?, logits.dim(1)?);
    let probabilities = candle_nn::ops::softmax(logits, 1)?;
    let mut class_shape = vec![1; logits.rank()];
    class_shape[1] = classes;
    let class = Tensor::arange(0, classes as u32, logits.device())?.reshape(class_shape)?;
    let labels = labels.to_dtype(DType::U32)?.unsqueeze(1)?;
    let one_hot = labels.broadcast_eq(&class)?.to_dtype(logits.dtype())?;
    let products = (&probabilities * &one_hot)?;
    let unions = (((probabilities + one_hot)? - &products)? + 1e-8)?;
    let intersection = products.reshape((batch, classes, ()))?.sum(2)?;
    let union = unions.reshape((batch, classes, ()))?.sum(2)?;
    let ratio = match reduction {
        JaccardReduction::Mean => (intersection.mean_all()? / union.mean_all()?)?,
        JaccardReduction::Sum => (intersection.sum_all()? / union.sum_all()?)?,
    };
    1. - ratio
}
