use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crate::{Dataset, Fingerprint, Image, Result, Sample};

/// Keeps the samples of a data set in memory once they are decoded, as far as they fit.
///
/// What does not fit is read each time; nothing is ever evicted. A shuffled epoch reads every sample
/// once, so that least recently used (LRU) says nothing about which one comes next: a cache that evicts
/// copies and frees samples all the time and is hit no more often than one that keeps what it has.
///
/// Threads never wait for each other. Two that miss the same sample both decode it, and one is kept.
///
/// # Examples
/// ```no_run
/// use unetr_data::{Compose, DataLoader, DataLoaderConfig, MemoryCache, OxfordPets};
///
/// let pets = MemoryCache::new(OxfordPets::open("data/oxford_pets")?, 4 << 30);
/// let transforms = Compose::tutorial_train([256, 256]);
/// let loader = DataLoader::new(pets, transforms, DataLoaderConfig::train(72))?;
/// # Ok::<(), unetr_data::Error>(())
/// ```
pub struct MemoryCache<D> {
    dataset: D,
    budget_bytes: usize,
    /// By index. A set slot is read without a lock, by any number of threads.
    slots: Vec<OnceLock<Box<Sample>>>,
    bytes: AtomicUsize,
    hits: AtomicU64,
    misses: AtomicU64,
}

/// What a [`MemoryCache`] holds and how often that was of use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct CacheStats {
    /// Samples held.
    pub samples: usize,
    /// Bytes of these samples: pixels, masks and names.
    pub bytes: usize,
    /// How often a sample was held when it was asked for.
    pub hits: u64,
    /// How often it had to be read.
    pub misses: u64,
}

impl<D: Dataset> MemoryCache<D> {
    /// Keeps samples of up to `budget_bytes` together, as the data set gives them: a pixel of 8 bits
    /// takes 3 bytes and 1 for each mask.
    pub fn new(dataset: D, budget_bytes: usize) -> Self {
        Self {
            budget_bytes,
            slots: (0..dataset.len()).map(|_| OnceLock::new()).collect(),
            bytes: AtomicUsize::new(0),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
            dataset,
        }
    }

    fn keep(&self, slot: &OnceLock<Box<Sample>>, sample: &Sample) {
        let size = size(sample);
        let room = |held: usize| {
            held.checked_add(size)
                .filter(|&all| all <= self.budget_bytes)
        };
        let reserved = self
            .bytes
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, room)
            .is_ok();
        if reserved && slot.set(Box::new(sample.clone())).is_err() {
            // Another thread was faster.
            self.bytes.fetch_sub(size, Ordering::Relaxed);
        }
    }
}

impl<D> MemoryCache<D> {
    /// What is held, and how often that was of use.
    pub fn stats(&self) -> CacheStats {
        CacheStats {
            samples: self.slots.iter().filter_map(OnceLock::get).count(),
            bytes: self.bytes.load(Ordering::Relaxed),
            hits: self.hits.load(Ordering::Relaxed),
            misses: self.misses.load(Ordering::Relaxed),
        }
    }

    /// The data set behind it.
    pub fn dataset(&self) -> &D {
        &self.dataset
    }
}

impl<D: Dataset> Dataset for MemoryCache<D> {
    fn len(&self) -> usize {
        self.dataset.len()
    }

    fn get(&self, index: usize) -> Result<Sample> {
        let slot = self.slots.get(index);
        if let Some(sample) = slot.and_then(OnceLock::get) {
            self.hits.fetch_add(1, Ordering::Relaxed);
            return Ok((**sample).clone());
        }
        self.misses.fetch_add(1, Ordering::Relaxed);
        let sample = self.dataset.get(index)?;
        if let Some(slot) = slot {
            self.keep(slot, &sample);
        }
        Ok(sample)
    }

    fn name(&self, index: usize) -> String {
        self.dataset.name(index)
    }

    fn fingerprint(&self) -> Result<Option<Fingerprint>> {
        self.dataset.fingerprint()
    }
}

/// Without the samples, which would be millions of numbers.
impl<D> fmt::Debug for MemoryCache<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryCache")
            .field("budget_bytes", &self.budget_bytes)
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

/// The bytes that a copy of a sample takes.
fn size(sample: &Sample) -> usize {
    let image = match &sample.image {
        Image::U8(pixels) => pixels.len(),
        Image::F32(planes) => size_of_val(planes.values()),
    };
    let masks = std::iter::once(&sample.mask).chain(&sample.extra_masks);
    let masks: usize = masks.map(|mask| mask.len()).sum();
    size_of::<Sample>() + sample.name.len() + image + masks
}
