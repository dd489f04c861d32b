//! How an operation on the CPU is written: [`Operation`], kernels on slices of any number of
//! arguments, which [`apply`] puts into Candle's graph.
//!
//! Candle's operations have three arguments at most. Its graph sees an operation of two: the first
//! argument, and a token that stands for all the others. A token is a number that nobody reads; links
//! make it from the other arguments, one by one. When the gradient of the result comes, the operation
//! computes all gradients at once, leaves those of the other arguments in slots and passes a gradient
//! on to the token; upon that each link takes its argument's gradient out of its slot.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use candle_core::op::BackpropOp;
use candle_core::{
    CpuStorage, CustomOp2, DType, Layout, Result, Shape, Storage, Tensor, WithDType as _, bail,
};

use crate::Keep;
use crate::backward::{Use, collect};
use crate::cpu::{Locked, Real, for_real};
use crate::no_grad;

/// A differentiable function of contiguous tensors on the CPU. Everything about it but its arguments'
/// numbers is in `self`: sizes, settings, labels.
pub(crate) trait Operation: Send + Sync + 'static {
    /// What the forward pass leaves to the backward pass, beside the arguments and the result.
    type Kept<T: Real>: Send + 'static;

    /// The elements of the result; with [`Keep::Input`] nobody looks at what is kept.
    fn forward<T: Real>(&self, arguments: &[&[T]], keep: Keep) -> (Vec<T>, Self::Kept<T>);

    /// The gradients of the arguments, of those at least that are wanted.
    fn backward<T: Real>(&self, pass: Backward<'_, T, Self::Kept<T>>) -> Vec<Option<Vec<T>>>;

    /// With [`Keep::Input`], the backward pass computes the forward pass again.
    fn keep(&self) -> Keep {
        Keep::Activations
    }
}

/// What a backward pass begins with.
pub(crate) struct Backward<'a, T, K> {
    pub(crate) arguments: &'a [&'a [T]],
    /// The backward pass's own, to be dropped as soon as it has been used.
    pub(crate) kept: K,
    pub(crate) result: &'a [T],
    /// The gradient of the result.
    pub(crate) grads: &'a [T],
    /// Whose gradients are asked for, in the order of the arguments.
    pub(crate) wanted: &'a [bool],
}

impl<T, K> Backward<'_, T, K> {
    /// The gradients that are wanted, where `gradient` computes that of one argument.
    pub(crate) fn each(&self, mut gradient: impl FnMut(usize) -> Vec<T>) -> Vec<Option<Vec<T>>> {
        let wanted = self.wanted.iter().enumerate();
        wanted
            .map(|(argument, wanted)| wanted.then(|| gradient(argument)))
            .collect()
    }
}

/// Computes an operation, differentiably if an argument is tracked.
///
/// # Errors
/// When there is no argument, or when they are of different types.
pub(crate) fn apply(
    name: &'static str,
    arguments: &[&Tensor],
    shape: impl Into<Shape>,
    op: impl Operation,
) -> Result<Tensor> {
    let contiguous = arguments.iter().map(|x| x.contiguous());
    let arguments: Vec<Tensor> = contiguous.collect::<Result<_>>()?;
    let Some(first) = arguments.first() else {
        bail!("{name}: no argument");
    };
    let shape = shape.into();
    let tracked = no_grad::is_enabled() && arguments.iter().any(Tensor::track_op);
    let keep = if tracked { op.keep() } else { Keep::Input };
    for_real!(first, T => {
        let locked = Locked::new(&arguments);
        let (values, kept) = op.forward::<T>(&locked.elements()?, keep);
        drop(locked);
        let kept = (keep == Keep::Activations).then_some(kept);
        let storage = T::to_cpu_storage_owned(values);
        if tracked {
            node::<_, T>(name, &arguments, (storage, shape), op, kept)
        } else {
            let storage = Storage::Cpu(storage);
            Ok(Tensor::from_storage(storage, shape, BackpropOp::none(), false))
        }
    })
}

/// Puts a result into Candle's graph.
fn node<O: Operation, T: Real>(
    name: &'static str,
    arguments: &[Tensor],
    result: (CpuStorage, Shape),
    op: O,
    kept: Option<O::Kept<T>>,
) -> Result<Tensor> {
    let slots = Slots::default();
    let mut token = Tensor::zeros(1, DType::F32, arguments[0].device())?;
    for (index, argument) in arguments[1..].iter().enumerate() {
        let link = Link {
            slots: slots.clone(),
            index,
            _use: Use::of(argument),
        };
        token = argument.apply_op2(&token, link)?;
    }
    let node = Node::<O, T> {
        name,
        _use: Use::of(&arguments[0]),
        arguments: arguments.iter().map(Tensor::detach).collect(),
        wanted: arguments.iter().map(Tensor::track_op).collect(),
        result: Mutex::new(Some(result)),
        op,
        kept: Mutex::new(kept),
        slots,
    };
    arguments[0].apply_op2(&token, node)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Gradients on their way from the operation to its links.
type Slots = Arc<Mutex<Vec<Option<Tensor>>>>;

struct Link {
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
        let gradient = lock(&self.slots)[self.index].take();
        let gradient = match gradient {
            Some(gradient) => collect(argument, gradient)?,
            None => None,
        };
        Ok((gradient, token.track_op().then(|| grad.clone())))
    }
}

struct Node<O: Operation, T: Real> {
    name: &'static str,
    arguments: Vec<Tensor>,
    wanted: Vec<bool>,
    result: Mutex<Option<(CpuStorage, Shape)>>,
    op: O,
    /// Taken by the backward pass, so that memory falls while it goes on; nothing if it is to be
    /// computed again.
    kept: Mutex<Option<O::Kept<T>>>,
    slots: Slots,
    _use: Option<Use>,
}

impl<O: Operation, T: Real> Node<O, T> {
    fn gradients(&self, result: Tensor, grad: Tensor) -> Result<Vec<Option<Tensor>>> {
        let given = [result, grad];
        let (locked, locked_given) = (Locked::new(&self.arguments), Locked::new(&given));
        let (arguments, given) = (locked.elements::<T>()?, locked_given.elements()?);
        let kept = lock(&self.kept).take();
        let kept = match kept {
            Some(kept) => kept,
            None => self.op.forward(&arguments, Keep::Activations).1,
        };
        let gradients = self.op.backward(Backward {
            arguments: &arguments,
            kept,
            result: given[0],
            grads: given[1],
            wanted: &self.wanted,
        });
        let gradients = gradients.into_iter().zip(&self.wanted);
        gradients
            .zip(&self.arguments)
            .map(|((values, wanted), x)| {
                let values = values.filter(|_| *wanted);
                let tensor = |values| Tensor::from_vec(values, x.shape(), x.device());
                values.map(tensor).transpose()
            })
            .collect()
    }
}

impl<O: Operation, T: Real> CustomOp2 for Node<O, T> {
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
        let result = lock(&self.result).take();
        match result {
            Some(result) => Ok(result),
            None => bail!("{}: the result has been taken before", self.name),
        }
    }

    fn bwd(
        &self,
        argument: &Tensor,
        token: &Tensor,
        result: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let mut gradients = self.gradients(result.detach(), grad.contiguous()?)?;
        let others = gradients.split_off(1);
        *lock(&self.slots) = others;
        let token = match token.track_op() {
            true => Some(token.zeros_like()?),
            false => None,
        };
        let first = match gradients.remove(0) {
            Some(gradient) => collect(argument, gradient)?,
            None => None,
        };
        Ok((first, token))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use candle_core::Var;

    use super::*;
    use crate::check::{random, values};

    /// `x²·y`, which counts how often it is computed and what of it is kept.
    struct Product {
        forwards: Arc<AtomicUsize>,
        alive: Arc<AtomicUsize>,
        keep: Keep,
    }

    struct Square<T> {
        values: Vec<T>,
        alive: Arc<AtomicUsize>,
    }

    impl<T> Drop for Square<T> {
        fn drop(&mut self) {
            self.alive.fetch_sub(1, Ordering::Relaxed);
        }
    }

    impl Operation for Product {
        type Kept<T: Real> = Square<T>;

        fn forward<T: Real>(&self, arguments: &[&[T]], _: Keep) -> (Vec<T>, Square<T>) {
            self.forwards.fetch_add(1, Ordering::Relaxed);
            self.alive.fetch_add(1, Ordering::Relaxed);
            let kept = Square {
                values: arguments[0].iter().map(|&x| x * x).collect(),
                alive: self.alive.clone(),
            };
            let pairs = kept.values.iter().zip(arguments[1]);
            (pairs.map(|(&x, &y)| x * y).collect(), kept)
        }

        fn backward<T: Real>(&self, pass: Backward<'_, T, Square<T>>) -> Vec<Option<Vec<T>>> {
            let pairs = |n: usize| pass.arguments[n].iter().zip(pass.grads);
            pass.each(|argument| match argument {
                0 => {
                    let terms = pairs(0).zip(pass.arguments[1]);
                    terms.map(|((&x, &grad), &y)| (x + x) * y * grad).collect()
                }
                _ => {
                    let terms = pass.kept.values.iter().zip(pass.grads);
                    terms.map(|(&square, &grad)| square * grad).collect()
                }
            })
        }

        fn keep(&self) -> Keep {
            self.keep
        }
    }

    struct Counters {
        forwards: Arc<AtomicUsize>,
        alive: Arc<AtomicUsize>,
    }

    impl Counters {
        /// Forward passes so far, and results that are kept now.
        fn read(&self) -> (usize, usize) {
            let [forwards, alive] =
                [&self.forwards, &self.alive].map(|x| x.load(Ordering::Relaxed));
            (forwards, alive)
        }
    }

    fn product(xs: &Tensor, ys: &Tensor, keep: Keep) -> (Tensor, Counters) {
        let counters = Counters {
            forwards: Arc::default(),
            alive: Arc::default(),
        };
        let op = Product {
            forwards: counters.forwards.clone(),
            alive: counters.alive.clone(),
            keep,
        };
        (
            apply("product", &[xs, ys], xs.shape(), op).unwrap(),
            counters,
        )
    }

    #[test]
    fn what_is_kept_goes_with_the_first_backward_and_is_computed_again_by_the_second() {
        let vars = [1, 2].map(|seed| Var::from_tensor(&random(seed, &[3, 4])).unwrap());
        for (keep, before) in [(Keep::Activations, (1, 1)), (Keep::Input, (1, 0))] {
            let (product, counters) = product(&vars[0], &vars[1], keep);
            assert_eq!(counters.read(), before);
            let loss = product.sum_all().unwrap();
            let gradients = || {
                let store = loss.backward().unwrap();
                [0, 1].map(|i| values(store.get(&vars[i]).unwrap()))
            };
            let first = gradients();
            let again = usize::from(keep == Keep::Input);
            assert_eq!(counters.read(), (1 + again, 0));
            assert_eq!(first, gradients());
            assert_eq!(counters.read(), (2 + again, 0));
            let expected = (vars[0].sqr().unwrap().flatten_all().unwrap())
                .to_vec1::<f64>()
                .unwrap();
            assert_eq!(first[1], expected);
        }
    }

    #[test]
    fn nothing_is_kept_where_nobody_asks_for_a_gradient() {
        let xs = random(1, &[3, 4]);
        let var = Var::from_tensor(&xs).unwrap();
        let (constant, counters) = product(&xs, &xs, Keep::Activations);
        assert!(!constant.track_op());
        assert_eq!(counters.read(), (1, 0));
        let (untracked, counters) = no_grad(|| product(&var, &xs, Keep::Activations));
        assert!(!untracked.track_op());
        assert_eq!(counters.read(), (1, 0));
    }
}
