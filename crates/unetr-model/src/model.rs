use candle_core::{Result, Tensor};
use unetr_ops::Mode;

/// What a trainer asks of a network: a score for every class at every pixel.
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
}
