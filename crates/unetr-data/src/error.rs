use std::path::PathBuf;

/// What can go wrong while reading, transforming or batching samples.
///
/// Every variant that concerns a file names it, says what was found and what was expected.
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
    /// An image or mask file could not be decoded.
    #[error("{path}: cannot decode the image: {source}; replace the file or exclude it by name", path = path.display())]
    Decode {
        /// The file.
        path: PathBuf,
        /// What the decoder said.
        source: image::ImageError,
    },
    /// A sample was asked for beyond the end of its dataset.
    #[error("index {index} is out of range for a dataset of {len} samples")]
    Index {
        /// The index asked for.
        index: usize,
        /// The dataset's length.
        len: usize,
    },
    /// A probability is not between 0 and 1.
    #[error("probability {0} is not between 0 and 1")]
    Probability(f64),
    /// A transform's setting makes no sense.
    #[error("{transform}: {reason}")]
    InvalidTransform {
        /// The transform.
        transform: &'static str,
        /// What was found and what was expected.
        reason: String,
    },
    /// A transform of 8-bit pixels stands after the one that makes them floats.
    #[error(
        "{transform} works on 8-bit pixels but comes after Normalize; move Normalize to the end"
    )]
    AfterNormalize {
        /// The transform that comes too late.
        transform: &'static str,
    },
    /// A photo and its mask differ in size.
    #[error(
        "{name}: the mask is {}x{} but the photo is {}x{} (height x width); they must agree",
        mask[0], mask[1], image[0], image[1]
    )]
    MaskSize {
        /// The sample.
        name: String,
        /// Height and width of the photo.
        image: [usize; 2],
        /// Height and width of the mask.
        mask: [usize; 2],
    },
    /// A photo has no pixels.
    #[error("{name}: the photo has no pixels")]
    NoPixels {
        /// The sample.
        name: String,
    },
    /// Two samples of one batch differ in size or in their pixels' type.
    #[error(
        "{first} is {first_shape} but {second} is {second_shape}; the samples of a batch must agree, so end the transforms with Resize and Normalize"
    )]
    BatchShape {
        /// The batch's first sample.
        first: String,
        /// Its height, width and pixel type.
        first_shape: String,
        /// The sample that differs.
        second: String,
        /// Its height, width and pixel type.
        second_shape: String,
    },
    /// A batch of no samples was asked for.
    #[error("a batch needs at least one sample")]
    EmptyBatch,
    /// A loader's setting makes no sense for its dataset.
    #[error("data loader: {0}")]
    InvalidLoader(String),
    /// A sample could not be read or transformed.
    #[error("sample {name} (index {index}): {source}")]
    Sample {
        /// The sample.
        name: String,
        /// Its index in the dataset.
        index: usize,
        /// What went wrong.
        source: Box<Error>,
    },
    /// The code that reads or transforms a sample panicked.
    #[error("sample {name} (index {index}): the dataset or a transform panicked: {message}")]
    WorkerPanic {
        /// The sample.
        name: String,
        /// Its index in the dataset.
        index: usize,
        /// The panic's message.
        message: String,
    },
    /// So many samples were skipped as broken that an epoch has no batch.
    #[error(
        "{skipped} broken samples were skipped and the others don't fill a batch; \
         see the warnings in the log"
    )]
    NoBatch {
        /// How many were skipped.
        skipped: usize,
    },
    /// Candle could not build a tensor.
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
}

/// A result with this crate's [`enum@Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;
