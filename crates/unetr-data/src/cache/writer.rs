use std::fs::File;
use std::io::{self, BufWriter, Seek, Write};
use std::path::Path;
use std::sync::mpsc::sync_channel;
use std::thread;

use image::{GrayImage, RgbImage};

use super::PrepareConfig;
use super::aside::Aside;
use super::format::{Entry, Header, Index};
use crate::{Dataset, Error, Fingerprint, Image, Result, Sample, Transform, sample_rng};

/// How many samples a thread may be ahead of the file.
const AHEAD: usize = 2;

/// A sample as it is written.
struct Prepared {
    name: String,
    image: RgbImage,
    masks: Vec<GrayImage>,
    checksum: u32,
}

/// Writes the samples of `dataset` to a file at `place`, in their order.
///
/// The same samples give the same bytes, whatever the number of threads.
pub(super) fn write(
    place: &Path,
    dataset: &(impl Dataset + ?Sized),
    cfg: &PrepareConfig,
    fingerprint: Fingerprint,
) -> Result<File> {
    let aside = Aside::create(place)?;
    let mut output = BufWriter::new(aside.file());
    // The header says where the index is, so that it comes last.
    let blank = [0; Header::LEN];
    output.write_all(&blank).map_err(Error::io(place))?;
    let (entries, index_offset) = write_samples(place, &mut output, dataset, cfg)?;
    let index = Index {
        transform: cfg.transform.clone(),
        entries,
    };
    let bytes = index.encode()?;
    let header = Header {
        fingerprint,
        index_offset,
        index_len: bytes.len() as u64,
        index_checksum: crc32fast::hash(&bytes),
    };
    output
        .write_all(&bytes)
        .and_then(|()| output.rewind())
        .and_then(|()| output.write_all(&header.encode()))
        .and_then(|()| output.flush())
        .map_err(Error::io(place))?;
    drop(output);
    aside.publish(place)
}

/// Writes the samples and returns what they are and where they end.
fn write_samples(
    place: &Path,
    output: &mut impl Write,
    dataset: &(impl Dataset + ?Sized),
    cfg: &PrepareConfig,
) -> Result<(Vec<Entry>, u64)> {
    let len = dataset.len();
    let threads = cfg.threads.get().min(len);
    thread::scope(|scope| {
        // Every thread prepares each `threads`-th sample, so that taking turns gives them in order.
        let start = |lane| {
            let (sender, receiver) = sync_channel(AHEAD);
            let work = move || {
                (lane..len)
                    .step_by(threads)
                    // Nobody receives any more when writing has ended with an error.
                    .try_for_each(|index| sender.send(prepare(dataset, index, cfg)).ok())
            };
            let builder = thread::Builder::new().name(format!("unetr-data prepare {lane}"));
            if let Err(error) = builder.spawn_scoped(scope, work) {
                log::warn!("preparing samples without thread {lane} of {threads}: {error}");
            }
            receiver
        };
        let lanes: Vec<_> = (0..threads).map(start).collect();

        let mut entries = Vec::new();
        let mut offset = Header::LEN as u64;
        for index in 0..len {
            let received = lanes[index % threads].recv();
            // A thread that could not be started sends nothing.
            let prepared = received.unwrap_or_else(|_| prepare(dataset, index, cfg))?;
            let (entry, end) = prepared.write(output, offset).map_err(Error::io(place))?;
            entries.push(entry);
            offset = end;
        }
        Ok((entries, offset))
    })
}

/// Reads and transforms a sample.
fn prepare(
    dataset: &(impl Dataset + ?Sized),
    index: usize,
    cfg: &PrepareConfig,
) -> Result<Prepared> {
    let mut rng = sample_rng(0, 0, index as u64);
    let sample = dataset
        .get(index)
        .and_then(|sample| cfg.transform.apply(sample, &mut rng))
        .map_err(|source| Error::Sample {
            name: dataset.name(index),
            index,
            source: Box::new(source),
        })?;
    if rng.get_word_pos() > 0 {
        return Err(Error::InvalidPrepare(format!(
            "`{}` is random, and what is drawn would be the same in every epoch; leave what is random to the loader",
            cfg.transform
        )));
    }
    Prepared::new(sample)
}

impl Prepared {
    fn new(sample: Sample) -> Result<Self> {
        let Sample {
            name,
            image,
            mask,
            extra_masks,
        } = sample;
        let Image::U8(image) = image else {
            return Err(Error::InvalidPrepare(format!(
                "the photo of {name} is made of floats, and 8-bit pixels are written; normalise in the loader"
            )));
        };
        let mut masks = vec![mask];
        masks.extend(extra_masks);
        if masks.len() > usize::from(u16::MAX) {
            let (count, most) = (masks.len(), u16::MAX);
            return Err(Error::InvalidPrepare(format!(
                "{name} has {count} masks; at most {most} can be written"
            )));
        }
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&image);
        masks.iter().for_each(|mask| hasher.update(mask));
        Ok(Self {
            checksum: hasher.finalize(),
            name,
            image,
            masks,
        })
    }

    /// Writes the bytes that belong at `offset` and returns what they are and where they end.
    fn write(self, output: &mut impl Write, offset: u64) -> io::Result<(Entry, u64)> {
        let mut end = offset;
        let masks = self.masks.iter().map(GrayImage::as_raw);
        for bytes in std::iter::once(self.image.as_raw()).chain(masks) {
            output.write_all(bytes)?;
            end += bytes.len() as u64;
        }
        let entry = Entry {
            height: self.image.height(),
            width: self.image.width(),
            // There are no more, as `new` sees to.
            masks: self.masks.len() as u16,
            name: self.name,
            checksum: self.checksum,
            offset,
        };
        Ok((entry, end))
    }
}
