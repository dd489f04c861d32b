use std::path::{Path, PathBuf};

// Messages say what their source says. As `r#source` it is not the cause too, which would say it twice.

/// What can go wrong while a photo is segmented or a network is shared.
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
    /// A file is not the JSON that it should be, or a value could not be written as JSON.
    #[error("{path}: {source}", path = path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// What the parser said.
        r#source: serde_json::Error,
    },
    /// What a file says cannot be.
    #[error("{path}: {source}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        r#source: Box<Error>,
    },
    /// A picture, or a file of probabilities, could not be written.
    #[error("{path}: {reason}", path = path.display())]
    Picture {
        /// The file.
        path: PathBuf,
        /// What the encoder said.
        reason: String,
    },
    /// A setting makes no sense.
    #[error("{what} is {found}, expected {expected}")]
    Setting {
        /// The setting.
        what: &'static str,
        /// What it is.
        found: String,
        /// What it may be.
        expected: &'static str,
    },
    /// A network that shall be used with photos has not three channels.
    #[error("the network takes images of {found} channels, photos have 3; give it tensors instead")]
    Channels {
        /// The network's channels.
        found: usize,
    },
    /// There are names for another number of classes than the network has.
    #[error("{found} classes are named, the network tells {expected}")]
    Classes {
        /// How many names there are.
        found: usize,
        /// The network's classes.
        expected: usize,
    },
    /// Steps that prepare a photo are not those that this crate can undo.
    #[error(
        "{path}: photos are prepared by {found}; expected a resize and a normalisation alone, or build the segmenter \
         with Segmenter::new",
        path = path.display()
    )]
    Preprocessing {
        /// The file.
        path: PathBuf,
        /// The steps.
        found: String,
    },
    /// A photo or a map has no pixels.
    #[error("{name} has no pixels: {width}x{height}")]
    NoPixels {
        /// What it is.
        name: &'static str,
        /// Its width.
        width: u32,
        /// Its height.
        height: u32,
    },
    /// The network gave something else than one score a class and pixel.
    #[error("the network gave scores of shape {found:?}, expected {expected:?}")]
    Scores {
        /// What it gave.
        found: Vec<usize>,
        /// `[batch, classes, height, width]`
        expected: Vec<usize>,
    },
    /// Classes were to be drawn over a photo of another size.
    #[error("the labels are {labels:?}, the photo is {photo:?}; expected one size, not empty")]
    OverlaySize {
        /// Width and height of the photo.
        photo: (u32, u32),
        /// Width and height of the labels.
        labels: (u32, u32),
    },
    /// An argument names no photos.
    #[error("{argument}: no photos there; expected files that end with {endings}")]
    NoPhotos {
        /// The argument.
        argument: String,
        /// What photos' files end with.
        endings: String,
    },
    /// A pattern of file names is none, or what it leads to cannot be read.
    #[error("{pattern}: {reason}")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// What is wrong.
        reason: String,
    },
    /// The network cannot be read or built.
    #[error(transparent)]
    Model(#[from] unetr_model::Error),
    /// A photo cannot be read or prepared.
    #[error(transparent)]
    Data(#[from] unetr_data::Error),
    /// The network cannot be computed.
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
}

/// What functions of this crate return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
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
