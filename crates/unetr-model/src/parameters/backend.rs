use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{DType, Device, Shape, Tensor, Var};
use candle_nn::Init;
use candle_nn::var_builder::SimpleBackend;

use super::{init, is_buffer};
use crate::Error;

/// Variables in the order of their creation, and what new ones start from.
pub(super) struct Store {
    origin: Origin,
    variables: Vec<(String, Var)>,
    positions: HashMap<String, usize>,
    freezes: Option<NameFilter>,
    /// The names of those that modules have without a gradient.
    frozen: HashSet<String>,
}

/// Says of a name whether it is meant.
type NameFilter = Box<dyn Fn(&str) -> bool + Send>;

enum Origin {
    Seed(u64),
    /// What is left of the given tensors: one that becomes a variable is taken out.
    Given(HashMap<String, Tensor>),
}

impl Store {
    pub(super) fn seeded(seed: u64) -> Self {
        Self::new(Origin::Seed(seed))
    }

    pub(super) fn given(tensors: HashMap<String, Tensor>) -> Self {
        Self::new(Origin::Given(tensors))
    }

    fn new(origin: Origin) -> Self {
        Self {
            origin,
            variables: Vec::new(),
            positions: HashMap::new(),
            freezes: None,
            frozen: HashSet::new(),
        }
    }

    pub(super) fn freeze(&mut self, freezes: impl Fn(&str) -> bool + Send + 'static) {
        self.freezes = Some(Box::new(freezes));
    }

    pub(super) fn is_frozen(&self, name: &str) -> bool {
        self.frozen.contains(name)
    }

    /// What a module gets of a variable: of a frozen one its values alone, so that no gradient leads to it. A buffer
    /// stays one, as the module writes to it.
    fn tensor(&mut self, name: &str, var: &Var) -> Tensor {
        match &self.freezes {
            Some(freezes) if freezes(name) && !is_buffer(name) => {
                self.frozen.insert(name.to_owned());
                var.as_detached_tensor()
            }
            _ => {
                self.frozen.remove(name);
                var.as_tensor().clone()
            }
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &(String, Var)> {
        self.variables.iter()
    }

    pub(super) fn get(&self, name: &str) -> Option<&Var> {
        self.positions
            .get(name)
            .map(|&position| &self.variables[position].1)
    }

    /// Names of given tensors that have not become variables, sorted.
    pub(super) fn unused(&self) -> Vec<String> {
        let mut names: Vec<String> = match &self.origin {
            Origin::Seed(_) => Vec::new(),
            Origin::Given(tensors) => tensors.keys().cloned().collect(),
        };
        names.sort_unstable();
        names
    }

    fn insert(&mut self, name: &str, var: Var) {
        self.positions.insert(name.to_owned(), self.variables.len());
        self.variables.push((name.to_owned(), var));
    }

    fn first_value(&mut self, name: &str, shape: &Shape, hint: Init) -> Result<Tensor, Error> {
        match &mut self.origin {
            Origin::Seed(seed) => {
                // One stream a name, so that the order of creation does not matter.
                let values = init::draw(hint, shape, *seed, hash(name));
                // A variable already, which need not be copied to become one.
                Ok(Var::from_vec(values, shape, &Device::Cpu)?.into_inner())
            }
            Origin::Given(tensors) => {
                let missing = || Error::MissingParameter {
                    name: name.to_owned(),
                };
                let tensor = tensors.remove(name).ok_or_else(missing)?;
                check_shape(name, &tensor, shape)?;
                Ok(tensor.detach())
            }
        }
    }
}

/// The store as Candle's variable builder sees it.
pub(super) struct Backend {
    pub(super) store: Arc<Mutex<Store>>,
}

impl SimpleBackend for Backend {
    fn get(
        &self,
        shape: Shape,
        name: &str,
        hint: Init,
        dtype: DType,
        device: &Device,
    ) -> candle_core::Result<Tensor> {
        let mut store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(var) = store.get(name).cloned() {
            check_shape(name, &var, &shape)?;
            check_dtype(name, &var, dtype)?;
            return Ok(store.tensor(name, &var));
        }
        if !dtype.is_float() {
            return Err(Error::DType(dtype).into());
        }
        // Drawn on the CPU whatever the device: the same numbers everywhere.
        let value = store.first_value(name, &shape, hint)?;
        let var = Var::from_tensor(&value.to_dtype(dtype)?.to_device(device)?)?;
        let tensor = store.tensor(name, &var);
        store.insert(name, var);
        Ok(tensor)
    }

    fn get_unchecked(
        &self,
        name: &str,
        dtype: DType,
        _device: &Device,
    ) -> candle_core::Result<Tensor> {
        let mut store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        let missing = || Error::MissingParameter {
            name: name.to_owned(),
        };
        let var = store.get(name).cloned().ok_or_else(missing)?;
        check_dtype(name, &var, dtype)?;
        Ok(store.tensor(name, &var))
    }

    fn contains_tensor(&self, name: &str) -> bool {
        let store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        let given = matches!(&store.origin, Origin::Given(tensors) if tensors.contains_key(name));
        given || store.get(name).is_some()
    }
}

fn check_shape(name: &str, tensor: &Tensor, expected: &Shape) -> Result<(), Error> {
    if tensor.shape() == expected {
        return Ok(());
    }
    let (found, expected) = (tensor.dims().to_vec(), expected.dims().to_vec());
    Err(Error::ParameterShape {
        name: name.to_owned(),
        found,
        expected,
    })
}

fn check_dtype(name: &str, tensor: &Tensor, expected: DType) -> Result<(), Error> {
    if tensor.dtype() == expected {
        return Ok(());
    }
    let (found, expected) = (
        tensor.dtype().as_str().to_owned(),
        expected.as_str().to_owned(),
    );
    Err(Error::ParameterType {
        name: name.to_owned(),
        found,
        expected,
    })
}

/// FNV-1a, 64 bits: a fixed hash, unlike the standard library's.
fn hash(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
