use crate::{AbsentClass, ConfusionMatrix};

/// Scores of a class are ratios of pixel counts; `hits` are the pixels of a class that were
/// predicted as such, `truths` the pixels of the class, `predictions` the pixels predicted as it.
impl ConfusionMatrix {
    /// Intersection over union (Jaccard index) of every class:
    /// `hits / (truths + predictions - hits)`.
    pub fn iou(&self, absent: AbsentClass) -> Vec<Option<f64>> {
        self.per_class(|class| {
            let hits = self.hits(class);
            absent.ratio(hits, self.truths(class) + self.predictions(class) - hits)
        })
    }

    /// The mean of [`iou`](Self::iou) over the classes that have one; NaN when none has.
    pub fn mean_iou(&self, absent: AbsentClass) -> f64 {
        mean(&self.iou(absent))
    }

    /// Dice coefficient (F1 score) of every class: `2 hits / (truths + predictions)`.
    pub fn dice(&self, absent: AbsentClass) -> Vec<Option<f64>> {
        self.per_class(|class| {
            absent.ratio(
                2.0 * self.hits(class),
                self.truths(class) + self.predictions(class),
            )
        })
    }

    /// The mean of [`dice`](Self::dice) over the classes that have one; NaN when none has.
    pub fn mean_dice(&self, absent: AbsentClass) -> f64 {
        mean(&self.dice(absent))
    }

    /// Precision of every class: `hits / predictions`.
    pub fn precision(&self, absent: AbsentClass) -> Vec<Option<f64>> {
        self.per_class(|class| absent.ratio(self.hits(class), self.predictions(class)))
    }

    /// The mean of [`precision`](Self::precision) over the classes that have one; NaN when none
    /// has.
    pub fn mean_precision(&self, absent: AbsentClass) -> f64 {
        mean(&self.precision(absent))
    }

    /// Recall (the accuracy within a class) of every class: `hits / truths`.
    pub fn recall(&self, absent: AbsentClass) -> Vec<Option<f64>> {
        self.per_class(|class| absent.ratio(self.hits(class), self.truths(class)))
    }

    /// The mean of [`recall`](Self::recall) over the classes that have one; NaN when none has.
    pub fn mean_recall(&self, absent: AbsentClass) -> f64 {
        mean(&self.recall(absent))
    }

    /// The share of pixels whose prediction is right; 0 for an empty matrix.
    pub fn accuracy(&self) -> f64 {
        let hits: f64 = (0..self.classes()).map(|class| self.hits(class)).sum();
        ratio_or_zero(hits, self.pixels() as f64)
    }

    fn per_class(&self, score: impl FnMut(usize) -> Option<f64>) -> Vec<Option<f64>> {
        (0..self.classes()).map(score).collect()
    }
}

/// The ratio of two counts, of which 0/0 is 0.
pub(crate) fn ratio_or_zero(numerator: f64, denominator: f64) -> f64 {
    if denominator == 0.0 {
        0.0
    } else {
        numerator / denominator
    }
}

pub(crate) fn mean(scores: &[Option<f64>]) -> f64 {
    let present: Vec<f64> = scores.iter().copied().flatten().collect();
    present.iter().sum::<f64>() / present.len() as f64
}
