use std::path::{Path, PathBuf};

use candle_core::DType;

use crate::LoadReport;

/// The result of what can be refused here.
pub type Result<T, E = Error> = std::result::Result<T, E>;

// Messages say what their source says. As `r#source` it is not the cause too, which would say it twice.

/// What this crate refuses to build, load or convert.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The image does not split into whole patches.
    #[error(
        "image size {found} is not a multiple of the patch size {patch}; pad or resize to {wanted}"
    )]
    ImageSize {
        /// The height or width that does not fit.
        found: usize,
        /// The patch size.
        patch: usize,
        /// The next multiple.
        wanted: usize,
    },
    /// The decoder cannot bring patches of this size back to the image's resolution.
    #[error(
        "patch size {found} is not possible for UNETR, whose decoder upsamples four times by 2; use 16"
    )]
    PatchSize {
        /// The patch size found.
        found: usize,
    },
    /// The hidden size does not split into heads.
    #[error(
        "hidden size {hidden} is not divisible by {heads} heads; change one of them so that it is"
    )]
    Heads {
        /// The hidden size.
        hidden: usize,
        /// The number of heads.
        heads: usize,
    },
    /// A setting is outside its range.
    #[error("{what} is {found}, expected {expected}")]
    Setting {
        /// The field of the configuration.
        what: &'static str,
        /// Its value.
        found: String,
        /// The range it should be in.
        expected: &'static str,
    },
    /// The images are not what the network was configured for.
    #[error(
        "images have shape {found:?}, expected [batch, {channels}, {height}, {width}]; \
         resize them or build the network with `with_image_size`"
    )]
    Images {
        /// Their shape.
        found: Vec<usize>,
        /// The channels the network expects.
        channels: usize,
        /// The height the network expects.
        height: usize,
        /// The width the network expects.
        width: usize,
    },
    /// A parameter exists with another shape than a module asks for.
    #[error(
        "parameter {name} has shape {found:?}, expected {expected:?}; the configuration differs"
    )]
    ParameterShape {
        /// Its name.
        name: String,
        /// The shape it has.
        found: Vec<usize>,
        /// The shape the module expects.
        expected: Vec<usize>,
    },
    /// A parameter is of a type that holds no real numbers, or not of the type a module asks for.
    #[error("parameter {name} is of type {found}, expected {expected}")]
    ParameterType {
        /// Its name.
        name: String,
        /// The type found.
        found: String,
        /// The types that are possible.
        expected: String,
    },
    /// A parameter that a module needs is not there.
    #[error("parameter {name} is missing; the weights are those of another configuration")]
    MissingParameter {
        /// Its name.
        name: String,
    },
    /// A variable builder asks for a type no parameter can have.
    #[error("parameters of type {0:?} are not possible, expected f16, bf16, f32 or f64")]
    DType(DType),
    /// A file of weights does not hold exactly the parameters of the network.
    #[error("{}: {report}", .path.display())]
    Mismatch {
        /// The file.
        path: PathBuf,
        /// What was missing, unexpected or of another shape.
        report: Box<LoadReport>,
    },
    /// A name is no parameter of the Flax UNETR.
    #[error(
        "`{name}` is no parameter of the Flax UNETR; expected names like `vit/blocks/0/norm1/scale`"
    )]
    FlaxName {
        /// The name found.
        name: String,
    },
    /// A tensor has not the rank its Flax name promises.
    #[error("`{name}` has shape {found:?}, expected {expected}")]
    FlaxShape {
        /// The Flax name.
        name: String,
        /// The shape found.
        found: Vec<usize>,
        /// The shape expected, in words.
        expected: &'static str,
    },
    /// A network has settings that MONAI's has not.
    #[error(
        "MONAI's UNETR cannot have {}; export a network that was trained from `UnetrConfig::monai`",
        .settings.join(", ")
    )]
    MonaiSettings {
        /// The settings, and what is possible.
        settings: Vec<String>,
    },
    /// Tensors are not those of MONAI's UNETR in two dimensions, or not for such images.
    #[error("{0}")]
    MonaiWeights(String),
    /// A network is asked for by what is no folder and cannot be the name of a repository.
    #[error(
        "{name}: neither a folder nor an id of the Hugging Face hub; expected a folder with {files}, or an id such as \
         owner/name or owner/name@revision"
    )]
    Source {
        /// What was asked for.
        name: String,
        /// The files a folder needs.
        files: String,
    },
    /// The files of a repository of the Hugging Face hub are not in the cache and were not downloaded.
    #[error(
        "{id}: no such folder, and its files are not all in the cache {}: {reason}{}",
        .cache.display(),
        by_hand(.urls)
    )]
    Hub {
        /// The repository, with its revision if it is not `main`.
        id: String,
        /// The folder of the cache.
        cache: PathBuf,
        /// Why nothing was downloaded, and what to do.
        reason: String,
        /// What to download by hand into a folder.
        urls: Vec<String>,
    },
    /// A file holds no weights of a Vision Transformer, or not those of one that can be this network's encoder.
    #[error("{0}")]
    Encoder(String),
    /// A network is larger than an ONNX file can be.
    #[cfg(feature = "onnx")]
    #[error(
        "an ONNX file of {found} bytes is not possible, the format holds 2147483647; make the network smaller"
    )]
    OnnxSize {
        /// The bytes it would have.
        found: usize,
    },
    /// A file is no checkpoint of PyTorch that can be read.
    #[error(
        "{}: not a checkpoint of PyTorch that can be read ({reason}); expected a zip file of `torch.save` with tensors \
         by name, perhaps below `state_dict` or `model`; or save it as safetensors",
        .path.display()
    )]
    Pickle {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// What a file holds does not fit.
    #[error("{}: {source}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        r#source: Box<Error>,
    },
    /// A file could not be read or written.
    #[error("{}: {source}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        r#source: std::io::Error,
    },
    /// A file is no valid safetensors file.
    #[error("{}: not a valid safetensors file: {source}", .path.display())]
    Safetensors {
        /// The file.
        path: PathBuf,
        /// Why.
        r#source: safetensors::SafeTensorError,
    },
    /// A file is no valid configuration.
    #[error("{}: not a valid configuration: {source}", .path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Why.
        r#source: serde_json::Error,
    },
    /// Candle failed.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
}

fn by_hand(urls: &[String]) -> String {
    match urls {
        [] => String::new(),
        urls => format!(
            ", or download {} into a folder and give its path",
            urls.join(" and ")
        ),
    }
}

impl Error {
    /// What the operating system says of a path.
    pub(crate) fn io(path: &Path) -> impl Fn(std::io::Error) -> Self {
        move |source| Self::Io {
            path: path.to_owned(),
            source,
        }
    }

    /// The error as one about what is in a file.
    pub(crate) fn in_file(self, path: &Path) -> Self {
        Self::File {
            path: path.to_owned(),
            source: Box::new(self),
        }
    }
}

/// Names the path in what the operating system or a parser says of it.
pub(crate) trait At<T> {
    fn at(self, path: &Path) -> Result<T>;
}

impl<T> At<T> for std::io::Result<T> {
    fn at(self, path: &Path) -> Result<T> {
        self.map_err(Error::io(path))
    }
}

impl<T> At<T> for serde_json::Result<T> {
    fn at(self, path: &Path) -> Result<T> {
        self.map_err(|source| Error::Json {
            path: path.to_owned(),
            source,
        })
    }
}

impl<T> At<T> for std::result::Result<T, safetensors::SafeTensorError> {
    fn at(self, path: &Path) -> Result<T> {
        self.map_err(|source| Error::Safetensors {
            path: path.to_owned(),
            source,
        })
    }
}

impl From<Error> for candle_core::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Candle(error) => error,
            // Not `Error::wrap`, which appends a backtrace to the message.
            error => candle_core::Error::Wrapped(Box::new(error)),
        }
    }
}
