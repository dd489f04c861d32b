//! What hangs operations on each other in Candle's graph.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use candle_core::{
    CpuStorage, CudaStorage, CustomOp1, CustomOp2, CustomOp3, DType, Layout, Result, Shape, Tensor,
    bail,
};

use super::entries::{Entry, leave, lock};
use crate::backward::{Use, collect};
use crate::cuda::Array;

/// Gradients on their way to links, by the index of the argument.
pub(super) type Slots = Arc<Mutex<HashMap<usize, Tensor>>>;

/// A number that nobody reads.
pub(super) fn token(storage: &CudaStorage) -> Result<(CudaStorage, Shape)> {
    Array::empty(&storage.device, DType::F32, [1])?.into_storage()
}

pub(super) fn only_on_cuda<T>(name: &str) -> Result<T> {
    bail!("{name} is for tensors on a GPU")
}

/// From an operation's token to its result.
pub(super) struct Reveal {
    pub(super) name: &'static str,
    pub(super) entry: Arc<Entry>,
    pub(super) result: Mutex<Option<Array>>,
}

impl CustomOp1 for Reveal {
    fn name(&self) -> &'static str {
        self.name
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        only_on_cuda(self.name)
    }

    fn cuda_fwd(&self, _: &CudaStorage, _: &Layout) -> Result<(CudaStorage, Shape)> {
        match lock(&self.result).take() {
            Some(result) => result.into_storage(),
            None => bail!("{}: the result has been taken before", self.name),
        }
    }

    fn bwd(&self, token: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        leave(&self.entry.mailbox, Array::of(grad)?)?;
        Ok(Some(token.detach()))
    }
}

/// Hangs an operation on one before it.
pub(super) struct Join;

impl CustomOp2 for Join {
    fn name(&self) -> &'static str {
        "join"
    }

    fn cpu_fwd(
        &self,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        only_on_cuda("join")
    }

    fn cuda_fwd(
        &self,
        storage: &CudaStorage,
        _: &Layout,
        _: &CudaStorage,
        _: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        token(storage)
    }

    fn bwd(
        &self,
        _: &Tensor,
        chain: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        Ok((Some(grad.clone()), onwards(chain, grad)))
    }
}

/// Hangs an operation on an argument that Candle knows.
pub(super) struct Link {
    slots: Slots,
    index: usize,
    _use: Option<Use>,
}

impl CustomOp2 for Link {
    fn name(&self) -> &'static str {
        "link"
    }

    fn cpu_fwd(
        &self,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        only_on_cuda("link")
    }

    fn cuda_fwd(
        &self,
        storage: &CudaStorage,
        _: &Layout,
        _: &CudaStorage,
        _: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        token(storage)
    }

    fn bwd(
        &self,
        argument: &Tensor,
        chain: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        Ok((self.take(argument)?, onwards(chain, grad)))
    }
}

impl Link {
    /// Of the argument of this index, whose gradient will be in a slot.
    pub(super) fn new(argument: &Tensor, index: usize, slots: &Slots) -> Self {
        Self {
            slots: slots.clone(),
            index,
            _use: Use::of(argument),
        }
    }

    /// The gradient of the argument, unless somebody collects those of variables.
    fn take(&self, argument: &Tensor) -> Result<Option<Tensor>> {
        let gradient = lock(&self.slots).remove(&self.index);
        match gradient {
            Some(gradient) => collect(argument, gradient),
            None => Ok(None),
        }
    }
}

/// What a token gets.
fn onwards(token: &Tensor, grad: &Tensor) -> Option<Tensor> {
    token.track_op().then(|| grad.clone())
}

/// Hangs an operation on two arguments that Candle knows.
pub(super) struct Links(pub(super) Link, pub(super) Link);

impl CustomOp3 for Links {
    fn name(&self) -> &'static str {
        "links"
    }

    fn cpu_fwd(
        &self,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        only_on_cuda("links")
    }

    fn cuda_fwd(
        &self,
        storage: &CudaStorage,
        _: &Layout,
        _: &CudaStorage,
        _: &Layout,
        _: &CudaStorage,
        _: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        token(storage)
    }

    fn bwd(
        &self,
        first: &Tensor,
        second: &Tensor,
        chain: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let (of_first, of_second) = (self.0.take(first)?, self.1.take(second)?);
        Ok((of_first, of_second, onwards(chain, grad)))
    }
}
