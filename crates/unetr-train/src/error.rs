use std::path::{Path, PathBuf};

// Messages say what their source says. As `r#source` it is not the cause too, which would say it twice.

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
        r#source: std::io::Error,
    },
    /// A file is not the JSON that was expected.
    #[error("{path}: {source}; the file was written by something else or is damaged", path = path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// What the parser said.
        r#source: serde_json::Error,
    },
    /// The settings of a run can't be JSON.
    #[error("the settings of the run cannot be saved as JSON: {0}")]
    SettingsJson(serde_json::Error),
    /// A recipe has something that can't be.
    #[error("{place}: {key}: {message}")]
    Recipe {
        /// The file, or that it was a text.
        place: String,
        /// The key, with dots.
        key: String,
        /// What the parser said.
        message: String,
    },
    /// A line of a history is not a record.
    #[error("{path}: line {line} is not a record: {source}; remove the line or the file", path = path.display())]
    Record {
        /// The history's file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What the parser said.
        r#source: serde_json::Error,
    },
    /// A checkpoint was written in another format.
    #[error(
        "{path}: checkpoint format {found}, expected at most {expected}; read it with version {version} of this crate",
        path = path.display()
    )]
    Format {
        /// The checkpoint's state file.
        path: PathBuf,
        /// The format found.
        found: u32,
        /// The version of this crate that wrote it.
        version: String,
        /// The latest format this version reads.
        expected: u32,
    },
    /// A checkpoint's file is not what was written.
    #[error(
        "{path}: {found}, expected {expected}; the file is damaged: restore it, or remove its folder to go on from an \
         earlier checkpoint",
        path = path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Its length, and its checksum where it was read.
        found: String,
        /// What was written.
        expected: String,
    },
    /// There is no checkpoint of a name.
    #[error(
        "{folder}: no checkpoint {name:?}; expected best (once there is an evaluation), last, or the folder's name of \
         one of the steps {steps:?}",
        folder = folder.display()
    )]
    NoCheckpoint {
        /// The folder of the checkpoints.
        folder: PathBuf,
        /// The name.
        name: String,
        /// The steps there are.
        steps: Vec<u64>,
    },
    /// Another process writes into a run's folder.
    #[error(
        "{folder}: in use by process {process}; wait for it, stop it, or give another folder",
        folder = folder.display()
    )]
    Locked {
        /// The folder.
        folder: PathBuf,
        /// The other process' number.
        process: String,
    },
    /// There is no thread to be had for writing checkpoints.
    #[error("no thread for writing checkpoints: {0}")]
    Thread(std::io::Error),
    /// The thread that writes checkpoints has panicked. Complete checkpoints are still there.
    #[error("the thread that writes checkpoints has panicked; see its message above")]
    WriterPanicked,
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
        r#source: safetensors::SafeTensorError,
    },
    /// A setting makes no sense.
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
    /// A picture could not be written or is damaged.
    #[error("{path}: {source}", path = path.display())]
    Picture {
        /// The picture.
        path: PathBuf,
        /// What the format's library said.
        r#source: image::ImageError,
    },
    /// A picture of a gallery has a format that not every browser shows.
    #[error("{path}: neither JPEG nor PNG; convert it, or write the gallery again", path = path.display())]
    PictureFormat {
        /// The picture.
        path: PathBuf,
    },
    /// A folder to report on holds no run.
    #[error(
        "{path}: no config.json and no history.jsonl; expected the folder of a training run",
        path = path.display()
    )]
    NoRun {
        /// The folder.
        path: PathBuf,
    },
    /// The loss or the norm of its gradients became NaN or infinite.
    /// [`Trainer::fit`](crate::Trainer::fit) says what state is left.
    #[error(
        "the {what} is {value} at step {step} of epoch {epoch}, learning rate {learning_rate:e}, samples {indices:?}; \
         lower the learning rate, warm up longer, or look at these samples"
    )]
    NotFinite {
        /// The loss or the gradient norm.
        what: &'static str,
        /// Its value.
        value: f64,
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
        "{path}: the checkpoint is of another run: {}; resume with the settings of the first run, or start a new one in \
         another folder",
        differences.join("; "), path = path.display()
    )]
    Resume {
        /// The checkpoint.
        path: PathBuf,
        /// Each key that differs, with what the checkpoint and this run have.
        differences: Vec<String>,
    },
    /// A run would begin where there is one already, which it would replace.
    #[error(
        "{}: holds a run already; go on with it by `Trainer::resume`, or give another place or an empty one",
        .path.display()
    )]
    Occupied {
        /// The folder of the checkpoints, or the file of the history.
        path: PathBuf,
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
    Model(#[from] unetr_model::Error),
    /// Classes could not be predicted or drawn.
    #[error(transparent)]
    Predict(Box<unetr_predict::Error>),
    /// Candle could not compute.
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
}

/// A result with this crate's [`enum@Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl From<unetr_predict::Error> for Error {
    fn from(error: unetr_predict::Error) -> Self {
        Self::Predict(Box::new(error))
    }
}

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
