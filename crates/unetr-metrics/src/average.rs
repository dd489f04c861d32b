use serde::{Deserialize, Deserializer, Serialize};

/// The running mean of a scalar, such as the loss of every batch.
///
/// With [`update`](Self::update) every value counts once, as in `nnx.metrics.Average`: the mean
/// over batches, in which a small last batch weighs as much as a full one. With
/// [`update_weighted`](Self::update_weighted) and the batch size as weight it is the mean over
/// samples.
///
/// # Examples
/// ```
/// # use unetr_metrics::Average;
/// let mut loss = Average::default();
/// loss.update(1.0);
/// loss.update(0.5);
/// assert_eq!(loss.compute(), 0.75);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Average {
    /// In JSON, which has no numbers that are not finite, these are null.
    #[serde(deserialize_with = "number_or_nan")]
    total: f64,
    #[serde(deserialize_with = "number_or_nan")]
    weight: f64,
}

fn number_or_nan<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or(f64::NAN))
}

impl Average {
    /// Adds a value with weight 1.
    pub fn update(&mut self, value: f64) {
        self.update_weighted(value, 1.0);
    }

    /// Adds a value with a weight, such as the number of samples it is a mean of.
    pub fn update_weighted(&mut self, value: f64, weight: f64) {
        self.total += value * weight;
        self.weight += weight;
    }

    /// Adds everything that `other` has seen.
    pub fn merge(&mut self, other: &Self) {
        self.total += other.total;
        self.weight += other.weight;
    }

    /// Forgets all values.
    pub fn reset(&mut self) {
        *self = Self::default();
    }

    /// The mean of the values so far; NaN before the first one.
    pub fn compute(&self) -> f64 {
        self.total / self.weight
    }
}
