use candle_core::{DType, Shape, Tensor};

/// What an operation refuses to compute.
///
/// Operations return `candle_core::Result`, as everything on a Candle graph does; this error is
/// wrapped in it and says which operation and argument it is about.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum OpError {
    /// An argument's shape does not fit the operation or its other arguments.
    #[error("{op}: {argument} has shape {found:?}, expected {expected}")]
    Shape {
        /// The operation.
        op: &'static str,
        /// The argument.
        argument: &'static str,
        /// Its shape.
        found: Vec<usize>,
        /// The shape it should have, in words or letters.
        expected: String,
    },
    /// An argument's element type does not fit.
    #[error("{op}: {argument} is of type {found:?}, expected {expected}")]
    Type {
        /// The operation.
        op: &'static str,
        /// The argument.
        argument: &'static str,
        /// Its type.
        found: DType,
        /// The types that are supported.
        expected: &'static str,
    },
    /// A number is outside its range.
    #[error("{op}: {argument} is {found}, expected {expected}")]
    Value {
        /// The operation.
        op: &'static str,
        /// The argument.
        argument: &'static str,
        /// The number.
        found: String,
        /// The range it should be in.
        expected: String,
    },
    /// A label is no class.
    #[error(
        "{op}: label {label} is out of range for {classes} classes; \
         remap the masks or give the network more classes"
    )]
    Label {
        /// The operation.
        op: &'static str,
        /// The label found.
        label: i64,
        /// The number of classes of the logits.
        classes: usize,
    },
    /// A GPU's memory is full.
    #[error(
        "the GPU has no room for {megabytes:.0} MB more, an array {shape:?} of {dtype:?}; take a smaller batch, \
         numbers of 16 bits (Precision::Bf16), or keep less for the backward pass (Keep::Input)"
    )]
    OutOfMemory {
        /// What was asked for, in 10⁶ bytes.
        megabytes: f64,
        /// The shape of the array; the batch comes first in those of a network.
        shape: Vec<usize>,
        /// Its type.
        dtype: DType,
    },
}

impl From<OpError> for candle_core::Error {
    fn from(error: OpError) -> Self {
        // Not `Error::wrap`, which appends a backtrace to the message.
        candle_core::Error::Wrapped(Box::new(error))
    }
}

/// An [`OpError::Shape`] ready to be returned.
pub(crate) fn shape_error(
    op: &'static str,
    argument: &'static str,
    found: &Tensor,
    expected: impl Into<String>,
) -> candle_core::Error {
    let found = found.dims().to_vec();
    OpError::Shape {
        op,
        argument,
        found,
        expected: expected.into(),
    }
    .into()
}

/// Checks that `tensor` has exactly `expected`'s shape.
pub(crate) fn check_shape(
    op: &'static str,
    argument: &'static str,
    tensor: &Tensor,
    expected: impl Into<Shape>,
) -> candle_core::Result<()> {
    let expected = expected.into();
    if tensor.shape() == &expected {
        Ok(())
    } else {
        Err(shape_error(
            op,
            argument,
            tensor,
            format!("{:?}", expected.dims()),
        ))
    }
}

/// An [`OpError::Value`] ready to be returned.
pub(crate) fn value_error(
    op: &'static str,
    argument: &'static str,
    found: &dyn std::fmt::Display,
    expected: impl Into<String>,
) -> candle_core::Error {
    let (found, expected) = (found.to_string(), expected.into());
    OpError::Value {
        op,
        argument,
        found,
        expected,
    }
    .into()
}
