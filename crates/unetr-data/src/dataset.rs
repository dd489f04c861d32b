use crate::{Fingerprint, Result, Sample};

/// A finite collection of samples that can be read in any order and from several threads.
///
/// # Examples
/// ```
/// use image::{GrayImage, RgbImage};
/// use unetr_data::{Dataset, Result, Sample};
///
/// /// Photos in memory, each of one class.
/// struct Plain(Vec<(RgbImage, u8)>);
///
/// impl Dataset for Plain {
///     fn len(&self) -> usize {
///         self.0.len()
///     }
///
///     fn get(&self, index: usize) -> Result<Sample> {
///         let len = self.len();
///         let (photo, class) = self.0.get(index).ok_or(unetr_data::Error::Index { index, len })?;
///         let mask = GrayImage::from_pixel(photo.width(), photo.height(), image::Luma([*class]));
///         Ok(Sample::new(self.name(index), photo.clone(), mask))
///     }
/// }
///
/// let plain = Plain(vec![(RgbImage::new(6, 4), 2)]);
/// assert_eq!(plain.get(0)?.mask.get_pixel(5, 3).0, [2]);
/// # Ok::<(), unetr_data::Error>(())
/// ```
pub trait Dataset: Send + Sync {
    /// How many samples there are.
    fn len(&self) -> usize;

    /// Whether there is no sample at all.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Reads the sample at `index`, counted from 0.
    ///
    /// # Errors
    /// When `index` is out of range, or when the sample's files are missing or broken; the error
    /// names the file.
    fn get(&self, index: usize) -> Result<Sample>;

    /// What the sample at `index` is called, without reading it.
    fn name(&self, index: usize) -> String {
        format!("sample {index}")
    }

    /// What the samples are made from: it changes when files or settings do.
    ///
    /// None, as it is unless a data set says otherwise, means that a change can't be told, so that the
    /// samples can't be prepared ([`PreparedDataset`](crate::PreparedDataset)). A data set made of
    /// others puts theirs together with what it does itself; none of one is none of all.
    ///
    /// # Errors
    /// When a file can't be looked at.
    fn fingerprint(&self) -> Result<Option<Fingerprint>> {
        Ok(None)
    }
}

/// The name at an index, or what a sample without a name is called.
pub(crate) fn name_of(names: &[String], index: usize) -> String {
    let name = names.get(index).cloned();
    name.unwrap_or_else(|| format!("sample {index}"))
}

impl<D: Dataset + ?Sized> Dataset for std::sync::Arc<D> {
    fn len(&self) -> usize {
        (**self).len()
    }

    fn get(&self, index: usize) -> Result<Sample> {
        (**self).get(index)
    }

    fn name(&self, index: usize) -> String {
        (**self).name(index)
    }

    fn fingerprint(&self) -> Result<Option<Fingerprint>> {
        (**self).fingerprint()
    }
}
