use candle_core::WithDType;
use rayon::prelude::*;

use super::OP;
use crate::OpError;
use crate::cpu::Real;
use crate::predicted_classes::predict;

/// Pixels that are counted together: their classes stay in the L1 cache.
const BLOCK: usize = 1024;

/// Pixels that one task counts.
const TASK: usize = 16 * BLOCK;

/// Counts the pixels of images of so many.
#[derive(Debug, Clone, Copy)]
pub(super) struct Counter {
    pub(super) pixels: usize,
    pub(super) classes: usize,
    pub(super) ignore_index: Option<i64>,
}

impl Counter {
    /// `[batch, classes, classes]`: rows are labels, columns predictions.
    pub(super) fn count<T, L>(self, logits: &[T], labels: &[L]) -> candle_core::Result<Vec<u32>>
    where
        T: Real,
        L: WithDType + Into<i64>,
    {
        let tasks = self.pixels.div_ceil(TASK);
        let images = logits.par_chunks(self.classes * self.pixels);
        let shares: Vec<Result<Vec<u32>, OpError>> = images
            .zip(labels.par_chunks(self.pixels))
            .flat_map(|(image, labels)| {
                let tasks = labels.par_chunks(TASK).enumerate();
                tasks.map(move |(task, labels)| self.count_task(image, task * TASK, labels))
            })
            .collect();
        let cells = self.classes * self.classes;
        let mut counts = vec![0; labels.len() / self.pixels * cells];
        for (n, share) in shares.into_iter().enumerate() {
            let image = &mut counts[n / tasks * cells..][..cells];
            for (count, share) in image.iter_mut().zip(share?) {
                *count += share;
            }
        }
        Ok(counts)
    }

    /// The counts of those pixels of an image from `first` on that have `labels`.
    fn count_task<T: Real, L: Copy + Into<i64>>(
        self,
        image: &[T],
        first: usize,
        labels: &[L],
    ) -> Result<Vec<u32>, OpError> {
        let mut counts = vec![0; self.classes * self.classes];
        let (mut best, mut predictions) = ([T::zero(); BLOCK], [0; BLOCK]);
        for (block, labels) in labels.chunks(BLOCK).enumerate() {
            let (best, predictions) = (&mut best[..labels.len()], &mut predictions[..labels.len()]);
            predict(image, self.pixels, first + block * BLOCK, best, predictions);
            for (&label, &prediction) in labels.iter().zip(&*predictions) {
                if let Some(row) = self.row(label.into())? {
                    counts[row * self.classes + prediction as usize] += 1;
                }
            }
        }
        Ok(counts)
    }

    /// The row of a label, unless it is to be ignored.
    fn row(self, label: i64) -> Result<Option<usize>, OpError> {
        match usize::try_from(label) {
            _ if Some(label) == self.ignore_index => Ok(None),
            Ok(row) if row < self.classes => Ok(Some(row)),
            _ => Err(OpError::Label {
                op: OP,
                label,
                classes: self.classes,
            }),
        }
    }
}
