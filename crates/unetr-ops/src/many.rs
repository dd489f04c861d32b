//! Operations of any number of arguments; Candle's have three.
//!
//! Candle's graph sees an operation of two: the first argument, and a token that stands for all the
//! others. A token is a number that nobody reads; links make it from the other arguments, one by
//! one. When the gradient of the result comes, the operation computes all gradients at once, leaves
//! those of the other arguments in slots and passes a gradient on to the token; upon that each link
//! takes its argument's gradient out of its slot.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use candle_core::op::BackpropOp;
use candle_core::{CpuStorage, CustomOp2, DType, Layout, Result, Shape, Storage, Tensor, bail};

use crate::backward::collect;
use crate::no_grad;

/// The backward pass of an operation, with what its forward pass keeps.
pub(crate) trait Backward: Send + Sync {
    /// The gradients of the arguments, of those at least that are wanted.
    fn backward(
        &self,
        arguments: &[Tensor],
        wanted: &[bool],
        result: &Tensor,
        grad: &Tensor,
    ) -> Result<Vec<Option<Tensor>>>;
}

/// Puts a result into Candle's graph.
///
/// # Errors
/// When there is no argument.
pub(crate) fn node(
    name: &'static str,
    arguments: &[Tensor],
    result: (CpuStorage, Shape),
    backward: impl Backward + 'static,
) -> Result<Tensor> {
    let [first, others @ ..] = arguments else {
        bail!("{name}: no argument");
    };
    if !tracked(arguments) {
        let (storage, shape) = result;
        let storage = Storage::Cpu(storage);
        return Ok(Tensor::from_storage(
            storage,
            shape,
            BackpropOp::none(),
            false,
        ));
    }
    let slots = Slots::default();
    let mut token = Tensor::zeros(1, DType::F32, first.device())?;
    for (index, argument) in others.iter().enumerate() {
        let slots = slots.clone();
        token = argument.apply_op2(&token, Link { slots, index })?;
    }
    let node = Node {
        name,
        arguments: arguments.iter().map(Tensor::detach).collect(),
        wanted: arguments.iter().map(Tensor::track_op).collect(),
        result: Mutex::new(Some(result)),
        backward: Box::new(backward),
        slots,
    };
    first.apply_op2(&token, node)
}

/// Whether a result of these arguments may be asked for its gradient.
pub(crate) fn tracked(arguments: &[Tensor]) -> bool {
    no_grad::is_enabled() && arguments.iter().any(Tensor::track_op)
}

/// Gradients on their way from the operation to its links.
#[derive(Debug, Clone, Default)]
struct Slots(Arc<Mutex<Vec<Option<Tensor>>>>);

impl Slots {
    fn lock(&self) -> MutexGuard<'_, Vec<Option<Tensor>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Link {
    slots: Slots,
    index: usize,
}

impl CustomOp2 for Link {
    fn name(&self) -> &'static str {
        "link"
    }

    fn cpu_fwd(
        &self,
        _: &CpuStorage,
        _: &Layout,
        token: &CpuStorage,
        layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        Ok((token.clone(), layout.shape().clone()))
    }

    fn bwd(
        &self,
        argument: &Tensor,
        token: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let gradient = self.slots.lock()[self.index].take();
        let gradient = match gradient {
            Some(gradient) => collect(argument, gradient)?,
            None => None,
        };
        Ok((gradient, token.track_op().then(|| grad.clone())))
    }
}

struct Node {
    name: &'static str,
    arguments: Vec<Tensor>,
    wanted: Vec<bool>,
    result: Mutex<Option<(CpuStorage, Shape)>>,
    backward: Box<dyn Backward>,
    slots: Slots,
}

impl CustomOp2 for Node {
    fn name(&self) -> &'static str {
        self.name
    }

    fn cpu_fwd(
        &self,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let mut result = self.result.lock().unwrap_or_else(PoisonError::into_inner);
        match result.take() {
            Some(result) => Ok(result),
            None => bail!("{}: the result has been taken before", self.name),
        }
    }

    fn bwd(
        &self,
        first: &Tensor,
        token: &Tensor,
        result: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let result = result.detach();
        let grad = grad.contiguous()?;
        let mut gradients =
            self.backward
                .backward(&self.arguments, &self.wanted, &result, &grad)?;
        for (gradient, wanted) in gradients.iter_mut().zip(&self.wanted) {
            gradient.take_if(|_| !wanted);
        }
        let others = gradients.split_off(1);
        *self.slots.lock() = others;
        let token = match token.track_op() {
            true => Some(token.zeros_like()?),
            false => None,
        };
        Ok((gradients.remove(0).filter(|_| first.track_op()), token))
    }
}
