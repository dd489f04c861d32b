use std::cell::Cell;
use std::collections::HashSet;
use std::marker::PhantomData;

use candle_core::backend::BackendStorage as _;
use candle_core::{CpuStorage, InplaceOp1, Layout, Result, Storage, Tensor, Var, bail};
use rayon::prelude::*;

use super::{AdamStep, AdamUpdate, OP};
use crate::OpError;
use crate::cpu::{Real, for_real, min_chunks, vectorised, with_elements};

const CHUNK: usize = 16 * 1024;

/// All parameters in one parallel region: threads share the large ones, and take small ones whole.
pub(super) fn adam_steps(updates: &[AdamUpdate<'_>]) -> Result<()> {
    let gradients = readable_gradients(updates)?;
    let pairs = updates.par_iter().zip(&gradients);
    pairs.try_for_each(|(update, gradient)| {
        for_real!(gradient, T => with_elements_mut(update.moments, |moments: &mut [T]| {
            with_elements_mut(update.parameter, |parameter: &mut [T]| {
                with_elements(gradient, |gradient: &[T]| {
                    update_elements(&update.step, parameter, gradient, moments);
                })
            })
        }))
    })
}

/// The gradients, contiguous, and copied where they lie in what is written to.
///
/// # Errors
/// When something would be written to twice: two threads would wait for each other.
fn readable_gradients(updates: &[AdamUpdate<'_>]) -> Result<Vec<Tensor>> {
    let storage = |tensor: &Tensor| -> *const Storage { &*tensor.storage_and_layout().0 };
    let mut written = HashSet::new();
    for update in updates {
        for var in [update.parameter, update.moments] {
            if !written.insert(storage(var)) {
                let (found, expected) = ("one of them twice".into(), "each one once".into());
                return Err(OpError::Value {
                    op: OP,
                    argument: "the parameters and moments",
                    found,
                    expected,
                }
                .into());
            }
        }
    }
    let gradients = updates.iter().map(|update| update.gradient.detach());
    gradients
        .map(|gradient| match written.contains(&storage(&gradient)) {
            true => gradient.copy()?.contiguous(),
            false => gradient.contiguous(),
        })
        .collect()
}

/// Runs a kernel on the elements of a variable, to be changed in place.
fn with_elements_mut<T: InPlace>(
    var: &Var,
    kernel: impl FnOnce(&mut [T]) -> Result<()>,
) -> Result<()> {
    var.inplace_op1(&Kernel(Cell::new(Some(kernel)), PhantomData::<T>))
}

/// A kernel on its way through Candle, to be called once.
struct Kernel<K, T>(Cell<Option<K>>, PhantomData<T>);

impl<T: InPlace, K: FnOnce(&mut [T]) -> Result<()>> InplaceOp1 for Kernel<K, T> {
    fn name(&self) -> &'static str {
        OP
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> Result<()> {
        let elements = match layout.contiguous_offsets() {
            Some((start, end)) => &mut T::slice_mut(storage)?[start..end],
            None => bail!("{OP}: a variable is not contiguous: {layout:?}"),
        };
        match self.0.take() {
            Some(kernel) => kernel(elements),
            None => bail!("{OP}: a variable has been changed before"),
        }
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
            other => bail!("{OP}: expected f32, got {:?}", other.dtype()),
        }
    }
}

impl InPlace for f64 {
    fn slice_mut(storage: &mut CpuStorage) -> Result<&mut [Self]> {
        match storage {
            CpuStorage::F64(data) => Ok(data),
            other => bail!("{OP}: expected f64, got {:?}", other.dtype()),
        }
    }
}

/// Moves both moments towards a gradient, and the parameter by them.
fn update_elements<T: Real>(
    step: &AdamStep,
    parameter: &mut [T],
    gradient: &[T],
    moments: &mut [T],
) {
    let (mean, square) = moments.split_at_mut(gradient.len());
    let (keep_mean, keep_square) = (T::of(step.beta1), T::of(step.beta2));
    let (take_mean, take_square) = (T::of(1. - step.beta1), T::of(1. - step.beta2));
    let (correct_mean, correct_square) = step.bias_corrections();
    // One division for each number.
    let rate = T::of(step.learning_rate / correct_mean);
    let (correct_root, eps) = (T::of(1. / correct_square.sqrt()), T::of(step.eps));
    let keep = T::of(1. - step.learning_rate * step.weight_decay);
    let chunks = parameter
        .par_chunks_mut(CHUNK)
        .zip(gradient.par_chunks(CHUNK))
        .zip(mean.par_chunks_mut(CHUNK))
        .zip(square.par_chunks_mut(CHUNK));
    chunks
        .with_min_len(min_chunks(CHUNK))
        .for_each(|(((parameter, gradient), mean), square)| {
            vectorised!({
                let moments = mean.iter_mut().zip(square);
                let elements = parameter.iter_mut().zip(gradient).zip(moments);
                for ((parameter, &gradient), (mean, square)) in elements {
                    *mean = keep_mean * *mean + take_mean * gradient;
                    *square = keep_square * *square + take_square * gradient * gradient;
                    let root = square.sqrt() * correct_root + eps;
                    *parameter = keep * *parameter - rate * *mean / root;
                }
            });
        });
}
