use candle_core::backend::BackendStorage as _;
use candle_core::{CpuStorage, InplaceOp2, Layout, Result, Tensor, Var, bail};
use rayon::prelude::*;

use super::AdamStep;
use crate::cpu::{Real, elements, for_real, min_chunks, vectorised};

const CHUNK: usize = 16 * 1024;

pub(super) fn adam_step(
    parameter: &Var,
    gradient: &Tensor,
    moments: &Var,
    step: &AdamStep,
) -> Result<()> {
    moments.inplace_op2(gradient, &Moments(*step))?;
    parameter.inplace_op2(moments, &Update(*step))
}

/// The elements of a contiguous tensor to be changed in place.
fn elements_mut<'a, T: InPlace>(
    storage: &'a mut CpuStorage,
    layout: &Layout,
) -> Result<&'a mut [T]> {
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&mut T::slice_mut(storage)?[start..end]),
        None => bail!("adam_step: a parameter is not contiguous: {layout:?}"),
    }
}

/// Access that Candle gives for reading alone through `WithDType`.
trait InPlace: Real {
    fn slice_mut(storage: &mut CpuStorage) -> Result<&mut [Self]>;
}

impl InPlace for f32 {
    fn slice_mut(storage: &mut CpuStorage) -> Result<&mut [Self]> {
        match storage {
            CpuStorage::F32(data) => Ok(data),
            other => bail!("adam_step: expected f32, got {:?}", other.dtype()),
        }
    }
}

impl InPlace for f64 {
    fn slice_mut(storage: &mut CpuStorage) -> Result<&mut [Self]> {
        match storage {
            CpuStorage::F64(data) => Ok(data),
            other => bail!("adam_step: expected f64, got {:?}", other.dtype()),
        }
    }
}

/// Moves both moments towards a gradient.
struct Moments(AdamStep);

fn move_moments<T: Real>(step: &AdamStep, moments: &mut [T], gradient: &[T]) {
    let (mean, square) = moments.split_at_mut(gradient.len());
    let (keep_mean, keep_square) = (T::of(step.beta1), T::of(step.beta2));
    let (take_mean, take_square) = (T::of(1. - step.beta1), T::of(1. - step.beta2));
    let chunks = mean.par_chunks_mut(CHUNK).zip(square.par_chunks_mut(CHUNK));
    chunks
        .zip(gradient.par_chunks(CHUNK))
        .with_min_len(min_chunks(CHUNK))
        .for_each(|((mean, square), gradient)| {
            vectorised!({
                for ((mean, square), &gradient) in mean.iter_mut().zip(square).zip(gradient) {
                    *mean = keep_mean * *mean + take_mean * gradient;
                    *square = keep_square * *square + take_square * gradient * gradient;
                }
            });
        });
}

impl InplaceOp2 for Moments {
    fn name(&self) -> &'static str {
        "adam-moments"
    }

    fn cpu_fwd(
        &self,
        moments: &mut CpuStorage,
        layout: &Layout,
        gradient: &CpuStorage,
        gradient_layout: &Layout,
    ) -> Result<()> {
        for_real!(gradient, T => {
            let moments: &mut [T] = elements_mut(moments, layout)?;
            move_moments(&self.0, moments, elements(gradient, gradient_layout)?);
            Ok(())
        })
    }
}

/// Moves a parameter by its moments.
struct Update(AdamStep);

fn update<T: Real>(step: &AdamStep, parameter: &mut [T], moments: &[T]) {
    let (mean, square) = moments.split_at(parameter.len());
    let (correct_mean, correct_square) = step.bias_corrections();
    let (correct_mean, correct_square) = (T::of(correct_mean), T::of(correct_square));
    let (rate, eps) = (T::of(step.learning_rate), T::of(step.eps));
    let keep = T::of(1. - step.learning_rate * step.weight_decay);
    let chunks = parameter.par_chunks_mut(CHUNK).zip(mean.par_chunks(CHUNK));
    chunks
        .zip(square.par_chunks(CHUNK))
        .with_min_len(min_chunks(CHUNK))
        .for_each(|((parameter, mean), square)| {
            vectorised!({
                for ((parameter, &mean), &square) in parameter.iter_mut().zip(mean).zip(square) {
                    let root = (square / correct_square).sqrt() + eps;
                    *parameter = keep * *parameter - rate * ((mean / correct_mean) / root);
                }
            });
        });
}

impl InplaceOp2 for Update {
    fn name(&self) -> &'static str {
        "adam-update"
    }

    fn cpu_fwd(
        &self,
        parameter: &mut CpuStorage,
        layout: &Layout,
        moments: &CpuStorage,
        moments_layout: &Layout,
    ) -> Result<()> {
        for_real!(moments, T => {
            let parameter: &mut [T] = elements_mut(parameter, layout)?;
            update(&self.0, parameter, elements(moments, moments_layout)?);
            Ok(())
        })
    }
}
