//! Patch embeddings for patches of another size.

use candle_core::{DType, Device, Result, Tensor};

use super::bicubic::weights;

/// Kernels for patches of `size` pixels a side that embed an enlarged patch as the given ones embed the patch itself; as
/// nearly as they can where patches become smaller.
///
/// Source: Beyer et al., *FlexiViT: One Model for All Patch Sizes* (2023), section 3.4, <https://arxiv.org/abs/2212.08013>:
/// the pseudo-inverse of resizing, as timm's `resample_patch_embed`.
///
/// # Shapes
/// - `kernels`: `[hidden, channels, side, side]`
/// - returns: `[hidden, channels, size, size]`, f64
pub(super) fn resample(kernels: &Tensor, size: usize) -> Result<Tensor> {
    let (hidden, channels, side, _) = kernels.dims4()?;
    let inverse = pseudo_inverse_of_transpose(side, size)?.t()?.contiguous()?;
    let along_last = |kernels: Tensor| {
        let rows = kernels.elem_count() / side;
        kernels
            .contiguous()?
            .reshape((rows, side))?
            .matmul(&inverse)
    };
    let kernels = along_last(kernels.to_dtype(DType::F64)?)?;
    let kernels = kernels.reshape((hidden, channels, side, size))?;
    let kernels = along_last(kernels.transpose(2, 3)?)?;
    let kernels = kernels.reshape((hidden, channels, size, size))?;
    kernels.transpose(2, 3)?.contiguous()
}

/// The pseudo-inverse of the transpose of resizing `from` places to `to`, `[to, from]`.
fn pseudo_inverse_of_transpose(from: usize, to: usize) -> Result<Tensor> {
    let resize = weights(from, to)?;
    let transposed = resize.t()?.contiguous()?;
    // It has full rank, so that the product of its shorter side with itself can be inverted.
    if from <= to {
        let inverse = inverse(&transposed.matmul(&resize)?)?;
        resize.matmul(&inverse)
    } else {
        let inverse = inverse(&resize.matmul(&transposed)?)?;
        inverse.matmul(&resize)
    }
}

/// The inverse of a symmetric positive definite matrix, by Gauss and Jordan's elimination, which needs no pivots there.
fn inverse(matrix: &Tensor) -> Result<Tensor> {
    // Beside each other, the matrix and what becomes its inverse.
    let mut rows = matrix.to_vec2::<f64>()?;
    let size = rows.len();
    for (i, row) in rows.iter_mut().enumerate() {
        row.extend((0..size).map(|j| f64::from(u8::from(i == j))));
    }
    for pivot in 0..size {
        let scale = rows[pivot][pivot];
        let of_pivot: Vec<f64> = rows[pivot].iter().map(|x| x / scale).collect();
        for row in &mut rows {
            let factor = row[pivot];
            for (x, of_pivot) in row.iter_mut().zip(&of_pivot) {
                *x -= factor * of_pivot;
            }
        }
        rows[pivot] = of_pivot;
    }
    let inverse = rows.into_iter().flat_map(|row| row.into_iter().skip(size));
    Tensor::from_vec(inverse.collect(), (size, size), &Device::Cpu)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn noise(shape: (usize, usize, usize, usize)) -> Tensor {
        let count = shape.0 * shape.1 * shape.2 * shape.3;
        let values: Vec<f64> = (0..count)
            .map(|i| ((i * 7919 + 13) % 1013) as f64 / 507. - 1.)
            .collect();
        Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
    }

    #[test]
    fn an_enlarged_patch_embeds_as_before() {
        let (kernels, patch) = (noise((3, 2, 14, 14)), noise((1, 2, 14, 14)));
        let resize = weights(14, 16).unwrap();
        let enlarged: Vec<Tensor> = (0..2)
            .map(|channel| {
                let patch = patch.get(0).unwrap().get(channel).unwrap();
                let rows = resize.matmul(&patch).unwrap();
                rows.matmul(&resize.t().unwrap().contiguous().unwrap())
                    .unwrap()
            })
            .collect();
        let enlarged = Tensor::stack(&enlarged, 0).unwrap().unsqueeze(0).unwrap();
        let embed = |patch: &Tensor, kernels: &Tensor| {
            let products = patch.broadcast_mul(kernels).unwrap();
            products.sum((1, 2, 3)).unwrap().to_vec1::<f64>().unwrap()
        };
        let before = embed(&patch, &kernels);
        let after = embed(&enlarged, &resample(&kernels, 16).unwrap());
        for (before, after) in before.into_iter().zip(after) {
            assert!((before - after).abs() < 1e-9, "{before} {after}");
        }
    }

    #[test]
    fn the_same_size_changes_nothing_and_smaller_patches_embed_what_they_can() {
        let kernels = noise((2, 3, 16, 16));
        let same = resample(&kernels, 16).unwrap();
        let difference = (&same - &kernels).unwrap().abs().unwrap();
        assert!(difference.max_all().unwrap().to_scalar::<f64>().unwrap() < 1e-9);
        // Kernels that see of a patch of 32 pixels what is left of it at 16.
        let resize = weights(32, 16).unwrap();
        let enlarged: Vec<Tensor> = (0..6)
            .map(|i| {
                let kernel = kernels.get(i / 3).unwrap().get(i % 3).unwrap();
                let rows = resize.t().unwrap().contiguous().unwrap().matmul(&kernel);
                rows.unwrap().matmul(&resize).unwrap()
            })
            .collect();
        let enlarged = Tensor::stack(&enlarged, 0).unwrap();
        let smaller = resample(&enlarged.reshape((2, 3, 32, 32)).unwrap(), 16).unwrap();
        let difference = (&smaller - &kernels).unwrap().abs().unwrap();
        assert!(difference.max_all().unwrap().to_scalar::<f64>().unwrap() < 1e-9);
    }
}
