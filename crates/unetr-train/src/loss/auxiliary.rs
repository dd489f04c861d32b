use candle_core::{DType, Result, Tensor};
use candle_nn::ops::log_softmax;

/// Cross entropy between the logits of a coarse map and the part of each class in the pixels of a cell, mean
/// over the cells; a pixel whose label is no class, or is ignored, is in no part.
///
/// # Shapes
/// - `logits`: `[batch, classes, rows, columns]`
/// - `labels`: `[batch, height, width]`, integers, of height and width that are multiples of the map's
/// - returns: a scalar
///
/// # Errors
/// When the shapes do not fit.
pub(crate) fn auxiliary_cross_entropy(
    logits: &Tensor,
    labels: &Tensor,
    ignore_index: Option<u32>,
) -> Result<Tensor> {
    let (batch, classes, rows, columns) = logits.dims4()?;
    let (images, height, width) = labels.dims3()?;
    if images != batch || height % rows != 0 || width % columns != 0 {
        candle_core::bail!(
            "auxiliary logits of shape {:?} do not divide labels of shape {:?} into equal cells",
            logits.dims(),
            labels.dims()
        );
    }
    let is_class = |class: usize| match ignore_index {
        Some(ignored) if ignored as usize == class => labels.zeros_like()?.to_dtype(DType::F32),
        _ => labels.eq(class as f64)?.to_dtype(DType::F32),
    };
    let is_class: Vec<_> = (0..classes).map(is_class).collect::<Result<_>>()?;
    let parts = Tensor::stack(&is_class, 1)?.avg_pool2d((height / rows, width / columns))?;
    let log_probabilities = log_softmax(&logits.to_dtype(DType::F32)?, 1)?;
    (log_probabilities * parts)?.sum_all()? * (-1. / (batch * rows * columns) as f64)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use candle_core::Device;

    use super::*;

    #[test]
    fn cells_are_compared_with_their_parts_of_classes() {
        let device = Device::Cpu;
        // One row of two cells of 2x2 pixels: 3 of class 0 and 1 of class 1; 2 of class 1 and 2 ignored.
        let labels = Tensor::new(&[[[0u8, 0, 1, 255], [1, 0, 255, 1]]], &device).unwrap();
        let logits = Tensor::new(&[[[[1f32, 0.]], [[0., 2.]]]], &device).unwrap();
        let loss = auxiliary_cross_entropy(&logits, &labels, Some(255)).unwrap();
        let (first, second) = ((1f32.exp() + 1.).ln(), (2f32.exp() + 1.).ln());
        let cells = [0.75 * (first - 1.) + 0.25 * first, 0.5 * (second - 2.)];
        let expected = (cells[0] + cells[1]) / 2.;
        assert!((loss.to_scalar::<f32>().unwrap() - expected).abs() < 1e-6);
        let loss = auxiliary_cross_entropy(&logits, &labels, Some(1)).unwrap();
        let expected = 0.75 * (first - 1.) / 2.;
        assert!((loss.to_scalar::<f32>().unwrap() - expected).abs() < 1e-6);
    }

    #[test]
    fn cells_of_different_sizes_are_refused() {
        let labels = Tensor::zeros((1, 5, 4), DType::U8, &Device::Cpu).unwrap();
        let logits = Tensor::zeros((1, 3, 2, 2), DType::F32, &Device::Cpu).unwrap();
        let error = auxiliary_cross_entropy(&logits, &labels, None).unwrap_err();
        assert!(error.to_string().contains("[1, 3, 2, 2]"), "{error}");
    }
}
