use crate::{ConfusionMatrix, Error, Result};

impl ConfusionMatrix {
    /// The matrix of a problem with fewer classes: class `c` counts as class `merged[c]`.
    ///
    /// With the IoU of the merged classes a network is compared with others that tell fewer classes
    /// apart.
    ///
    /// # Errors
    /// When `merged` has not a number for every class, or one that is no class of this matrix.
    ///
    /// # Examples
    /// ```
    /// # use unetr_metrics::{AbsentClass, ConfusionMatrix};
    /// # use candle_core::{Device, Tensor};
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// // 0 pet, 1 background, 2 boundary, of which pet and boundary are taken for each other.
    /// let truth = Tensor::new(&[[0u8, 2, 1, 1]], &Device::Cpu)?;
    /// let prediction = Tensor::new(&[[2u8, 0, 1, 1]], &Device::Cpu)?;
    /// let mut matrix = ConfusionMatrix::new(3)?;
    /// matrix.update_labels(&prediction, &truth)?;
    ///
    /// let pet_against_background = matrix.merged(&[0, 1, 0])?;
    /// assert_eq!(pet_against_background.mean_iou(AbsentClass::Zero), 1.0);
    /// assert!(matrix.merged(&[0, 1, 3]).is_err());
    /// # Ok(())
    /// # }
    /// ```
    pub fn merged(&self, merged: &[usize]) -> Result<Self> {
        if merged.len() != self.classes() {
            return Err(Error::Merged {
                found: merged.len(),
                classes: self.classes(),
            });
        }
        if let Some(&found) = merged.iter().find(|class| **class >= self.classes()) {
            return Err(Error::MergedClass {
                found,
                classes: self.classes(),
            });
        }
        Ok(self.merge_classes(merged))
    }

    /// The matrix of two classes: class 1 are these, class 0 all others.
    pub(crate) fn against_others(&self, classes: &[usize]) -> Self {
        let number = |class| usize::from(classes.contains(&class));
        self.merge_classes(&(0..self.classes()).map(number).collect::<Vec<_>>())
    }

    /// [`merged`](Self::merged) by a list that has a number for every class.
    fn merge_classes(&self, merged: &[usize]) -> Self {
        let classes = merged.iter().max().map_or(0, |max| max + 1);
        let mut counts = vec![0; classes * classes];
        for (truth, &row) in merged.iter().enumerate() {
            for (prediction, &column) in merged.iter().enumerate() {
                counts[row * classes + column] += self.count(truth, prediction);
            }
        }
        self.with_counts(classes, self.images(), counts)
    }
}
