use super::{
    Affine, Compose, HorizontalFlip, Normalize, OneOf, PixelType, RandomBrightnessContrast,
    RandomResizedCrop, Resize, VerticalFlip,
};
use crate::{Result, Sample, SampleRng};
use serde::{Deserialize, Serialize};
use std::{
    fmt::{self, Debug, Display},
    sync::Arc,
};

/// Something that is done to a photo and its mask together.
///
/// # Examples
/// One's own transform, before the built-in ones:
/// ```
/// use unetr_data::{Compose, Result, Sample, SampleRng, Transform};
///
/// /// Merges every class above 1 into class 1.
/// #[derive(Debug)]
/// struct TwoClasses;
///
/// impl Transform for TwoClasses {
///     fn apply(&self, mut sample: Sample, _: &mut SampleRng) -> Result<Sample> {
///         sample.mask.iter_mut().for_each(|class| *class = (*class).min(1));
///         Ok(sample)
///     }
/// }
///
/// let pipeline = (TwoClasses, Compose::tutorial_train([256, 256]));
/// ```
pub trait Transform: Send + Sync + Debug {
    /// Transforms one sample; every random choice is drawn from `rng`.
    ///
    /// # Errors
    /// When the sample does not suit the transform.
    fn apply(&self, sample: Sample, rng: &mut SampleRng) -> Result<Sample>;

    /// Checks the settings before any sample is read, and says which pixels leave the transform
    /// when `pixels` enter it.
    ///
    /// # Errors
    /// When a setting makes no sense, or when the transform can't work on such pixels.
    fn check(&self, pixels: PixelType) -> Result<PixelType> {
        Ok(pixels)
    }
}

impl<T: Transform + ?Sized> Transform for Arc<T> {
    fn apply(&self, sample: Sample, rng: &mut SampleRng) -> Result<Sample> {
        (**self).apply(sample, rng)
    }

    fn check(&self, pixels: PixelType) -> Result<PixelType> {
        (**self).check(pixels)
    }
}

/// One transform, then another.
impl<A: Transform, B: Transform> Transform for (A, B) {
    fn apply(&self, sample: Sample, rng: &mut SampleRng) -> Result<Sample> {
        self.1.apply(self.0.apply(sample, rng)?, rng)
    }

    fn check(&self, pixels: PixelType) -> Result<PixelType> {
        self.1.check(self.0.check(pixels)?)
    }
}

/// A built-in transform that prints as what it does.
trait BuiltIn: Transform + Display {}
impl<T: Transform + Display> BuiltIn for T {}

macro_rules! steps {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// One of the built-in transforms, as it stands in a pipeline's file: its name in `type`,
        /// beside its settings.
        ///
        /// # Examples
        /// ```
        /// use unetr_data::{HorizontalFlip, Step};
        ///
        /// let step: Step = serde_json::from_str(r#"{"type": "horizontal_flip", "p": 0.5}"#)?;
        /// assert_eq!(step, HorizontalFlip::default().into());
        /// # Ok::<(), serde_json::Error>(())
        /// ```
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[serde(tag = "type", rename_all = "snake_case")]
        #[non_exhaustive]
        pub enum Step {
            $($(#[$doc])* $name($name),)*
        }

        impl Step {
            fn built_in(&self) -> &dyn BuiltIn {
                match self {
                    $(Self::$name(transform) => transform,)*
                }
            }
        }

        $(impl From<$name> for Step {
            fn from(transform: $name) -> Self {
                Self::$name(transform)
            }
        })*
    };
}

steps! {
    /// A random rotation.
    Affine,
    /// A random crop, resized.
    RandomResizedCrop,
    /// A new size.
    Resize,
    /// A mirror image, left to right.
    HorizontalFlip,
    /// A mirror image, top to bottom.
    VerticalFlip,
    /// A random change of brightness and contrast.
    RandomBrightnessContrast,
    /// Floats of zero mean and unit deviation.
    Normalize,
    /// One of several, at random.
    OneOf,
    /// Several, one after the other.
    Compose,
}

impl Transform for Step {
    fn apply(&self, sample: Sample, rng: &mut SampleRng) -> Result<Sample> {
        self.built_in().apply(sample, rng)
    }

    fn check(&self, pixels: PixelType) -> Result<PixelType> {
        self.built_in().check(pixels)
    }
}

impl Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Display::fmt(self.built_in(), f)
    }
}
