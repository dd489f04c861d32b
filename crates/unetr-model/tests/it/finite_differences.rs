//! Gradients of networks against finite differences.

use candle_core::{DType, Device, Result, Tensor, Var};

use crate::fixture::{distance, largest};

/// Numbers in -1..1 that look random.
pub fn numbers(shape: &[usize]) -> Tensor {
    let count: usize = shape.iter().product();
    let number = |i: usize| ((i * i + 3 * i) % 1009) as f64 / 504.5 - 1.;
    Tensor::from_vec((0..count).map(number).collect(), shape, &Device::Cpu).unwrap()
}

/// `Σ ys·c` with fixed `c`.
pub fn scalar(ys: &Tensor) -> Tensor {
    (ys * numbers(ys.dims())).unwrap().sum_all().unwrap()
}

/// Asserts that the gradients of `Σ f()·c` agree with central differences in every number of every
/// variable; a missing gradient is zeros.
pub fn assert_gradients(variables: &[(String, Var)], f: impl Fn() -> Result<Tensor>) {
    const STEP: f64 = 1e-5;
    let value = || scalar(&f().unwrap()).to_scalar::<f64>().unwrap();
    let gradients = scalar(&f().unwrap()).backward().unwrap();
    for (name, var) in variables {
        let shape = var.dims();
        let base: Vec<f64> = var.flatten_all().unwrap().to_vec1().unwrap();
        let set = |values: &[f64]| {
            let values = Tensor::from_slice(values, shape, &Device::Cpu).unwrap();
            var.set(&values).unwrap();
        };
        let mut moved = base.clone();
        let mut numeric = Vec::with_capacity(base.len());
        for i in 0..base.len() {
            let mut at = |step: f64| {
                moved[i] = base[i] + step;
                set(&moved);
                value()
            };
            numeric.push((at(STEP) - at(-STEP)) / (2. * STEP));
            moved[i] = base[i];
        }
        set(&base);
        let numeric = Tensor::from_vec(numeric, shape, &Device::Cpu).unwrap();
        let off = match gradients.get(var) {
            Some(gradient) => distance(gradient, &numeric),
            None => largest(&numeric),
        };
        assert_eq!(var.dtype(), DType::F64);
        let bound = 1e-7 * largest(&numeric);
        assert!(off <= bound, "{name}: off by {off:e} of {bound:e}");
    }
}
