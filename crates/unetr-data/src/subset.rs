use crate::{Dataset, Error, Fingerprint, Result, Sample};

/// Some samples of a data set, in an order of one's own.
///
/// A training and a validation part of one data set share it through an `Arc`.
///
/// # Examples
/// ```no_run
/// use std::sync::Arc;
/// use unetr_data::{OxfordPets, Subset};
///
/// let pets = Arc::new(OxfordPets::open("data/oxford_pets")?);
/// let split = pets.official_split()?;
/// let train = Subset::new(Arc::clone(&pets), split.train)?;
/// let val = Subset::new(pets, split.val)?;
/// # Ok::<(), unetr_data::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Subset<D> {
    dataset: D,
    indices: Vec<usize>,
}

impl<D: Dataset> Subset<D> {
    /// The samples of `dataset` at `indices`; an index may occur more than once.
    ///
    /// # Errors
    /// When an index is out of range.
    pub fn new(dataset: D, indices: Vec<usize>) -> Result<Self> {
        let len = dataset.len();
        match indices.iter().find(|&&index| index >= len) {
            Some(&index) => Err(Error::Index { index, len }),
            None => Ok(Self { dataset, indices }),
        }
    }

    /// The indices into the whole data set.
    pub fn indices(&self) -> &[usize] {
        &self.indices
    }

    /// The whole data set.
    pub fn dataset(&self) -> &D {
        &self.dataset
    }

    fn index(&self, index: usize) -> Result<usize> {
        let len = self.indices.len();
        self.indices
            .get(index)
            .copied()
            .ok_or(Error::Index { index, len })
    }
}

impl<D: Dataset> Dataset for Subset<D> {
    fn len(&self) -> usize {
        self.indices.len()
    }

    fn get(&self, index: usize) -> Result<Sample> {
        self.dataset.get(self.index(index)?)
    }

    fn name(&self, index: usize) -> String {
        self.index(index).map_or_else(
            |_| format!("sample {index}"),
            |index| self.dataset.name(index),
        )
    }

    fn fingerprint(&self) -> Result<Option<Fingerprint>> {
        let whole = self.dataset.fingerprint()?;
        Ok(whole.map(|whole| {
            let subset = Fingerprint::new("Subset").and(whole);
            let add = |subset: Fingerprint, &index: &usize| subset.number(index as u64);
            self.indices.iter().fold(subset, add)
        }))
    }
}
