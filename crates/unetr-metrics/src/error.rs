/// What can go wrong while a metric is updated or merged.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A confusion matrix needs at least one class.
    #[error(
        "a confusion matrix of 0 classes counts nothing; give the number of classes the model predicts"
    )]
    NoClasses,
    /// Two classes or groups of a metric set have the same name.
    #[error("name {name:?} is given twice; every class and group needs a name of its own")]
    DuplicateClass {
        /// The name.
        name: String,
    },
    /// A metric set has no class of that name.
    #[error("there is no class {name:?}; the classes are {classes:?}")]
    UnknownClass {
        /// The name.
        name: String,
        /// The names there are.
        classes: Vec<String>,
    },
    /// A group of classes has none or leaves none.
    #[error("{what} names {found} of {classes} classes; expected at least one and not all of them")]
    Selection {
        /// What the classes were named for.
        what: String,
        /// How many were named.
        found: usize,
        /// How many there are.
        classes: usize,
    },
    /// Classes were to be merged by a list of another length.
    #[error("{found} merged classes are given for {classes} classes; expected one for each")]
    Merged {
        /// The length of the list.
        found: usize,
        /// The classes of the matrix.
        classes: usize,
    },
    /// A class was to be merged into one beyond those there are.
    #[error(
        "a class is merged into class {found}; expected one of the {classes} there are, counted from 0"
    )]
    MergedClass {
        /// The number given.
        found: usize,
        /// The classes of the matrix.
        classes: usize,
    },
    /// A boundary's width makes no sense.
    #[error(
        "the dilation ratio is {found}, expected more than 0 and at most 1, a share of the image's diagonal; \
         the paper's is 0.02"
    )]
    DilationRatio {
        /// The ratio.
        found: f64,
    },
    /// The logits have another number of classes than the matrix.
    #[error(
        "logits of shape {shape:?} have {found} classes in dimension 1, but the confusion matrix has {expected}; \
         logits are [batch, classes, ...]"
    )]
    ClassCount {
        /// The logits' shape.
        shape: Vec<usize>,
        /// The classes of the logits.
        found: usize,
        /// The classes of the matrix.
        expected: usize,
    },
    /// The shapes of predictions and labels don't belong together.
    #[error(
        "predictions of shape {predictions:?} don't fit labels of shape {labels:?}; expected {expected}"
    )]
    Shape {
        /// The shape of the logits or predicted labels.
        predictions: Vec<usize>,
        /// The shape of the true labels.
        labels: Vec<usize>,
        /// What would fit.
        expected: &'static str,
    },
    /// A tensor of labels holds something other than integers.
    #[error("labels have data type {found}; expected u8, u32, i32 or i64")]
    LabelType {
        /// The tensor's data type.
        found: &'static str,
    },
    /// A label is not a class.
    #[error(
        "{side} label {value} is out of range for {classes} classes; \
         labels count from 0, and a value that means \"no class\" is declared with `with_ignore_index`"
    )]
    LabelOutOfRange {
        /// `true` or `predicted`.
        side: &'static str,
        /// The label.
        value: i64,
        /// The number of classes.
        classes: usize,
    },
    /// Labels that were counted on a device are not classes.
    #[error(
        "image {image}, counted from 0, has {pixels} true labels out of range for {classes} classes; \
         labels count from 0, and a value that means \"no class\" is declared with `with_ignore_index`"
    )]
    StrayLabels {
        /// The image among those that were added.
        image: usize,
        /// How many of its pixels have such a label.
        pixels: u32,
        /// The number of classes.
        classes: usize,
    },
    /// Two matrices of different sizes or rules were merged.
    #[error("cannot merge {what}: {left} here and {right} there; both must be made alike")]
    Merge {
        /// What differs.
        what: &'static str,
        /// This side's value.
        left: String,
        /// The other side's value.
        right: String,
    },
    /// Candle could not read a tensor.
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
}

/// A result with this crate's [`enum@Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;
