use candle_core::backend::BackendStorage as _;
use candle_core::{
    CpuStorage, CustomOp1, CustomOp2, Layout, Result, Shape, Tensor, WithDType as _,
};
use rayon::prelude::*;

use crate::cpu::{Real, dot, elements, for_real};

/// Softmax of every row of the last dimension.
pub(super) struct Softmax;

fn softmax<T: Real>(xs: &[T], size: usize) -> Vec<T> {
    let mut ys = vec![T::zero(); xs.len()];
    ys.par_chunks_mut(size.max(1))
        .zip(xs.par_chunks(size.max(1)))
        .for_each(|(ys, xs)| {
            let largest = xs.iter().copied().fold(T::of(f64::NEG_INFINITY), T::larger);
            for (y, &x) in ys.iter_mut().zip(xs) {
                *y = (x - largest).exp();
            }
            let inverse = T::of(1. / crate::cpu::sum(ys));
            for y in ys {
                *y *= inverse;
            }
        });
    ys
}

fn backward<T: Real>(ys: &[T], grads: &[T], size: usize) -> Vec<T> {
    let mut xs = vec![T::zero(); ys.len()];
    let size = size.max(1);
    let rows = xs
        .par_chunks_mut(size)
        .zip(ys.par_chunks(size))
        .zip(grads.par_chunks(size));
    rows.for_each(|((xs, ys), grads)| {
        let mean = T::of(dot(ys, grads));
        for ((x, &y), &grad) in xs.iter_mut().zip(ys).zip(grads) {
            *x = y * (grad - mean);
        }
    });
    xs
}

fn last(layout: &Layout) -> usize {
    layout.dims().last().copied().unwrap_or(1)
}

impl CustomOp1 for Softmax {
    fn name(&self) -> &'static str {
        "softmax"
    }

    fn cpu_fwd(&self, xs: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        for_real!(xs, T => {
            let ys = softmax::<T>(elements(xs, layout)?, last(layout));
            Ok((T::to_cpu_storage_owned(ys), layout.shape().clone()))
        })
    }

    fn bwd(&self, _arg: &Tensor, res: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        res.detach()
            .apply_op2_no_bwd(&grad.contiguous()?, &SoftmaxBackward)
            .map(Some)
    }
}

struct SoftmaxBackward;

impl CustomOp2 for SoftmaxBackward {
    fn name(&self) -> &'static str {
        "softmax-backward"
    }

    fn cpu_fwd(
        &self,
        ys: &CpuStorage,
        layout: &Layout,
        grads: &CpuStorage,
        grads_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        for_real!(ys, T => {
            let ys: &[T] = elements(ys, layout)?;
            let xs = backward(ys, elements(grads, grads_layout)?, last(layout));
            Ok((T::to_cpu_storage_owned(xs), layout.shape().clone()))
        })
    }
}
