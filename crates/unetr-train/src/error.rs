use std::path::{Path, PathBuf};

/// What can go wrong while training, storing or reporting.
///
/// Every variant that concerns a file names it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or folder could not be read or written.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A file is not the JSON that was expected.
    #[error("{path}: {source}; the file was written by something else or is damaged", path = path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// What the parser said.
        source: serde_json::Error,
    },
    /// A line of a history is not a record.
    #[error("{path}: line {line} is not a record: {source}; remove the line or the file", path = path.display())]
    Record {
        /// The history's file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What the parser said.
        source: serde_json::Error,
    },
    /// A checkpoint was written in another format.
    #[error(
        "{path}: checkpoint format {found}, expected {expected}; read it with the version of this crate that wrote it",
        path = path.display()
    )]
    Format {
        /// The checkpoint's state file.
        path: PathBuf,
        /// The format found.
        found: u32,
        /// The format this version reads.
        expected: u32,
    },
    /// A checkpoint's file cannot have this name.
    #[error(
        "{name:?} cannot be a file of a checkpoint; expected a plain file name other than state.json and metrics.json, \
         given once"
    )]
    FileName {
        /// The name.
        name: String,
    },
    /// Tensors could not be stored or read.
    #[error("{path}: {source}", path = path.display())]
    Safetensors {
        /// The file.
        path: PathBuf,
        /// What the format's library said.
        source: safetensors::SafeTensorError,
    },
    /// A configuration makes no sense.
    #[error("{what} is {found}, expected {expected}")]
    Config {
        /// The setting.
        what: &'static str,
        /// Its value.
        found: String,
        /// What would make sense.
        expected: &'static str,
    },
    /// A number of a configuration that has a name of its own is out of range.
    #[error("{what} is {found}, expected {expected}")]
    Setting {
        /// The setting and whose it is.
        what: String,
        /// Its value.
        found: String,
        /// What would make sense.
        expected: &'static str,
    },
    /// A pattern of parameter names matches none.
    #[error("the pattern {pattern:?} matches none of {parameters} parameters; near it are: {near}")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// How many parameters there are.
        parameters: usize,
        /// Names and patterns that are like it and match something.
        near: String,
    },
    /// A picture of predictions was asked for without a sample or with masks of another size.
    #[error(
        "sample {index}: image, mask and prediction are {image:?}, {mask:?} and {prediction:?}; expected one size, not empty"
    )]
    SampleSize {
        /// The sample's place, counted from 0.
        index: usize,
        /// Width and height of the image.
        image: (u32, u32),
        /// Width and height of the mask.
        mask: (u32, u32),
        /// Width and height of the prediction.
        prediction: (u32, u32),
    },
    /// Classes were to be drawn over a photo of another size.
    #[error("the classes are {classes:?}, the photo is {photo:?}; expected one size, not empty")]
    OverlaySize {
        /// Width and height of the photo.
        photo: (u32, u32),
        /// Width and height of the classes.
        classes: (u32, u32),
    },
    /// The loss became NaN or infinite. [`Trainer::fit`](crate::Trainer::fit) says what state is
    /// left.
    #[error(
        "the loss is {loss} at step {step} of epoch {epoch}, learning rate {learning_rate:e}, samples {indices:?}; \
         lower the learning rate, warm up longer, or look at these samples"
    )]
    NotFinite {
        /// The loss.
        loss: f64,
        /// The update, counted from 1.
        step: u64,
        /// The epoch, counted from 1.
        epoch: u64,
        /// The learning rate of the update.
        learning_rate: f64,
        /// Where the batch's samples stand in the data set.
        indices: Vec<usize>,
    },
    /// A checkpoint belongs to another run.
    #[error(
        "{path}: the {what} of the checkpoint is {saved}, that of this run is {own}; \
         resume with the settings of the first run, or start a new one in another folder",
        path = path.display()
    )]
    Resume {
        /// The checkpoint.
        path: PathBuf,
        /// What differs.
        what: &'static str,
        /// What the checkpoint has.
        saved: String,
        /// What this run has.
        own: String,
    },
    /// A saved state does not fit the optimiser.
    #[error(
        "{optimizer} cannot take a saved state with {found}; resume with the optimizer that saved it"
    )]
    OptimizerState {
        /// The optimiser.
        optimizer: &'static str,
        /// What the state has.
        found: String,
    },
    /// A sample or batch could not be read.
    #[error(transparent)]
    Data(#[from] unetr_data::Error),
    /// A metric could not be computed.
    #[error(transparent)]
    Metrics(#[from] unetr_metrics::Error),
    /// The model could not be built, read or written.
    #[error(transparent)]
    Model(#[from] unetr_model::ModelError),
    /// Candle could not compute.
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
}

/// A result with this crate's [`enum@Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Names the path in what the operating system or a parser says of it.
pub(crate) trait At<T> {
    fn at(self, path: &Path) -> Result<T>;
}

impl<T> At<T> for std::io::Result<T> {
    fn at(self, path: &Path) -> Result<T> {
        self.map_err(|source| Error::Io {
            path: path.to_owned(),
            source,
        })
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

impl<T> At<T> for Result<T, safetensors::SafeTensorError> {
    fn at(self, path: &Path) -> Result<T> {
        self.map_err(|source| Error::Safetensors {
            path: path.to_owned(),
            source,
        })
    }
}
