use std::cell::RefCell;
use std::collections::hash_map::{Entry, HashMap};

use candle_core::backprop::GradStore;
use candle_core::{Result, Tensor, TensorId};

thread_local! {
    /// Gradients of variables on their way past Candle's store; nothing while nobody collects.
    static COLLECTED: RefCell<Option<Collected>> = const { RefCell::new(None) };
}

type Collected = HashMap<TensorId, (Tensor, Tensor)>;

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
    struct Restore(Option<Collected>);
    impl Drop for Restore {
        fn drop(&mut self) {
            COLLECTED.set(self.0.take());
        }
    }
    let _restore = Restore(COLLECTED.replace(Some(HashMap::new())));
    let mut store = loss.backward()?;
    for (_, (variable, gradient)) in COLLECTED.take().unwrap_or_default() {
        let gradient = match store.get(&variable) {
            Some(other) => (other + gradient)?,
            None => gradient,
        };
        store.insert(&variable, gradient);
    }
    Ok(store)
}

/// Takes a variable's gradient on its way; gives it back while nobody collects.
///
/// # Errors
/// When it cannot be added to the one that is there already.
pub(crate) fn collect(argument: &Tensor, gradient: Tensor) -> Result<Option<Tensor>> {
    COLLECTED.with_borrow_mut(|collected| {
        let Some(collected) = collected.as_mut().filter(|_| argument.is_variable()) else {
            return Ok(Some(gradient));
        };
        match collected.entry(argument.id()) {
            Entry::Vacant(entry) => {
                entry.insert((argument.clone(), gradient));
            }
            Entry::Occupied(mut entry) => {
                let sum = (&entry.get().1 + gradient)?;
                entry.get_mut().1 = sum;
            }
        }
        Ok(None)
    })
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
}
