use candle_core::backend::BackendStorage as _;
use candle_core::{
    CpuStorage, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor, WithDType as _,
};
use rayon::prelude::*;

use crate::cpu::{Real, centred_dot, centred_sum_of_squares, elements, for_real, sum};

/// Rows whose share of the affine gradient is summed by one task.
const ROWS: usize = 64;

/// Of an input `[.., n]` and weight and bias stacked to `[2, n]`.
#[derive(Debug, Clone, Copy)]
pub(super) struct LayerNorm {
    pub(super) eps: f64,
}

impl LayerNorm {
    /// Mean and inverse standard deviation of a row.
    fn statistics<T: Real>(self, row: &[T]) -> (T, T) {
        let count = row.len() as f64;
        let mean = T::of(sum(row) / count);
        let variance = centred_sum_of_squares(row, mean) / count;
        (mean, T::of(1. / (variance + self.eps).sqrt()))
    }

    fn forward<T: Real>(self, xs: &[T], affine: &[T]) -> Vec<T> {
        let size = affine.len() / 2;
        let (weight, bias) = affine.split_at(size);
        let mut ys = vec![T::zero(); xs.len()];
        ys.par_chunks_mut(size)
            .zip(xs.par_chunks(size))
            .for_each(|(ys, xs)| {
                let (mean, inverse) = self.statistics(xs);
                for (((y, &x), &weight), &bias) in ys.iter_mut().zip(xs).zip(weight).zip(bias) {
                    *y = (x - mean) * inverse * weight + bias;
                }
            });
        ys
    }

    fn input_gradient<T: Real>(self, xs: &[T], affine: &[T], grads: &[T]) -> Vec<T> {
        let size = affine.len() / 2;
        let weight = &affine[..size];
        let mut result = vec![T::zero(); xs.len()];
        let rows = result
            .par_chunks_mut(size)
            .zip(xs.par_chunks(size))
            .zip(grads.par_chunks(size));
        rows.for_each(|((result, xs), grads)| {
            let (mean, inverse) = self.statistics(xs);
            for ((result, &grad), &weight) in result.iter_mut().zip(grads).zip(weight) {
                *result = grad * weight;
            }
            let of_mean = T::of(sum(result) / size as f64);
            let along = centred_dot(result, xs, mean) * inverse.f64();
            let of_scale = T::of(along / size as f64);
            for (result, &x) in result.iter_mut().zip(xs) {
                *result = (*result - of_mean - (x - mean) * inverse * of_scale) * inverse;
            }
        });
        result
    }

    fn affine_gradient<T: Real>(self, xs: &[T], grads: &[T], size: usize) -> Vec<T> {
        let shares: Vec<Vec<T>> = xs
            .par_chunks(size * ROWS)
            .zip(grads.par_chunks(size * ROWS))
            .map(|(xs, grads)| {
                let mut share = vec![T::zero(); 2 * size];
                let (weight, bias) = share.split_at_mut(size);
                for (xs, grads) in xs.chunks_exact(size).zip(grads.chunks_exact(size)) {
                    let (mean, inverse) = self.statistics(xs);
                    let sums = weight.iter_mut().zip(bias.iter_mut());
                    for (((weight, bias), &x), &grad) in sums.zip(xs).zip(grads) {
                        *weight += grad * ((x - mean) * inverse);
                        *bias += grad;
                    }
                }
                share
            })
            .collect();
        let mut result = vec![T::zero(); 2 * size];
        for share in &shares {
            for (sum, &share) in result.iter_mut().zip(share) {
                *sum += share;
            }
        }
        result
    }
}

impl CustomOp2 for LayerNorm {
    fn name(&self) -> &'static str {
        "layer-norm"
    }

    fn cpu_fwd(
        &self,
        xs: &CpuStorage,
        layout: &Layout,
        affine: &CpuStorage,
        affine_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        for_real!(xs, T => {
            let xs: &[T] = elements(xs, layout)?;
            let ys = self.forward(xs, elements(affine, affine_layout)?);
            Ok((T::to_cpu_storage_owned(ys), layout.shape().clone()))
        })
    }

    fn bwd(
        &self,
        xs: &Tensor,
        affine: &Tensor,
        _res: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let (xs_value, grad) = (xs.detach(), grad.contiguous()?);
        let of_xs = match xs.track_op() {
            true => {
                Some(xs_value.apply_op3_no_bwd(&affine.detach(), &grad, &InputGradient(*self))?)
            }
            false => None,
        };
        let of_affine = match affine.track_op() {
            true => Some(xs_value.apply_op2_no_bwd(&grad, &AffineGradient(*self))?),
            false => None,
        };
        Ok((of_xs, of_affine))
    }
}

struct InputGradient(LayerNorm);

impl CustomOp3 for InputGradient {
    fn name(&self) -> &'static str {
        "layer-norm-input-gradient"
    }

    fn cpu_fwd(
        &self,
        xs: &CpuStorage,
        layout: &Layout,
        affine: &CpuStorage,
        affine_layout: &Layout,
        grads: &CpuStorage,
        grads_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        for_real!(xs, T => {
            let xs: &[T] = elements(xs, layout)?;
            let affine = elements(affine, affine_layout)?;
            let result = self.0.input_gradient(xs, affine, elements(grads, grads_layout)?);
            Ok((T::to_cpu_storage_owned(result), layout.shape().clone()))
        })
    }
}

struct AffineGradient(LayerNorm);

impl CustomOp2 for AffineGradient {
    fn name(&self) -> &'static str {
        "layer-norm-affine-gradient"
    }

    fn cpu_fwd(
        &self,
        xs: &CpuStorage,
        layout: &Layout,
        grads: &CpuStorage,
        grads_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let size = layout.dims().last().copied().unwrap_or(1);
        for_real!(xs, T => {
            let xs: &[T] = elements(xs, layout)?;
            let result = self.0.affine_gradient(xs, elements(grads, grads_layout)?, size);
            Ok((T::to_cpu_storage_owned(result), Shape::from((2, size))))
        })
    }
}
