//! What the tests of the operations share: random tensors, comparison, finite differences.

use candle_core::{DType, Device, Result, Tensor, Var};
use rand::{Rng, SeedableRng};

/// Numbers in -1..1, the same for the same seed.
pub(crate) fn random(seed: u64, shape: &[usize]) -> Tensor {
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
    let count = shape.iter().product();
    let values: Vec<f64> = (0..count).map(|_| rng.random_range(-1.0..1.0)).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

/// Scores of `[batch, classes, height, width]`, and labels of which every eleventh is 255.
pub(crate) fn scores_and_labels(shape: [usize; 4]) -> (Tensor, Tensor) {
    let [b, classes, h, w] = shape;
    let label = |i: usize| match i % 11 {
        5 => 255,
        _ => (i * 7 % classes) as u8,
    };
    let labels: Vec<u8> = (0..b * h * w).map(label).collect();
    let labels = Tensor::from_vec(labels, (b, h, w), &Device::Cpu).unwrap();
    ((random(1, &shape) * 3.).unwrap(), labels)
}

/// Asserts of a loss that leaves out pixels with the label 255: their gradient is 0, whatever their
/// scores are, and of nothing else the loss is 0; that a wrong label is an error; and that the number
/// of threads changes nothing.
pub(crate) fn assert_ignores(what: &str, loss: impl Fn(&Tensor, &Tensor) -> Result<Tensor> + Sync) {
    let run = |logits: &Tensor, labels: &Tensor| {
        let logits = Var::from_tensor(logits).unwrap();
        let ys = loss(&logits, labels).unwrap();
        let grads = ys.sum_all().unwrap().backward().unwrap();
        (values(&ys), values(grads.get(&logits).unwrap()))
    };
    let (logits, labels) = scores_and_labels([2, 3, 13, 29]);
    let ignored = labels.eq(255u8).unwrap().unsqueeze(1).unwrap();
    let ignored = ignored.broadcast_as(logits.shape()).unwrap();
    let (ys, grads) = run(&logits, &labels);
    let wild = (logits.ones_like().unwrap() * f64::NAN).unwrap();
    let wild = ignored.where_cond(&wild, &logits).unwrap();
    assert_eq!(
        run(&wild, &labels),
        (ys, grads.clone()),
        "{what}: scores of ignored pixels"
    );
    // Of this type there are no kernels.
    let narrow = |logits: &Tensor| logits.to_dtype(DType::BF16).unwrap();
    assert_eq!(loss(&narrow(&logits), &labels).unwrap().dtype(), DType::F32);
    let half = |logits: &Tensor| run(&narrow(logits), &labels);
    assert_eq!(half(&wild), half(&logits), "{what}: ignored pixels in bf16");
    for (grad, ignored) in grads.iter().zip(values(&ignored)) {
        assert_eq!(
            *grad == 0.,
            ignored == 1.,
            "{what}: {grad}, ignored: {ignored}"
        );
    }
    let nothing = (labels.ones_like().unwrap() * 255.).unwrap();
    let (ys, grads) = run(&logits, &nothing);
    assert!(
        ys.iter().chain(&grads).all(|&x| x == 0.),
        "{what}: of nothing {ys:?}"
    );
    let wrong = (labels.ones_like().unwrap() * 3.).unwrap();
    let error = loss(&logits, &wrong).unwrap_err().to_string();
    assert!(
        error.contains("is out of range for 3 classes"),
        "{what}: {error}"
    );

    let (logits, labels) = scores_and_labels([3, 3, 210, 211]);
    let logits = logits.to_dtype(DType::F32).unwrap();
    let with_threads = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        pool.unwrap().install(|| run(&logits, &labels))
    };
    let one = with_threads(1);
    assert!(
        with_threads(2) == one && with_threads(5) == one,
        "{what}: threads"
    );
}

pub(crate) fn values(xs: &Tensor) -> Vec<f64> {
    let xs = xs.to_dtype(DType::F64).unwrap();
    xs.flatten_all().unwrap().to_vec1().unwrap()
}

/// Asserts that two tensors agree to `bound` of the second one's largest value.
pub(crate) fn assert_close(what: &str, found: &Tensor, expected: &Tensor, bound: f64) {
    assert_eq!(found.dims(), expected.dims(), "{what}: shapes differ");
    let (found, expected) = (values(found), values(expected));
    let scale = expected
        .iter()
        .fold(1e-30_f64, |scale, x| scale.max(x.abs()));
    for (i, (found, expected)) in found.iter().zip(&expected).enumerate() {
        let off = (found - expected).abs() / scale;
        assert!(
            off <= bound,
            "{what}[{i}]: {found} instead of {expected}, off by {off:e} of {scale}"
        );
    }
}

/// Asserts that the gradients of `Σ f(inputs)·c`, `c` fixed and random, agree with central
/// differences in every element of every input.
pub(crate) fn assert_gradients(
    what: &str,
    inputs: &[Tensor],
    f: impl Fn(&[Tensor]) -> Result<Tensor>,
) {
    const STEP: f64 = 1e-5;
    let scalar = |inputs: &[Tensor]| -> Result<Tensor> {
        let ys = f(inputs)?;
        (&ys * random(77, ys.dims()))?.sum_all()
    };
    let vars: Vec<Var> = inputs
        .iter()
        .map(|x| Var::from_tensor(x).unwrap())
        .collect();
    let tracked: Vec<Tensor> = vars.iter().map(|var| var.as_tensor().clone()).collect();
    let grads = scalar(&tracked).unwrap().backward().unwrap();
    for (n, var) in vars.iter().enumerate() {
        let grad = grads
            .get(var)
            .unwrap_or_else(|| panic!("{what}: input {n} has no gradient"));
        assert_eq!(grad.dims(), var.dims(), "{what}: gradient of input {n}");
        let base = values(&inputs[n]);
        let numeric: Vec<f64> = (0..base.len())
            .map(|i| {
                let at = |delta: f64| {
                    let mut moved = base.clone();
                    moved[i] += delta;
                    let mut inputs = inputs.to_vec();
                    inputs[n] = Tensor::from_vec(moved, var.dims(), &Device::Cpu).unwrap();
                    scalar(&inputs).unwrap().to_scalar::<f64>().unwrap()
                };
                (at(STEP) - at(-STEP)) / (2. * STEP)
            })
            .collect();
        let numeric = Tensor::from_vec(numeric, var.dims(), &Device::Cpu).unwrap();
        assert_close(
            &format!("{what}: gradient of input {n}"),
            grad,
            &numeric,
            1e-7,
        );
    }
}

/// Asserts that two implementations agree in their output and in the gradients of every input, in
/// f64 and, to a looser bound, in f32.
pub(crate) fn assert_same(
    what: &str,
    inputs: &[Tensor],
    f: impl Fn(&[Tensor]) -> Result<Tensor>,
    reference: impl Fn(&[Tensor]) -> Result<Tensor>,
) {
    let run = |f: &dyn Fn(&[Tensor]) -> Result<Tensor>, dtype| {
        let vars: Vec<Var> = inputs
            .iter()
            .map(|x| Var::from_tensor(&x.to_dtype(dtype).unwrap()).unwrap())
            .collect();
        let tracked: Vec<Tensor> = vars.iter().map(|var| var.as_tensor().clone()).collect();
        let ys = f(&tracked).unwrap();
        let weights = random(78, ys.dims()).to_dtype(dtype).unwrap();
        let grads = (&ys * weights)
            .unwrap()
            .sum_all()
            .unwrap()
            .backward()
            .unwrap();
        let grads: Vec<Tensor> = vars
            .iter()
            .map(|var| grads.get(var).expect("a gradient").clone())
            .collect();
        (ys, grads)
    };
    for (dtype, bound) in [(DType::F64, 1e-12), (DType::F32, 1e-5)] {
        let (ys, grads) = run(&f, dtype);
        let (expected, expected_grads) = run(&reference, DType::F64);
        assert_close(&format!("{what} in {dtype:?}"), &ys, &expected, bound);
        for (n, (grad, expected)) in grads.iter().zip(&expected_grads).enumerate() {
            assert_close(
                &format!("{what} in {dtype:?}: gradient {n}"),
                grad,
                expected,
                bound,
            );
        }
    }
}
