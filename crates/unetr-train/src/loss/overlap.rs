//! What losses of overlaps have in common: sums over regions, and the mean over classes.

use candle_core::{Result, Tensor};
use unetr_ops::{ClassMean, Region, soft_counts};

use crate::Error;

/// Sums over the pixels of each region, `[regions, classes]`.
#[derive(Debug)]
pub(super) struct Overlap {
    /// `Σ p·y`
    pub(super) hits: Tensor,
    /// `Σ p`
    pub(super) predicted: Tensor,
    /// `Σ y`
    pub(super) labelled: Tensor,
}

impl Overlap {
    pub(super) fn new(
        logits: &Tensor,
        labels: &Tensor,
        region: Region,
        ignore_index: Option<u32>,
    ) -> Result<Self> {
        let images = soft_counts(logits, labels, ignore_index)?;
        let counts = match region {
            Region::Image => images,
            Region::Batch => images.sum_keepdim(1)?,
        };
        Ok(Self {
            hits: counts.get(0)?,
            predicted: counts.get(1)?,
            labelled: counts.get(2)?.detach(),
        })
    }

    /// The mean over classes, then over regions, of losses `[regions, classes]`. A region without any
    /// labelled pixel counts as 0.
    pub(super) fn mean(&self, losses: &Tensor, classes: &ClassMean) -> Result<Tensor> {
        let labelled = &self.labelled;
        let factors = match classes {
            ClassMean::Present => labelled.gt(0f64)?.to_dtype(losses.dtype())?,
            ClassMean::All => self.of_every_region(vec![1.; labelled.dim(1)?])?,
            ClassMean::Only(only) => {
                let belongs = |class| f64::from(u8::from(only.contains(&class)));
                self.of_every_region((0..labelled.dim(1)? as u32).map(belongs).collect())?
            }
        };
        let count = factors.sum_keepdim(1)?.maximum(1f64)?;
        let regions = labelled.dim(0)? as f64;
        (losses * factors.broadcast_div(&count)?)?.sum_all()? / regions
    }

    /// The same factors for the classes of every region that has a labelled pixel.
    fn of_every_region(&self, factors: Vec<f64>) -> Result<Tensor> {
        let labelled = &self.labelled;
        let factors = Tensor::new(factors, labelled.device())?.to_dtype(labelled.dtype())?;
        let counts = labelled.sum_keepdim(1)?.gt(0f64)?;
        counts
            .to_dtype(labelled.dtype())?
            .broadcast_mul(&factors.unsqueeze(0)?)
    }
}

/// An error of a setting as one of Candle, which losses return.
pub(super) fn wrapped(error: Error) -> candle_core::Error {
    // Not `Error::wrap`, which appends a backtrace to the message.
    candle_core::Error::Wrapped(Box::new(error))
}
