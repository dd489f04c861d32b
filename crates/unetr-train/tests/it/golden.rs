//! Golden files: see `tests/fixtures/README.md` for their keys and tolerances.

use std::collections::HashMap;

use candle_core::{DType, Device, Tensor, Var};

pub struct Golden {
    tensors: HashMap<String, Tensor>,
}

impl Golden {
    pub fn open(name: &str) -> Self {
        let path = crate::fixture(&format!("{name}.safetensors"));
        let tensors = candle_core::safetensors::load(path, &Device::Cpu).unwrap();
        Self { tensors }
    }

    /// A tensor, channels first if it is an image.
    pub fn get(&self, key: &str) -> Tensor {
        let tensor = &self.tensors[key];
        match tensor.rank() {
            4 => tensor.permute((0, 3, 1, 2)).unwrap().contiguous().unwrap(),
            _ => tensor.clone(),
        }
    }

    /// Variables of these names, as they are under a prefix.
    pub fn variables(&self, prefix: &str, names: &[&str], dtype: DType) -> Vec<(String, Var)> {
        let variable = |name: &&str| {
            let tensor = self.get(&format!("{prefix}/{name}"));
            let var = Var::from_tensor(&tensor.to_dtype(dtype).unwrap()).unwrap();
            ((*name).to_owned(), var)
        };
        names.iter().map(variable).collect()
    }

    /// A loss that is linear in the variables, and whose gradients are those of a step.
    pub fn loss(&self, variables: &[(String, Var)], step: u64) -> Tensor {
        let mut loss = Tensor::zeros((), variables[0].1.dtype(), &Device::Cpu).unwrap();
        for (name, var) in variables {
            let gradient = self.get(&format!("grads/{step}/{name}"));
            let gradient = gradient.to_dtype(var.dtype()).unwrap();
            let term = (var.as_tensor() * gradient).unwrap().sum_all().unwrap();
            loss = (loss + term).unwrap();
        }
        loss
    }

    pub fn labels(&self, key: &str) -> Tensor {
        self.tensors[key].to_dtype(DType::U32).unwrap()
    }

    /// What the key should be, from float64 where the file has it.
    pub fn reference(&self, key: &str) -> Tensor {
        let exact = format!("x64/{key}");
        if self.tensors.contains_key(&exact) {
            self.get(&exact)
        } else {
            self.get(key)
        }
    }

    /// The Flax tree `family` in this workspace's names.
    pub fn network(&self, family: &str) -> HashMap<String, Tensor> {
        let tree = self
            .tensors
            .iter()
            .filter_map(|(key, tensor)| {
                Some((key.strip_prefix(family)?.to_owned(), tensor.clone()))
            })
            .collect();
        unetr_model::flax::convert(&tree).unwrap()
    }
}

pub fn values(tensor: &Tensor) -> Vec<f64> {
    let flat = tensor.flatten_all().unwrap();
    flat.to_dtype(DType::F64).unwrap().to_vec1().unwrap()
}

/// `max|a|`; a NaN is infinite.
pub fn largest(a: &Tensor) -> f64 {
    values(a)
        .into_iter()
        .map(|v| if v.is_nan() { f64::INFINITY } else { v.abs() })
        .fold(0., f64::max)
}

/// `max|a - b|`
pub fn distance(a: &Tensor, b: &Tensor) -> f64 {
    assert_eq!(a.dims(), b.dims());
    let exact = |tensor: &Tensor| tensor.to_dtype(DType::F64).unwrap();
    largest(&(exact(a) - exact(b)).unwrap())
}
