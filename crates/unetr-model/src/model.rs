use candle_core::{Result, Tensor};
use unetr_ops::Mode;

/// What a trainer asks of a network: a score for every class at every pixel.
///
/// # Examples
/// ```
/// use candle_core::{Result, Tensor};
/// use unetr_model::{Mode, SegmentationModel};
///
/// /// Takes the colours as scores: red is class 0, green 1, blue 2.
/// struct Colours;
///
/// impl SegmentationModel for Colours {
///     fn forward(&self, images: &Tensor, _: Mode) -> Result<Tensor> {
///         Ok(images.clone())
///     }
/// }
/// ```
pub trait SegmentationModel: Send + Sync {
    /// The scores of a batch of images.
    ///
    /// # Shapes
    /// - `images`: `[batch, channels, height, width]`
    /// - returns: `[batch, classes, height, width]`, logits
    ///
    /// # Errors
    /// When the images are not what the network takes.
    fn forward(&self, images: &Tensor, mode: Mode) -> Result<Tensor>;

    /// The scores of a batch of images, and what auxiliary heads tell that only training has: none
    /// unless the network says otherwise.
    ///
    /// # Shapes
    /// - `images`: `[batch, channels, height, width]`
    /// - returns: see [`TrainingOutput`]
    ///
    /// # Errors
    /// When the images are not what the network takes.
    fn forward_training(&self, images: &Tensor, mode: Mode) -> Result<TrainingOutput> {
        Ok(TrainingOutput {
            logits: self.forward(images, mode)?,
            auxiliary: Vec::new(),
        })
    }
}

/// What a network gives in training.
#[derive(Debug, Clone)]
pub struct TrainingOutput {
    /// `[batch, classes, height, width]`
    pub logits: Tensor,
    /// `[batch, classes, rows, columns]` each: logits of a coarser map, whose cells are parts of the image
    /// of one size.
    pub auxiliary: Vec<Tensor>,
}
