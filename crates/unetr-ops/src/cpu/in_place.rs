//! Variables changed in place.

use std::cell::Cell;
use std::marker::PhantomData;

use candle_core::backend::BackendStorage as _;
use candle_core::{CpuStorage, InplaceOp1, Layout, Result, Storage, Tensor, Var, bail};

use super::Real;

/// Which storage a tensor lies in: what is written must not lie in one that is read.
pub(crate) fn storage_of(tensor: &Tensor) -> *const Storage {
    &*tensor.storage_and_layout().0
}

/// Runs a kernel on the elements of a variable, to be changed in place.
pub(crate) fn with_elements_mut<T: InPlace>(
    op: &'static str,
    var: &Var,
    kernel: impl FnOnce(&mut [T]) -> Result<()>,
) -> Result<()> {
    let kernel = Cell::new(Some(kernel));
    var.inplace_op1(&Kernel(op, kernel, PhantomData::<T>))
}

/// A kernel on its way through Candle, to be called once.
struct Kernel<K, T>(&'static str, Cell<Option<K>>, PhantomData<T>);

impl<T: InPlace, K: FnOnce(&mut [T]) -> Result<()>> InplaceOp1 for Kernel<K, T> {
    fn name(&self) -> &'static str {
        self.0
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> Result<()> {
        let elements = match layout.contiguous_offsets() {
            Some((start, end)) => &mut T::slice_mut(storage)?[start..end],
            None => bail!("{}: a variable is not contiguous: {layout:?}", self.0),
        };
        match self.1.take() {
            Some(kernel) => kernel(elements),
            None => bail!("{}: a variable has been changed before", self.0),
        }
    }
}

/// Access that Candle gives for reading alone through `WithDType`.
pub(crate) trait InPlace: Real {
    fn slice_mut(storage: &mut CpuStorage) -> Result<&mut [Self]>;
}

impl InPlace for f32 {
    fn slice_mut(storage: &mut CpuStorage) -> Result<&mut [Self]> {
        match storage {
            CpuStorage::F32(data) => Ok(data),
            other => bail!("expected f32, got {:?}", other.dtype()),
        }
    }
}

impl InPlace for f64 {
    fn slice_mut(storage: &mut CpuStorage) -> Result<&mut [Self]> {
        match storage {
            CpuStorage::F64(data) => Ok(data),
            other => bail!("expected f64, got {:?}", other.dtype()),
        }
    }
}
