use super::{
    Affine, Canvas, HorizontalFlip, Normalize, PixelType, Probability, RandomBrightnessContrast,
    RandomResizedCrop, Resize, Step, Transform,
};
use crate::{Result, SampleRng};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fmt;

/// Transforms one after the other: a pipeline.
///
/// # Examples
/// ```
/// use unetr_data::{Compose, HorizontalFlip, Normalize, Resize};
///
/// let pipeline = Compose::default()
///     .then(Resize::new([224, 224]))
///     .then(HorizontalFlip::default())
///     .then(Normalize::default());
/// pipeline.validate()?;
/// println!("{pipeline}");
///
/// let json = serde_json::to_string(&pipeline)?;
/// assert_eq!(serde_json::from_str::<Compose>(&json)?, pipeline);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Compose {
    /// The transforms, the first one first.
    pub steps: Vec<Step>,
}

impl Compose {
    /// The tutorial's training transforms: rotate by up to 35° (30 %), crop 70 to 100 % of the area
    /// and resize, mirror (50 %), change brightness and contrast (40 %), normalise.
    ///
    /// `image_size` is height and width. Rotated-in corners become black and class 1, background.
    pub fn tutorial_train(image_size: [usize; 2]) -> Self {
        const BACKGROUND: u8 = 1;
        Self::default()
            .then(Affine {
                p: Probability(0.3),
                ..Affine::new([-35.0, 35.0], BACKGROUND)
            })
            .then(RandomResizedCrop {
                scale: [0.7, 1.0],
                ..RandomResizedCrop::new(image_size)
            })
            .then(HorizontalFlip {
                p: Probability::HALF,
            })
            .then(RandomBrightnessContrast {
                p: Probability(0.4),
                ..RandomBrightnessContrast::default()
            })
            .then(Normalize::default())
    }

    /// Light training transforms for networks that are not trained for long: crop 70 to 100 % of the area
    /// and resize, mirror (50 %), normalise.
    ///
    /// `image_size` is height and width.
    pub fn crop_and_flip(image_size: [usize; 2]) -> Self {
        Self::default()
            .then(RandomResizedCrop {
                scale: [0.7, 1.0],
                ..RandomResizedCrop::new(image_size)
            })
            .then(HorizontalFlip {
                p: Probability::HALF,
            })
            .then(Normalize::default())
    }

    /// The tutorial's validation transforms: resize and normalise.
    ///
    /// `image_size` is height and width.
    pub fn tutorial_val(image_size: [usize; 2]) -> Self {
        Self::default()
            .then(Resize::new(image_size))
            .then(Normalize::default())
    }

    /// Appends a transform.
    #[must_use]
    pub fn then(mut self, step: impl Into<Step>) -> Self {
        self.steps.push(step.into());
        self
    }

    /// The same transforms with every [`Normalize`] replaced by this one.
    #[must_use]
    pub fn normalized_by(mut self, normalize: &Normalize) -> Self {
        for step in &mut self.steps {
            match step {
                Step::Normalize(found) => found.clone_from(normalize),
                Step::Compose(inner) => *inner = std::mem::take(inner).normalized_by(normalize),
                _ => {}
            }
        }
        self
    }

    /// Takes the [`Normalize`] off the end, if there is one.
    pub(crate) fn pop_normalize(&mut self) -> Option<Normalize> {
        match self.steps.pop() {
            Some(Step::Normalize(normalize)) => Some(normalize),
            other => {
                self.steps.extend(other);
                None
            }
        }
    }

    /// Checks every setting and the order, for 8-bit photos.
    ///
    /// # Errors
    /// When a setting makes no sense, or a transform of 8-bit pixels comes after [`Normalize`].
    pub fn validate(&self) -> Result<()> {
        self.check(PixelType::U8).map(drop)
    }
}

impl Transform for Compose {
    fn draw(&self, canvas: &mut Canvas, rng: &mut SampleRng) -> Result<()> {
        self.steps
            .iter()
            .try_for_each(|step| step.draw(canvas, rng))
    }

    fn check(&self, pixels: PixelType) -> Result<PixelType> {
        self.steps
            .iter()
            .try_fold(pixels, |pixels, step| step.check(pixels))
    }

    /// Its JSON.
    fn settings(&self) -> Value {
        serde_json::to_value(self).unwrap_or_else(|_| format!("{self:?}").into())
    }
}

impl fmt::Display for Compose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, step) in self.steps.iter().enumerate() {
            let arrow = if i == 0 { "" } else { " -> " };
            write!(f, "{arrow}{step}")?;
        }
        Ok(())
    }
}
