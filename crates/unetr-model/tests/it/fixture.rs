//! Golden files: see `tests/fixtures/README.md` for their keys and tolerances.

use std::collections::HashMap;
use std::path::PathBuf;

use candle_core::{DType, Device, Tensor, Var};
use candle_nn::VarBuilder;
use unetr_model::{Parameters, flax};

pub struct Fixture {
    tensors: HashMap<String, Tensor>,
}

pub fn path(name: &str) -> PathBuf {
    file(&format!("{name}.safetensors"))
}

/// A file of any kind.
pub fn file(name: &str) -> PathBuf {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures");
    PathBuf::from(folder).join(name)
}

impl Fixture {
    pub fn open(name: &str) -> Self {
        let tensors = candle_core::safetensors::load(path(name), &Device::Cpu).unwrap();
        Self { tensors }
    }

    /// A tensor, channels first if it is an image.
    pub fn get(&self, key: &str) -> Tensor {
        channels_first(&self.tensors[key])
    }

    pub fn contains(&self, key: &str) -> bool {
        self.tensors.contains_key(key)
    }

    /// What the key should be, from float64 where the file has it.
    pub fn reference(&self, key: &str) -> Tensor {
        let exact = format!("x64/{key}");
        self.get(if self.contains(&exact) { &exact } else { key })
    }

    /// The names after `family`.
    pub fn names(&self, family: &str) -> Vec<String> {
        let mut names: Vec<String> = self
            .tensors
            .keys()
            .filter_map(|key| key.strip_prefix(family))
            .map(Into::into)
            .collect();
        names.sort();
        names
    }

    /// The Flax tree `family`, as if it hung at `root` in the network, in this crate's names.
    pub fn tree(&self, family: &str, root: &str) -> HashMap<String, Tensor> {
        let tree = self
            .names(family)
            .into_iter()
            .map(|name| {
                (
                    format!("{root}{name}"),
                    self.tensors[&format!("{family}{name}")].clone(),
                )
            })
            .collect();
        flax::convert(&tree).unwrap()
    }

    /// [`Fixture::tree`] of the float64 values where the file has them.
    pub fn reference_tree(&self, family: &str, root: &str) -> HashMap<String, Tensor> {
        let exact = self.tree(&format!("x64/{family}"), root);
        if exact.is_empty() {
            self.tree(family, root)
        } else {
            exact
        }
    }

    /// All parameters and statistics, as if they hung at `root`.
    pub fn parameters(&self, root: &str, dtype: DType) -> Parameters {
        let mut tensors = self.tree("params/", root);
        tensors.extend(self.tree("stats/", root));
        Parameters::from_tensors(tensors, dtype, &Device::Cpu)
    }

    pub fn inputs(&self, dtype: DType) -> HashMap<String, Var> {
        let input = |name: String| {
            let tensor = self.get(&format!("in/{name}")).to_dtype(dtype).unwrap();
            (name, Var::from_tensor(&tensor).unwrap())
        };
        self.names("in/")
            .into_iter()
            .filter(|name| name != "mask")
            .map(input)
            .collect()
    }
}

fn channels_first(tensor: &Tensor) -> Tensor {
    match tensor.rank() {
        4 => tensor.permute((0, 3, 1, 2)).unwrap().contiguous().unwrap(),
        _ => tensor.clone(),
    }
}

/// `max|a - b|`
pub fn distance(a: &Tensor, b: &Tensor) -> f64 {
    assert_eq!(a.dims(), b.dims());
    let difference = (a.to_dtype(DType::F64).unwrap() - b.to_dtype(DType::F64).unwrap()).unwrap();
    largest(&difference)
}

/// `max|a|`; a NaN is infinite.
pub fn largest(a: &Tensor) -> f64 {
    let values = a
        .flatten_all()
        .unwrap()
        .to_dtype(DType::F64)
        .unwrap()
        .to_vec1::<f64>()
        .unwrap();
    values.iter().fold(0., |most, v| {
        if v.is_nan() {
            f64::INFINITY
        } else {
            v.abs().max(most)
        }
    })
}

/// Asserts that `max|found - expected| / max|expected|` is at most `bound`.
pub fn assert_close(what: &str, found: &Tensor, expected: &Tensor, bound: f64) {
    let deviation = distance(found, expected) / largest(expected);
    assert!(
        deviation <= bound,
        "{what}: {deviation:.2e} is more than {bound:.0e}"
    );
}

/// Compares the gradients of all trainable parameters with the Flax tree `expected`. The key's bias
/// is left out: its gradient is 0, and what is found is noise.
pub fn assert_gradients(
    what: &str,
    parameters: &Parameters,
    gradients: &candle_core::backprop::GradStore,
    expected: &HashMap<String, Tensor>,
    bound: f64,
) {
    assert_eq!(parameters.trainable().len(), expected.len(), "{what}");
    for (name, var) in parameters.trainable() {
        let found = gradients
            .get(&var)
            .unwrap_or_else(|| panic!("{what}: {name} has no gradient"));
        let what = format!("{what}: gradient of {name}");
        if name.ends_with("qkv.bias") {
            let hidden = found.dim(0).unwrap() / 3;
            for start in [0, 2 * hidden] {
                let part = |tensor: &Tensor| tensor.narrow(0, start, hidden).unwrap();
                assert_close(&what, &part(found), &part(&expected[&name]), bound);
            }
        } else {
            assert_close(&what, found, &expected[&name], bound);
        }
    }
}

/// Runs a block in f32 and f64 and compares outputs, statistics and gradients with a golden file.
///
/// `root` is where the block hangs in the Flax network. `run` builds the block from the whole
/// network's variable builder and returns its outputs under the file's names.
pub fn check<F>(name: &str, root: &str, run: F)
where
    F: Fn(VarBuilder<'static>, &HashMap<String, Var>) -> candle_core::Result<Vec<(String, Tensor)>>,
{
    let fixture = Fixture::open(&format!("blocks/{name}"));
    // The references are rounded to f32, 6e-8.
    for (dtype, bound) in [(DType::F32, 1e-5), (DType::F64, 1e-6)] {
        let parameters = fixture.parameters(root, dtype);
        let inputs = fixture.inputs(dtype);
        let outputs = run(parameters.var_builder(), &inputs).unwrap();
        assert_eq!(parameters.unused(), Vec::<String>::new(), "{name}");
        assert_eq!(outputs.len(), fixture.names("out/").len(), "{name}");

        let mut scalar = Tensor::zeros((), dtype, &Device::Cpu).unwrap();
        for (output, found) in &outputs {
            let what = format!("{name} {dtype:?}: {output}");
            assert_close(
                &what,
                found,
                &fixture.reference(&format!("out/{output}")),
                bound,
            );
            let cotangent = fixture
                .get(&format!("cot/{output}"))
                .to_dtype(dtype)
                .unwrap();
            scalar = ((found * cotangent).unwrap().sum_all().unwrap() + scalar).unwrap();
        }
        let gradients = scalar.backward().unwrap();
        for (input, var) in &inputs {
            let found = gradients.get(var).unwrap();
            let expected = fixture.reference(&format!("grad/in/{input}"));
            assert_close(
                &format!("{name} {dtype:?}: {input}"),
                found,
                &expected,
                bound,
            );
        }
        let expected = fixture.reference_tree("grad/params/", root);
        let what = format!("{name} {dtype:?}");
        assert_gradients(&what, &parameters, &gradients, &expected, bound);
        for (statistic, expected) in fixture.reference_tree("stats_after/", root) {
            let found = parameters.get(&statistic).unwrap();
            assert_close(&format!("{what}: {statistic}"), &found, &expected, bound);
        }
    }
}

/// The one output most blocks have.
pub fn y(output: Tensor) -> Vec<(String, Tensor)> {
    vec![("y".into(), output)]
}
