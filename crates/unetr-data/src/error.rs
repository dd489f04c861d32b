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
    /// Candle could not build a tensor.
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
}

/// A result with this crate's [`enum@Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;
