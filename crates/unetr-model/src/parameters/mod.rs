//! Named parameters: where modules get their variables from, and what is saved and loaded.

mod backend;
mod file;
pub mod init;
mod pickle;
mod report;

pub(crate) use report::first_of;
pub use report::{LoadReport, ShapeMismatch};

use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use candle_core::{DType, Device, Tensor, Var};
use candle_nn::VarBuilder;

use self::backend::{Backend, Store};
use self::report::is_ignored;
use crate::Error;

/// The variables of a network, named, in the order in which its modules asked for them.
///
/// Unlike `candle_nn::VarMap` it is seeded: a parameter's first value is a function of the seed and
/// its name, whatever the order of creation and the device. It is ordered, and it says what a file
/// of weights lacked or had too much. Every Candle module can be built from its
/// [`var_builder`](Parameters::var_builder). Clones share the variables.
///
/// # Examples
/// ```
/// use candle_core::{DType, Device};
/// use unetr_model::Parameters;
///
/// let parameters = Parameters::new(0, DType::F32, &Device::Cpu);
/// let layer = candle_nn::linear(4, 2, parameters.var_builder().pp("head"))?;
/// assert_eq!(parameters.names(), ["head.weight", "head.bias"]);
/// assert_eq!(parameters.count(), 10);
/// # Ok::<(), candle_core::Error>(())
/// ```
#[derive(Clone)]
pub struct Parameters {
    store: Arc<Mutex<Store>>,
    dtype: DType,
    device: Device,
}

impl Parameters {
    /// Parameters that start at random: `seed` decides all of them.
    pub fn new(seed: u64, dtype: DType, device: &Device) -> Self {
        Self::with_store(Store::seeded(seed), dtype, device)
    }

    /// Parameters that start at given values; a module that asks for a name that is not among them,
    /// or for another shape, gets an error.
    pub fn from_tensors(tensors: HashMap<String, Tensor>, dtype: DType, device: &Device) -> Self {
        Self::with_store(Store::given(tensors), dtype, device)
    }

    /// [`Parameters::from_tensors`] with the tensors of a safetensors file, or of a checkpoint of PyTorch named
    /// `.pth`, `.pt`, `.ckpt` or `.bin`.
    ///
    /// # Errors
    /// When the file cannot be read or is not valid.
    pub fn open(path: impl AsRef<Path>, dtype: DType, device: &Device) -> Result<Self, Error> {
        Ok(Self::from_tensors(
            file::read(path.as_ref())?.tensors,
            dtype,
            device,
        ))
    }

    fn with_store(store: Store, dtype: DType, device: &Device) -> Self {
        Self {
            store: Arc::new(Mutex::new(store)),
            dtype,
            device: device.clone(),
        }
    }

    /// Keeps gradients from the parameters with some names, in modules that are built from now on: what leads to
    /// nothing else is not computed either, such as the whole way back through an encoder.
    ///
    /// # Examples
    /// ```
    /// use candle_core::{DType, Device, Module, Tensor};
    /// use unetr_model::Parameters;
    ///
    /// let parameters = Parameters::new(0, DType::F32, &Device::Cpu);
    /// parameters.freeze(|name| name == "head.weight");
    /// let layer = candle_nn::linear(4, 2, parameters.var_builder().pp("head"))?;
    /// let xs = Tensor::ones((1, 4), DType::F32, &Device::Cpu)?;
    /// let gradients = layer.forward(&xs)?.sum_all()?.backward()?;
    /// let has = |name| parameters.get(name).is_some_and(|var| gradients.get(&var).is_some());
    /// assert!(has("head.bias") && !has("head.weight"));
    /// assert!(parameters.is_frozen("head.weight") && !parameters.is_frozen("head.bias"));
    /// # Ok::<(), candle_core::Error>(())
    /// ```
    pub fn freeze(&self, frozen: impl Fn(&str) -> bool + Send + 'static) {
        self.store().freeze(frozen);
    }

    /// Whether the module that asked last for the parameter of this name was given it without gradients, see
    /// [`freeze`](Self::freeze). A network that was loaded is built again from its parameters to freeze some.
    pub fn is_frozen(&self, name: &str) -> bool {
        self.store().is_frozen(name)
    }

    /// A source of variables for modules. Asked for a name for the first time it creates the
    /// variable, after that it returns the same one.
    pub fn var_builder(&self) -> VarBuilder<'static> {
        let backend = Box::new(Backend {
            store: Arc::clone(&self.store),
        });
        VarBuilder::from_backend(backend, self.dtype, self.device.clone())
    }

    /// The type of the parameters.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// Where the parameters are.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// All names, in the order of creation.
    pub fn names(&self) -> Vec<String> {
        self.store().iter().map(|(name, _)| name.clone()).collect()
    }

    /// The variable of that name.
    pub fn get(&self, name: &str) -> Option<Var> {
        self.store().get(name).cloned()
    }

    /// All variables with their names, in the order of creation.
    pub fn variables(&self) -> Vec<(String, Var)> {
        self.store()
            .iter()
            .map(|(name, var)| (name.clone(), var.clone()))
            .collect()
    }

    /// The variables an optimiser moves: all but the running statistics of batch normalisations.
    pub fn trainable(&self) -> Vec<(String, Var)> {
        let mut variables = self.variables();
        variables.retain(|(name, _)| !is_buffer(name));
        variables
    }

    /// How many numbers are trained.
    pub fn count(&self) -> usize {
        self.trainable()
            .iter()
            .map(|(_, var)| var.elem_count())
            .sum()
    }

    /// The names given to [`Parameters::from_tensors`] that no module has asked for, but for those that other
    /// libraries write and no network reads ([`LoadReport::ignored`]).
    pub fn unused(&self) -> Vec<String> {
        let mut names = self.store().unused();
        names.retain(|name| !is_ignored(name));
        names
    }

    /// Takes over the values of `tensors`, converted to each variable's type, wherever name and
    /// shape agree.
    ///
    /// # Errors
    /// When a tensor cannot be converted or copied.
    pub fn assign(&self, tensors: &HashMap<String, Tensor>) -> Result<LoadReport, Error> {
        let report = LoadReport::compare(&self.variables(), tensors);
        for (name, var) in self.variables() {
            match tensors.get(&name) {
                Some(tensor) if tensor.shape() == var.shape() => {
                    let tensor = tensor
                        .detach()
                        .to_dtype(var.dtype())?
                        .to_device(var.device())?;
                    // A copy: setting a variable to a view of itself would deadlock.
                    var.set(&tensor.copy()?)?;
                }
                _ => {}
            }
        }
        Ok(report)
    }

    /// Writes all variables to a safetensors file.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), Error> {
        let tensors = self.variables().into_iter();
        let tensors = tensors.map(|(name, var)| (name, var.as_detached_tensor()));
        file::write(path.as_ref(), tensors)
    }

    /// Takes over the tensors of a file as [`open`](Self::open) reads it wherever name and shape agree, and
    /// reports the rest. Floating-point types are converted.
    ///
    /// # Errors
    /// When the file cannot be read or is not valid, or when a safetensors file holds integers.
    pub fn load(&self, path: impl AsRef<Path>) -> Result<LoadReport, Error> {
        let file = file::read(path.as_ref())?;
        let mut report = self.assign(&file.tensors)?;
        report.ignore(file.ignored);
        Ok(report)
    }

    /// [`Parameters::load`] of a file that must hold exactly these parameters; if it does not,
    /// nothing changes.
    ///
    /// # Errors
    /// As [`Parameters::load`], and when a parameter is missing, unexpected or of another shape.
    pub fn load_strict(&self, path: impl AsRef<Path>) -> Result<LoadReport, Error> {
        let path = path.as_ref();
        let file = file::read(path)?;
        let mut report = LoadReport::compare(&self.variables(), &file.tensors);
        if !report.is_exact() {
            return Err(Error::Mismatch {
                path: path.to_owned(),
                report: report.into(),
            });
        }
        self.assign(&file.tensors)?;
        report.ignore(file.ignored);
        Ok(report)
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        // A store is consistent after every statement, so a panic elsewhere has not broken it.
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Parameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parameters")
            .field("names", &self.names())
            .field("dtype", &self.dtype)
            .field("device", &self.device)
            .finish()
    }
}

/// The tensors of a file of weights that networks read, on the CPU.
pub(crate) fn read_tensors(path: &Path) -> Result<HashMap<String, Tensor>, Error> {
    let mut tensors = file::read(path)?.tensors;
    tensors.retain(|name, _| !is_ignored(name));
    Ok(tensors)
}

/// Writes tensors of any device to a safetensors file.
pub(crate) fn write_tensors(
    path: &Path,
    tensors: impl IntoIterator<Item = (String, Tensor)>,
) -> Result<(), Error> {
    file::write(path, tensors)
}

fn is_buffer(name: &str) -> bool {
    matches!(
        name.rsplit('.').next(),
        Some("running_mean" | "running_var")
    )
}
