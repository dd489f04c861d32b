use super::{
    Affine, Canvas, CenterCrop, Clahe, ClassCrop, CoarseDropout, ColorJitter, Compose, D4,
    ElasticTransform, Equalize, GaussianBlur, GaussianNoise, GridDistortion, HorizontalFlip,
    JpegCompression, MotionBlur, Normalize, OneOf, Pad, Perspective, PixelType,
    RandomBrightnessContrast, RandomCrop, RandomGamma, RandomResizedCrop, Resize, SomeOf, ToGray,
    VerticalFlip,
};
use crate::{Result, Sample, SampleRng};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{
    fmt::{self, Debug, Display},
    sync::Arc,
};

/// Something that is done to a photo and its mask together.
///
/// # Examples
/// One's own transform, before the built-in ones:
/// ```
/// use unetr_data::{Canvas, Compose, Result, SampleRng, Transform};
///
/// /// Merges every class above 1 into class 1.
/// #[derive(Debug)]
/// struct TwoClasses;
///
/// impl Transform for TwoClasses {
///     fn draw(&self, canvas: &mut Canvas, _: &mut SampleRng) -> Result<()> {
///         canvas.sample()?.mask.iter_mut().for_each(|class| *class = (*class).min(1));
///         Ok(())
///     }
/// }
///
/// let pipeline = (TwoClasses, Compose::tutorial_train([256, 256]));
/// ```
pub trait Transform: Send + Sync + Debug {
    /// Transforms the sample on a canvas; every random choice is drawn from `rng`.
    ///
    /// # Errors
    /// When the sample does not suit the transform.
    fn draw(&self, canvas: &mut Canvas, rng: &mut SampleRng) -> Result<()>;

    /// Transforms one sample.
    ///
    /// # Errors
    /// As [`draw`](Self::draw), and when photo and mask differ in size.
    fn apply(&self, sample: Sample, rng: &mut SampleRng) -> Result<Sample> {
        Canvas::with(sample, |canvas| self.draw(canvas, rng))
    }

    /// Checks the settings before any sample is read, and says which pixels leave the transform
    /// when `pixels` enter it.
    ///
    /// # Errors
    /// When a setting makes no sense, or when the transform can't work on such pixels.
    fn check(&self, pixels: PixelType) -> Result<PixelType> {
        Ok(pixels)
    }

    /// What the transform is and how it is set, to tell it from others: a training run is not resumed with another. It
    /// is the text of its `Debug` unless a transform says otherwise, which then must be the same in every process.
    fn settings(&self) -> Value {
        format!("{self:?}").into()
    }
}

impl<T: Transform + ?Sized> Transform for Arc<T> {
    fn draw(&self, canvas: &mut Canvas, rng: &mut SampleRng) -> Result<()> {
        (**self).draw(canvas, rng)
    }

    fn check(&self, pixels: PixelType) -> Result<PixelType> {
        (**self).check(pixels)
    }

    fn settings(&self) -> Value {
        (**self).settings()
    }
}

/// One transform, then another.
impl<A: Transform, B: Transform> Transform for (A, B) {
    fn draw(&self, canvas: &mut Canvas, rng: &mut SampleRng) -> Result<()> {
        self.0.draw(canvas, rng)?;
        self.1.draw(canvas, rng)
    }

    fn check(&self, pixels: PixelType) -> Result<PixelType> {
        self.1.check(self.0.check(pixels)?)
    }

    fn settings(&self) -> Value {
        Value::Array(vec![self.0.settings(), self.1.settings()])
    }
}

/// A built-in transform that prints as what it does.
trait BuiltIn: Transform + Display {}
impl<T: Transform + Display> BuiltIn for T {}

macro_rules! steps {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// One of the built-in transforms, as it stands in a pipeline's file: its name in `kind`,
        /// beside its settings.
        ///
        /// # Examples
        /// ```
        /// use unetr_data::{HorizontalFlip, Step};
        ///
        /// let step: Step = serde_json::from_str(r#"{"kind": "horizontal_flip", "p": 0.5}"#)?;
        /// assert_eq!(step, HorizontalFlip::default().into());
        /// # Ok::<(), serde_json::Error>(())
        /// ```
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[serde(tag = "kind", rename_all = "snake_case")]
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
    /// A random rotation, scale, shear and shift.
    Affine,
    /// A random crop, resized.
    RandomResizedCrop,
    /// A new size.
    Resize,
    /// A mirror image, left to right.
    HorizontalFlip,
    /// A mirror image, top to bottom.
    VerticalFlip,
    /// A turn by a multiple of 90°, mirrored or not.
    D4,
    /// A frame around a photo that is too small.
    Pad,
    /// The middle.
    CenterCrop,
    /// A random part, not resized.
    RandomCrop,
    /// A random part with a pixel of some classes.
    ClassCrop,
    /// A view from aside.
    Perspective,
    /// A random smooth distortion.
    ElasticTransform,
    /// A random grid, stretched and squeezed.
    GridDistortion,
    /// A random change of brightness and contrast.
    RandomBrightnessContrast,
    /// A random change of the middle tones.
    RandomGamma,
    /// A random change of hue and saturation.
    ColorJitter,
    /// No colours.
    ToGray,
    /// Every channel's values spread evenly.
    Equalize,
    /// More contrast, place by place.
    Clahe,
    /// A blur of random width.
    GaussianBlur,
    /// A blur along a random line.
    MotionBlur,
    /// Random noise.
    GaussianNoise,
    /// The artefacts of a JPEG file.
    JpegCompression,
    /// Random holes.
    CoarseDropout,
    /// Floats of zero mean and unit deviation.
    Normalize,
    /// One of several, at random.
    OneOf,
    /// Some of several, at random.
    SomeOf,
    /// Several, one after the other.
    Compose,
}

impl Transform for Step {
    fn draw(&self, canvas: &mut Canvas, rng: &mut SampleRng) -> Result<()> {
        self.built_in().draw(canvas, rng)
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
