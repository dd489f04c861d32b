use std::cell::RefCell;
use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use candle_core::backprop::GradStore;
use candle_core::{Result, Tensor, TensorId};

use crate::error::value_error;

thread_local! {
    /// Gradients of variables on their way past Candle's store; nothing while nobody collects.
    static COLLECTED: RefCell<Option<Collected>> = const { RefCell::new(None) };
}

/// Takes the gradient of a variable, or gives it back.
type Taker = Box<dyn FnMut(&Tensor, Tensor) -> Result<Option<Tensor>>>;

#[derive(Default)]
struct Collected {
    gradients: HashMap<TensorId, Sum>,
    /// Who takes gradients as soon as they are complete.
    taker: Option<Taker>,
    taken: HashSet<TensorId>,
}

/// The gradient of a variable, as far as it is known.
struct Sum {
    variable: Tensor,
    gradient: Tensor,
    terms: usize,
}

/// The gradients of a scalar: those of Candle's `loss.backward()`, in less time and memory.
///
/// Candle adds every gradient to a tensor of zeros; what the operations of this crate compute for
/// their variables is taken as it is.
///
/// # Errors
/// When a gradient cannot be computed.
///
/// # Examples
/// ```
/// use candle_core::{DType, Device, Tensor, Var};
///
/// let weight = Var::ones((4, 3), DType::F32, &Device::Cpu)?;
/// let xs = Tensor::ones((2, 3), DType::F32, &Device::Cpu)?;
/// let loss = unetr_ops::linear(&xs, &weight, None)?.sum_all()?;
/// let gradients = unetr_ops::backward(&loss)?;
/// assert_eq!(gradients.get(&weight).map(Tensor::dims), Some([4, 3].as_slice()));
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn backward(loss: &Tensor) -> Result<GradStore> {
    collect_during(loss, Collected::default())
}

/// [`backward`], which hands gradients over as soon as they are complete, so that they need not all
/// be there at once; what `take` gives back is in the result.
///
/// A variable may be changed as soon as its gradient is taken. Gradients that Candle's own operations
/// compute are in the result and never handed over.
///
/// # Errors
/// When a gradient cannot be computed, when `take` fails, or when the gradient of a variable was taken
/// that is an argument of one of Candle's own operations too: nobody knows before what that adds.
///
/// # Examples
/// ```
/// use candle_core::{DType, Device, Tensor, Var};
///
/// let weight = Var::ones((4, 3), DType::F32, &Device::Cpu)?;
/// let xs = Tensor::ones((2, 3), DType::F32, &Device::Cpu)?;
/// let loss = unetr_ops::linear(&xs, &weight, None)?.sum_all()?;
/// let var = weight.clone();
/// let rest = unetr_ops::backward_with(&loss, move |_, gradient| {
///     var.set(&(var.as_tensor() - gradient)?)?;
///     Ok(None)
/// })?;
/// assert!(rest.get(&weight).is_none());
/// assert_eq!(weight.to_vec2::<f32>()?[0], [-1., -1., -1.]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn backward_with(
    loss: &Tensor,
    take: impl FnMut(&Tensor, Tensor) -> Result<Option<Tensor>> + 'static,
) -> Result<GradStore> {
    let taker: Option<Taker> = Some(Box::new(take));
    collect_during(
        loss,
        Collected {
            taker,
            ..Collected::default()
        },
    )
}

fn collect_during(loss: &Tensor, collected: Collected) -> Result<GradStore> {
    struct Restore(Option<Collected>);
    impl Drop for Restore {
        fn drop(&mut self) {
            COLLECTED.set(self.0.take());
        }
    }
    let _restore = Restore(COLLECTED.replace(Some(collected)));
    let mut store = loss.backward()?;
    let collected = COLLECTED.take().unwrap_or_default();
    if store.get_ids().any(|id| collected.taken.contains(id)) {
        return Err(value_error(
            "backward_with",
            "the loss",
            &"a variable that is an argument of Candle's own operations too",
            "variables that only this crate's operations use; call backward instead",
        ));
    }
    for (_, sum) in collected.gradients {
        let gradient = match store.get(&sum.variable) {
            Some(other) => (other + sum.gradient)?,
            None => sum.gradient,
        };
        store.insert(&sum.variable, gradient);
    }
    Ok(store)
}

/// Takes a variable's gradient on its way; gives it back while nobody collects.
///
/// # Errors
/// When it cannot be added to the one that is there already, or when whoever takes gradients fails.
pub(crate) fn collect(argument: &Tensor, gradient: Tensor) -> Result<Option<Tensor>> {
    let complete = COLLECTED.with_borrow_mut(|collected| {
        let Some(collected) = collected.as_mut().filter(|_| argument.is_variable()) else {
            return Ok(Err(gradient));
        };
        let id = argument.id();
        let terms = match collected.gradients.entry(id) {
            Entry::Vacant(entry) => {
                let sum = Sum {
                    variable: argument.clone(),
                    gradient,
                    terms: 1,
                };
                entry.insert(sum).terms
            }
            Entry::Occupied(entry) => {
                let sum = entry.into_mut();
                sum.gradient = (&sum.gradient + gradient)?;
                sum.terms += 1;
                sum.terms
            }
        };
        let last = collected.taker.is_some() && terms == uses().get(&id).copied().unwrap_or(0);
        Ok::<_, candle_core::Error>(Ok(last
            .then(|| collected.gradients.remove(&id).zip(collected.taker.take()))
            .flatten()))
    })?;
    let (sum, mut taker) = match complete {
        Ok(Some(complete)) => complete,
        Ok(None) => return Ok(None),
        Err(gradient) => return Ok(Some(gradient)),
    };
    let Sum {
        variable,
        gradient,
        terms,
    } = sum;
    let rest = taker(&variable, gradient);
    COLLECTED.with_borrow_mut(|collected| {
        let Some(collected) = collected else {
            return rest;
        };
        collected.taker = Some(taker);
        if let Some(gradient) = rest? {
            let sum = Sum {
                variable,
                gradient,
                terms,
            };
            collected.gradients.insert(sum.variable.id(), sum);
        } else {
            collected.taken.insert(variable.id());
        }
        Ok(None)
    })
}

/// How many operations in graphs that are alive have each variable as an argument.
static USES: LazyLock<Mutex<HashMap<TensorId, usize>>> = LazyLock::new(Mutex::default);

fn uses() -> MutexGuard<'static, HashMap<TensorId, usize>> {
    USES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// That an operation has a variable as an argument, for as long as it is part of a graph.
#[derive(Debug)]
pub(crate) struct Use(TensorId);

impl Use {
    /// Of an argument, if it is a variable.
    pub(crate) fn of(argument: &Tensor) -> Option<Self> {
        argument.is_variable().then(|| {
            *uses().entry(argument.id()).or_default() += 1;
            Self(argument.id())
        })
    }
}

impl Drop for Use {
    fn drop(&mut self) {
        if let Entry::Occupied(mut entry) = uses().entry(self.0) {
            *entry.get_mut() -= 1;
            if *entry.get() == 0 {
                entry.remove();
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use candle_core::Var;

    use super::*;
    use crate::check::{random, values};
    use crate::linear;

    #[test]
    fn gradients_are_those_of_candle_however_often_a_variable_is_used() {
        let weight = Var::from_tensor(&random(1, &[4, 4])).unwrap();
        let bias = Var::from_tensor(&random(2, &[4])).unwrap();
        let xs = Var::from_tensor(&random(3, &[5, 4])).unwrap();
        let ys = linear(&xs, &weight, Some(&bias)).unwrap();
        let ys = linear(&ys, &weight, Some(&bias)).unwrap();
        let loss = (ys.sqr().unwrap() * weight.sum_all().unwrap().broadcast_as((5, 4)).unwrap())
            .unwrap()
            .sum_all()
            .unwrap();
        let (ours, candles) = (backward(&loss).unwrap(), loss.backward().unwrap());
        for var in [&weight, &bias, &xs] {
            let [ours, candles] = [&ours, &candles].map(|store| values(store.get(var).unwrap()));
            for (ours, candles) in ours.iter().zip(&candles) {
                assert!(
                    (ours - candles).abs() <= 1e-12 * candles.abs().max(1.),
                    "{ours} {candles}"
                );
            }
        }
    }

    #[test]
    fn gradients_are_taken_when_they_are_complete() {
        let vars: Vec<Var> = [[4, 4].as_slice(), &[4], &[5, 4]]
            .iter()
            .zip(1..)
            .map(|(shape, seed)| Var::from_tensor(&random(seed, shape)).unwrap())
            .collect();
        let loss = || {
            let ys = linear(&vars[2], &vars[0], Some(&vars[1])).unwrap();
            let ys = linear(&ys, &vars[0], Some(&vars[1])).unwrap();
            ys.sqr().unwrap().sum_all().unwrap()
        };
        let all = backward(&loss()).unwrap();
        // A graph that is still alive could add to any gradient: none is taken then.
        for others in [false, true] {
            let _other_graph = others.then(loss);
            let taken = std::rc::Rc::new(RefCell::new(Vec::new()));
            let (log, given_back) = (taken.clone(), vars[1].id());
            let rest = backward_with(&loss(), move |variable, gradient| {
                log.borrow_mut().push((variable.id(), values(&gradient)));
                Ok((variable.id() == given_back).then_some(gradient))
            })
            .unwrap();
            let taken = taken.borrow();
            for var in &vars {
                let times = taken.iter().filter(|(id, _)| *id == var.id()).count();
                assert_eq!(times, usize::from(!others));
            }
            for var in &vars {
                let full = values(all.get(var).unwrap());
                for (_, gradient) in taken.iter().filter(|(id, _)| *id == var.id()) {
                    assert_eq!(*gradient, full);
                }
                let is_taken = !others && var.id() != given_back;
                let rest = rest.get(var).map(values);
                assert_eq!(rest, (!is_taken).then_some(full));
            }
        }
    }

    #[test]
    fn a_variable_that_candle_uses_too_is_refused() {
        let weight = Var::from_tensor(&random(1, &[4, 4])).unwrap();
        let ys = linear(&random(2, &[5, 4]), &weight, None).unwrap();
        let loss = (ys.sum_all().unwrap() + weight.sum_all().unwrap()).unwrap();
        let error = backward_with(&loss, |_, _| Ok(None))
            .unwrap_err()
            .to_string();
        assert!(error.contains("call backward instead"), "{error}");
    }
}
