use rand::{RngCore, SeedableRng};
use serde::{Deserialize, Serialize};

use crate::numpy_rng::shuffle;
use crate::{Error, NumpyRng, Result, SampleRng};

/// Which samples of a data set are for training and which for validation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Split {
    /// Indices to train on.
    pub train: Vec<usize>,
    /// Indices to validate on.
    pub val: Vec<usize>,
}

impl Split {
    /// Deals `len` samples at random, `fraction` of them (rounded) for training.
    ///
    /// The same seed gives the same split on every platform and in every release.
    ///
    /// # Errors
    /// When `fraction` is not between 0 and 1.
    ///
    /// # Examples
    /// ```
    /// let split = unetr_data::Split::random(10, 0.7, 42)?;
    /// assert_eq!((split.train.len(), split.val.len()), (7, 3));
    /// # Ok::<(), unetr_data::Error>(())
    /// ```
    pub fn random(len: usize, fraction: f64, seed: u64) -> Result<Self> {
        if !(0.0..=1.0).contains(&fraction) {
            return Err(Error::Fraction(fraction));
        }
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        key[24..].copy_from_slice(b"unetr/sp");
        let mut rng = SampleRng::from_seed(key);
        let mut indices: Vec<usize> = (0..len).collect();
        shuffle(&mut indices, || rng.next_u32());
        Ok(Self::cut(indices, (fraction * len as f64).round() as usize))
    }

    /// The split of the tutorial "UNETR for Oxford Pets in Flax NNX": all indices but the
    /// `corrupt` ones in the order of `numpy.random.default_rng(12).permutation`, cut at 70 % of
    /// `len`, the corrupt ones counted.
    ///
    /// On the 7,390 pairs of the official archives, less 3017 and 3425, these are the tutorial's
    /// 5,173 and 2,215. [`OxfordPets::tutorial_split`](crate::OxfordPets::tutorial_split) finds
    /// the corrupt ones by name.
    pub fn tutorial(len: usize, corrupt: &[usize]) -> Self {
        let mut indices: Vec<usize> = (0..len).filter(|i| !corrupt.contains(i)).collect();
        let mut rng = NumpyRng::new(12);
        shuffle(&mut indices, || rng.next_u32());
        Self::cut(indices, (0.7 * len as f64) as usize)
    }

    fn cut(mut indices: Vec<usize>, at: usize) -> Self {
        let val = indices.split_off(at.min(indices.len()));
        Self {
            train: indices,
            val,
        }
    }
}
