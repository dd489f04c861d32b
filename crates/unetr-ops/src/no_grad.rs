use std::cell::Cell;

use crate::scope;

thread_local! {
    static DISABLED: Cell<bool> = const { Cell::new(false) };
}

/// Runs `f` without gradients: on this thread, the operations of this crate then keep nothing for a
/// backward pass, even of arguments that are variables.
///
/// # Examples
/// ```
/// use candle_core::{DType, Device, Tensor, Var};
///
/// let weight = Var::ones((4, 3), DType::F32, &Device::Cpu)?;
/// let xs = Tensor::ones((2, 3), DType::F32, &Device::Cpu)?;
/// let ys = unetr_ops::no_grad(|| unetr_ops::linear(&xs, &weight, None))?;
/// assert!(!ys.track_op());
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn no_grad<R>(f: impl FnOnce() -> R) -> R {
    scope::with(&DISABLED, true, f)
}

/// Whether [`no_grad`] is not active.
pub(crate) fn is_enabled() -> bool {
    !DISABLED.get()
}
