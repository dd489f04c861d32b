use std::fmt;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use image::{GrayImage, RgbImage};

use super::PrepareConfig;
use super::format::{Entry, Header, Index, MAGIC, unequal};
use super::positioned::PositionedFile;
use super::writer;
use crate::{Compose, Dataset, Error, Fingerprint, Image, Result, Sample};

/// Decoded samples in one file, which later runs read instead of decoding.
///
/// A pixel takes 3 bytes and 1 for each mask. Samples are read through the page cache from any number of
/// threads, and each is checked against its checksum.
///
/// The file is written aside, flushed to the disk and renamed, so that a crash leaves the old file or
/// none. Several processes may make it at once: each writes its own, and the last one stays.
///
/// # Examples
/// ```no_run
/// use std::sync::Arc;
/// use unetr_data::{Compose, OxfordPets, PrepareConfig, PreparedDataset, Resize, Subset};
///
/// let pets = OxfordPets::open("data/oxford_pets")?;
/// let split = pets.tutorial_split();
/// let cfg = PrepareConfig::new(Compose::default().then(Resize::new([320, 320])));
/// let pets = Arc::new(PreparedDataset::open_or_create("data/pets_320.prepared", &pets, &cfg)?);
/// let train = Subset::new(Arc::clone(&pets), split.train)?;
/// let val = Subset::new(pets, split.val)?;
/// # Ok::<(), unetr_data::Error>(())
/// ```
pub struct PreparedDataset {
    path: PathBuf,
    file: PositionedFile,
    fingerprint: Fingerprint,
    index: Index,
}

impl PreparedDataset {
    /// Opens the file at `path` if it holds the samples of `dataset`, prepared as `cfg` says; makes it
    /// otherwise.
    ///
    /// A file that is broken, or made of files which have changed since, with another transform or by
    /// another release, is made again, and a warning is logged. A file that never held prepared samples
    /// is left alone. Whether a sample's bytes are broken shows when it is read.
    ///
    /// # Errors
    /// When the data set has no [`fingerprint`](Dataset::fingerprint), the transform is random or makes
    /// floats, a sample can't be read or transformed, something else is at `path`, or the disk can't be
    /// read or written.
    pub fn open_or_create(
        path: impl AsRef<Path>,
        dataset: &(impl Dataset + ?Sized),
        cfg: &PrepareConfig,
    ) -> Result<Self> {
        let path = path.as_ref();
        cfg.validate()?;
        // Before the files are read: if one changes meanwhile, the next call sees it.
        let fingerprint = cfg.fingerprint(dataset)?;
        match Self::open(path) {
            Ok(prepared) if prepared.fingerprint == fingerprint => return Ok(prepared),
            Ok(_) => log::warn!(
                "{}: prepared from other files, in another way or by another release; preparing again",
                path.display()
            ),
            Err(Error::Prepared { problem, .. }) => {
                log::warn!("{}: {problem}; preparing again", path.display());
            }
            Err(Error::Io { source, .. }) if source.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        log::info!("preparing {} samples in {}", dataset.len(), path.display());
        let file = writer::write(path, dataset, cfg, fingerprint)?;
        Self::read(file, path)
    }

    /// Opens a file that was made before, whatever it was made of.
    ///
    /// # Errors
    /// When the file can't be read, holds something else, is broken or cut off, or is of another format
    /// version.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let file = File::open(path).map_err(Error::io(path))?;
        Self::read(file, path)
    }

    fn read(file: File, path: &Path) -> Result<Self> {
        let len = file.metadata().map_err(Error::io(path))?.len();
        let file = PositionedFile::new(file);
        let read = |offset, len| read(&file, offset, len).map_err(Error::io(path));
        let broken = |problem| Error::Prepared {
            path: path.into(),
            problem,
        };
        let start = read(0, len.min(Header::LEN as u64))?;
        // A file that was cut off within the magic is still one of these.
        if !start.starts_with(&MAGIC) && !MAGIC.starts_with(&start) {
            return Err(Error::NotPrepared { path: path.into() });
        }
        let header = Header::decode(&start, len).map_err(broken)?;
        let index = read(header.index_offset, header.index_len)?;
        Ok(Self {
            index: Index::decode(&index, &header).map_err(broken)?,
            fingerprint: header.fingerprint,
            path: path.into(),
            file,
        })
    }

    /// What was done to the samples before they were written.
    pub fn transform(&self) -> &Compose {
        &self.index.transform
    }

    /// The photo, the masks and their checksum.
    fn pixels(&self, entry: &Entry) -> io::Result<(Vec<u8>, Vec<Vec<u8>>, u32)> {
        let mut offset = entry.offset;
        let mut hasher = crc32fast::Hasher::new();
        let mut next = |len| {
            let bytes = read(&self.file, offset, len)?;
            offset += len;
            hasher.update(&bytes);
            Ok(bytes)
        };
        let image = next(3 * entry.pixels())?;
        let masks = (0..entry.masks)
            .map(|_| next(entry.pixels()))
            .collect::<io::Result<_>>()?;
        Ok((image, masks, hasher.finalize()))
    }
}

impl Dataset for PreparedDataset {
    fn len(&self) -> usize {
        self.index.entries.len()
    }

    fn get(&self, index: usize) -> Result<Sample> {
        let len = self.len();
        let entry = self.index.entries.get(index);
        let entry = entry.ok_or(Error::Index { index, len })?;
        let name = &entry.name;
        let (image, masks, checksum) = self.pixels(entry).map_err(|error| {
            let source = io::Error::new(error.kind(), format!("sample {name}: {error}"));
            Error::io(&self.path)(source)
        })?;
        let broken = |problem| Error::Prepared {
            path: self.path.clone(),
            problem: format!("sample {name} {problem}"),
        };
        if checksum != entry.checksum {
            return Err(broken(format!("has {}", unequal(checksum, entry.checksum))));
        }
        let (width, height) = (entry.width, entry.height);
        let image = RgbImage::from_raw(width, height, image);
        let mut masks = masks
            .into_iter()
            .map_while(|mask| GrayImage::from_raw(width, height, mask));
        let (Some(image), Some(mask)) = (image, masks.next()) else {
            return Err(broken("has no pixels".into()));
        };
        Ok(Sample {
            name: name.clone(),
            image: Image::U8(image),
            mask,
            extra_masks: masks.collect(),
        })
    }

    fn name(&self, index: usize) -> String {
        let entry = self.index.entries.get(index);
        entry.map_or_else(|| format!("sample {index}"), |entry| entry.name.clone())
    }

    fn fingerprint(&self) -> Result<Option<Fingerprint>> {
        Ok(Some(self.fingerprint))
    }
}

/// Without the index, which has a line for each sample.
impl fmt::Debug for PreparedDataset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PreparedDataset")
            .field("path", &self.path)
            .field("samples", &self.len())
            .field("transform", self.transform())
            .finish_non_exhaustive()
    }
}

/// No photo and no index is as large; a file with holes can be, and take no room on the disk.
const MOST_AT_ONCE: u64 = 1 << 31;

/// The `len` bytes from `offset` on, which the caller knows to be within the file.
fn read(file: &PositionedFile, offset: u64, len: u64) -> io::Result<Vec<u8>> {
    if len > MOST_AT_ONCE {
        return Err(io::Error::other(format!(
            "{len} bytes at {offset} belong together; expected at most {MOST_AT_ONCE}"
        )));
    }
    let mut bytes = vec![0; len as usize];
    file.read_exact_at(&mut bytes, offset)?;
    Ok(bytes)
}
