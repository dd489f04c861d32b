use serde::{Deserialize, Serialize};

use crate::{Error, PixelStatistics};

/// What an ONNX graph takes and gives.
///
/// The default is the network as it is, from normalised images to logits. The other choices spare the
/// program around a runtime code that has to agree with training.
///
/// # Examples
/// ```
/// use unetr_model::{OnnxConfig, OnnxInput, OnnxOutput};
///
/// // From decoded photos to the class of every pixel.
/// let options = OnnxConfig {
///     input: OnnxInput::IMAGENET,
///     output: OnnxOutput::Classes,
/// };
/// assert_ne!(options, OnnxConfig::default());
/// ```
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OnnxConfig {
    /// The images; default normalised.
    pub input: OnnxInput,
    /// What is computed of them; default logits.
    pub output: OnnxOutput,
}

/// The input of an ONNX graph, named `images`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum OnnxInput {
    /// `[batch, channels, height, width]`, f32: what the network takes, normalised as in training.
    #[default]
    Normalized,
    /// `[batch, height, width, channels]`, u8: photos as decoders give them, which the graph makes
    /// `(v / 255 - mean) / std`.
    Pixels {
        /// The mean of each channel on a scale of 0 to 1.
        mean: [f32; 3],
        /// The standard deviation of each channel on that scale.
        std: [f32; 3],
    },
}

impl OnnxInput {
    /// Pixels, normalised by the statistics of ImageNet.
    pub const IMAGENET: Self = Self::Pixels {
        mean: PixelStatistics::IMAGENET.mean,
        std: PixelStatistics::IMAGENET.std,
    };
}

/// The output of an ONNX graph, named as its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum OnnxOutput {
    /// `logits` `[batch, classes, height, width]`, f32: what the network gives.
    #[default]
    Logits,
    /// `probabilities` `[batch, classes, height, width]`, f32: those of a pixel add up to 1.
    Probabilities,
    /// `classes` `[batch, height, width]`, i64: the index of the largest logit, the first among equals.
    Classes,
}

impl OnnxConfig {
    /// Checks that the options fit a network for images of so many channels.
    ///
    /// # Errors
    /// When pixels of three channels cannot be its input, or their statistics are not finite or the
    /// deviations not above 0.
    pub fn validate(&self, channels: usize) -> Result<(), Error> {
        let OnnxInput::Pixels { mean, std } = &self.input else {
            return Ok(());
        };
        let value = |field, found: String, expected| Error::Setting {
            what: field,
            found,
            expected,
        };
        if channels != 3 {
            let expected = "3 for an ONNX graph that takes pixels; export it with normalised input";
            return Err(value("in_channels", channels.to_string(), expected));
        }
        if !mean.iter().all(|mean| mean.is_finite()) {
            return Err(value("input.mean", format!("{mean:?}"), "finite numbers"));
        }
        if !std.iter().all(|std| std.is_finite() && *std > 0.) {
            let expected = "finite numbers above 0";
            return Err(value("input.std", format!("{std:?}"), expected));
        }
        Ok(())
    }
}
