//! From tensors on any device to class indices on the CPU.

use candle_core::{DType, Device, Storage, Tensor, WithDType};

use crate::{Error, Result};

/// Pixels whose best class is searched together: two buffers of this length stay in the L1 cache
/// while every class plane is read once, in order.
const BLOCK: usize = 1024;

/// The class of highest logit of every pixel, ties to the lowest index.
///
/// # Shapes
/// - `logits`: `[b, c, ...]` with `c` of at least 1
/// - result: `b * ...` classes
pub(crate) fn predicted_classes(logits: &Tensor) -> Result<Vec<u32>> {
    if logits.device().is_cpu() {
        return argmax_on_cpu(logits);
    }
    // host sync: reads the predicted classes, a fraction of the logits' bytes
    Ok(argmax_on_device(logits)?.flatten_all()?.to_vec1()?)
}

fn argmax_on_cpu(logits: &Tensor) -> Result<Vec<u32>> {
    let (b, c) = (logits.dims()[0], logits.dims()[1]);
    match logits.dtype() {
        DType::F32 => with_slice(logits, |values| argmax_planes::<f32>(values, b, c)),
        DType::F64 => with_slice(logits, |values| argmax_planes::<f64>(values, b, c)),
        _ => with_slice(&logits.to_dtype(DType::F32)?, |values| {
            argmax_planes::<f32>(values, b, c)
        }),
    }
}

/// The argmax in Candle's operations. Not `Tensor::argmax`, which leaves open which of several
/// equal logits wins on a GPU.
fn argmax_on_device(logits: &Tensor) -> Result<Tensor> {
    let first = logits.narrow(1, 0, 1)?;
    let mut best = first.contiguous()?;
    let mut class = first.zeros_like()?.to_dtype(DType::U32)?;
    for c in 1..logits.dim(1)? {
        let candidate = logits.narrow(1, c, 1)?.contiguous()?;
        let index = Tensor::full(c as u32, class.shape(), class.device())?;
        let better = candidate.gt(&best)?;
        class = better.where_cond(&index, &class)?;
        best = better.where_cond(&candidate, &best)?;
    }
    Ok(class)
}

fn argmax_planes<T: PartialOrd + Copy>(values: &[T], b: usize, c: usize) -> Vec<u32> {
    let mut classes = vec![0u32; values.len() / c];
    if classes.is_empty() {
        return classes;
    }
    let pixels = classes.len() / b;
    let mut best = Vec::with_capacity(BLOCK);
    for (image, classes) in values
        .chunks_exact(c * pixels)
        .zip(classes.chunks_exact_mut(pixels))
    {
        for (block, classes) in classes.chunks_mut(BLOCK).enumerate() {
            let start = block * BLOCK;
            best.clear();
            best.extend_from_slice(&image[start..start + classes.len()]);
            for (plane, index) in image.chunks_exact(pixels).zip(0u32..).skip(1) {
                let candidates = &plane[start..start + classes.len()];
                for ((class, best), &candidate) in classes.iter_mut().zip(&mut best).zip(candidates)
                {
                    if candidate > *best {
                        *best = candidate;
                        *class = index;
                    }
                }
            }
        }
    }
    classes
}

/// Integer labels of any supported type, flattened.
pub(crate) fn class_labels(labels: &Tensor) -> Result<Vec<i64>> {
    match labels.dtype() {
        DType::U8 => with_slice(labels, |values: &[u8]| {
            values.iter().map(|&v| v.into()).collect()
        }),
        DType::U32 => with_slice(labels, |values: &[u32]| {
            values.iter().map(|&v| v.into()).collect()
        }),
        DType::I32 => with_slice(labels, |values: &[i32]| {
            values.iter().map(|&v| v.into()).collect()
        }),
        DType::I64 => with_slice(labels, <[i64]>::to_vec),
        other => Err(Error::LabelType {
            found: other.as_str(),
        }),
    }
}

/// Lends the values of a tensor, without a copy when it lies contiguous on the CPU.
fn with_slice<T: WithDType, R>(tensor: &Tensor, read: impl FnOnce(&[T]) -> R) -> Result<R> {
    // host sync: a tensor of a GPU is downloaded
    let tensor = tensor.to_device(&Device::Cpu)?.contiguous()?;
    let (storage, layout) = tensor.storage_and_layout();
    match (&*storage, layout.contiguous_offsets()) {
        (Storage::Cpu(storage), Some((start, end))) => {
            Ok(read(&storage.as_slice::<T>()?[start..end]))
        }
        _ => Err(candle_core::Error::msg("a contiguous tensor on the CPU was expected").into()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn both_ways_agree_on_ties_and_on_more_than_one_block() {
        // A few distinct values, so that most pixels have ties.
        let values: Vec<f32> = (0..2 * 5 * 2500)
            .map(|i: u32| (i.wrapping_mul(2_654_435_761) >> 30) as f32)
            .collect();
        let logits = Tensor::from_vec(values, (2, 5, 50, 50), &Device::Cpu).unwrap();
        let device: Vec<u32> = argmax_on_device(&logits)
            .unwrap()
            .flatten_all()
            .unwrap()
            .to_vec1()
            .unwrap();
        assert_eq!(argmax_on_cpu(&logits).unwrap(), device);
        assert!((0..4).all(|class| device.contains(&class)));
    }
}
