use std::path::PathBuf;

// Messages say what their source says. As `r#source` it is not the cause too, which would say it twice.

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
        r#source: std::io::Error,
    },
    /// An image or mask file could not be decoded.
    #[error("{path}: cannot decode the image: {source}; replace the file or take it out of the data set", path = path.display())]
    Decode {
        /// The file.
        path: PathBuf,
        /// What the decoder said.
        r#source: image::ImageError,
    },
    /// A JPEG file ends before its end-of-image marker.
    #[error(
        "{path}: the JPEG file is cut off: it has no end-of-image marker after its first scan; fetch it again or take it out of the data set",
        path = path.display()
    )]
    Truncated {
        /// The file.
        path: PathBuf,
    },
    /// A mask file holds colours, or values beyond 8 bits, instead of one class value a pixel.
    #[error(
        "{path}: the mask has {found}, expected one value of 0 to 255 a pixel; save it as an 8-bit gray or palette PNG",
        path = path.display()
    )]
    MaskFormat {
        /// The file.
        path: PathBuf,
        /// What the pixels are.
        found: String,
    },
    /// A mask holds a value that stands for no class.
    #[error(
        "{path}: mask value {value} at column {x}, row {y}; expected {expected}; correct the mask or take the file out of the data set",
        path = path.display()
    )]
    MaskValue {
        /// The file.
        path: PathBuf,
        /// The first stray value.
        value: u8,
        /// Its column, counted from 0.
        x: u32,
        /// Its row, counted from 0.
        y: u32,
        /// The values that stand for a class.
        expected: String,
    },
    /// A photo and its mask differ in size.
    #[error(
        "{image} is {image_width}x{image_height} but its mask {mask} is {mask_width}x{mask_height}; \
         expected equal sizes; correct one of them, check the photo's EXIF orientation or take it out of the data set",
        image = image.display(), mask = mask.display(),
        image_width = image_size.0, image_height = image_size.1,
        mask_width = mask_size.0, mask_height = mask_size.1
    )]
    SizeMismatch {
        /// The photo's file.
        image: PathBuf,
        /// The photo's width and height.
        image_size: (u32, u32),
        /// The mask's file.
        mask: PathBuf,
        /// The mask's width and height.
        mask_size: (u32, u32),
    },
    /// A folder is missing, empty or laid out in another way.
    #[error("{path}: {found}; expected {expected}", path = path.display())]
    Layout {
        /// The folder.
        path: PathBuf,
        /// What was found.
        found: String,
        /// What was expected and how to get it.
        expected: String,
    },
    /// Files that should come in pairs have no partner.
    #[error("{path}: {count} without a partner: {examples}", path = path.display())]
    Unpaired {
        /// The folder where the partners should be.
        path: PathBuf,
        /// How many files have no partner there, and of what kind.
        count: String,
        /// The first few of them, and what to do.
        examples: String,
    },
    /// A list of names has one that is not in the data set.
    #[error(
        "{list}: `{name}` is listed but not among the images; restore its file, or take it off the list",
        list = list.display()
    )]
    Listed {
        /// The list's file.
        list: PathBuf,
        /// The name.
        name: String,
    },
    /// A mask of colours holds one that is no class's.
    #[error(
        "{path}: the mask has the colour {colour:?} at column {x}, row {y}; expected one of {expected}; \
         correct the mask or add the colour to the classes",
        path = path.display()
    )]
    MaskColour {
        /// The file.
        path: PathBuf,
        /// The first stray colour, RGB.
        colour: [u8; 3],
        /// Its column, counted from 0.
        x: u32,
        /// Its row, counted from 0.
        y: u32,
        /// The colours that stand for a class.
        expected: String,
    },
    /// A line in a list of samples is wrong.
    #[error("{path}, line {line}: {problem}", path = path.display())]
    Line {
        /// The list's file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What was found and what was expected.
        problem: String,
    },
    /// A file of annotations, or one of them, is wrong.
    #[error("{path}: {problem}", path = path.display())]
    Annotations {
        /// The annotations' file.
        path: PathBuf,
        /// Which annotation it is, what was found and what was expected.
        problem: String,
    },
    /// Classes that can't be.
    #[error("classes: {0}")]
    ClassNames(String),
    /// A class map that can't be.
    #[error("class map: {0}")]
    ClassMap(String),
    /// A fraction outside of 0 to 1.
    #[error("training fraction {0} is not between 0 and 1")]
    Fraction(f64),
    /// A sample was asked for beyond the end of its dataset.
    #[error("index {index} is out of range for a dataset of {len} samples")]
    Index {
        /// The index asked for.
        index: usize,
        /// The dataset's length.
        len: usize,
    },
    /// A server could not be reached, or answered with something else than the archive.
    #[cfg(feature = "download")]
    #[error("{url}: {problem}; try again later or fetch the file by hand")]
    Http {
        /// What was asked for.
        url: String,
        /// What went wrong.
        problem: String,
    },
    /// A downloaded archive is not the one that was expected.
    #[cfg(feature = "download")]
    #[error("{path}: {found}, expected {expected}; remove the file and download it again", path = path.display())]
    Checksum {
        /// The archive.
        path: PathBuf,
        /// Its size or checksum.
        found: String,
        /// The size or checksum it should have.
        expected: String,
    },
    /// An archive holds something that is never unpacked.
    #[cfg(feature = "download")]
    #[error("{path}: {problem}; nothing was unpacked, get the archive from its official source", path = path.display())]
    Archive {
        /// The archive.
        path: PathBuf,
        /// The entry and what is wrong with it.
        problem: String,
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
        r#source: Box<Error>,
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
    /// A file of prepared samples is broken, cut off or of another format version.
    #[error(
        "{path}: {problem}; remove the file, `PreparedDataset::open_or_create` makes it again",
        path = path.display()
    )]
    Prepared {
        /// The file.
        path: PathBuf,
        /// What was found and what was expected, with the sample if it is one that is broken.
        problem: String,
    },
    /// Something else is where a file of prepared samples should be.
    #[error(
        "{path}: not a file of prepared samples; it is left alone, give another path or remove it",
        path = path.display()
    )]
    NotPrepared {
        /// The file.
        path: PathBuf,
    },
    /// Samples can't be prepared like this.
    #[error("preparing samples: {0}")]
    InvalidPrepare(String),
    /// Samples of a data set that can't tell whether its files have changed were to be prepared.
    #[error(
        "the data set has no fingerprint, so that prepared samples could be outdated unnoticed; \
         implement `Dataset::fingerprint` for it"
    )]
    NoFingerprint,
    /// Settings that can't be written as JSON.
    #[error("the settings can't be JSON: {0}")]
    SettingsJson(serde_json::Error),
    /// Candle could not build a tensor.
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
}

impl Error {
    /// For `map_err`: names the file or folder of an I/O error.
    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }
}

/// A result with this crate's [`enum@Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;
