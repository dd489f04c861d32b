//! Order, bounds, errors and shutdown of the loader.

use candle_core::{DType, Device};
use image::{GrayImage, Rgb, RgbImage};
use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread::sleep,
    time::{Duration, Instant},
};
use unetr_data::{
    Affine, Batch, Canvas, Compose, DataLoader, DataLoaderConfig, Dataset, Error, HorizontalFlip,
    Image, Mix, Normalize, OnBroken, Order, Probability, Remainder, Resize, Result, Sample,
    SampleRng, Shard, Transform,
};

/// Photos of one colour that tells the index, some of them broken.
#[derive(Default)]
struct Colours {
    len: usize,
    broken: Vec<usize>,
    panics: Option<usize>,
    delay: Duration,
    reads: AtomicUsize,
    reading: AtomicUsize,
}

impl Colours {
    fn new(len: usize) -> Self {
        Self {
            len,
            ..Self::default()
        }
    }
}

impl Dataset for Colours {
    fn len(&self) -> usize {
        self.len
    }

    fn get(&self, index: usize) -> Result<Sample> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        self.reading.fetch_add(1, Ordering::SeqCst);
        // The earlier of a few samples take the longest, so that they come out of order.
        sleep(self.delay * (4 - index as u32 % 4));
        self.reading.fetch_sub(1, Ordering::SeqCst);
        if self.panics == Some(index) {
            panic!("sample {index} is haunted");
        }
        if self.broken.contains(&index) {
            return Err(Error::Io {
                path: format!("pets/{index}.jpg").into(),
                source: std::io::ErrorKind::UnexpectedEof.into(),
            });
        }
        let colour = Rgb([index as u8, (index / 2) as u8, 255 - index as u8]);
        let mut image = RgbImage::from_pixel(6, 5, colour);
        image.put_pixel(0, 0, Rgb([0, 0, 0]));
        let mask = GrayImage::from_fn(6, 5, |x, _| [(x % 3) as u8].into());
        Ok(Sample::new(self.name(index), image, mask))
    }

    fn name(&self, index: usize) -> String {
        format!("pet_{index}")
    }
}

fn augment() -> Compose {
    Compose::default()
        .then(Affine {
            p: Probability::HALF,
            ..Affine::new([-90.0, 90.0], 2)
        })
        .then(HorizontalFlip::default())
        .then(Resize::new([4, 4]))
        .then(Normalize::default())
}

fn config(workers: usize, batch_size: usize) -> DataLoaderConfig {
    DataLoaderConfig {
        batch_size,
        workers,
        seed: 12,
        ..DataLoaderConfig::default()
    }
}

fn loader(dataset: Colours, config: DataLoaderConfig) -> DataLoader {
    DataLoader::new(dataset, augment(), config).unwrap()
}

/// All that a batch holds.
fn content(batch: &Batch) -> (Vec<usize>, Vec<u32>, Vec<u8>) {
    let images = batch
        .images
        .flatten_all()
        .unwrap()
        .to_vec1::<f32>()
        .unwrap();
    let masks = batch.masks.flatten_all().unwrap().to_vec1().unwrap();
    (
        batch.indices.clone(),
        images.into_iter().map(f32::to_bits).collect(),
        masks,
    )
}

fn contents(batches: impl Iterator<Item = Result<Batch>>) -> Vec<(Vec<usize>, Vec<u32>, Vec<u8>)> {
    batches.map(|batch| content(&batch.unwrap())).collect()
}

fn indices(batches: impl Iterator<Item = Result<Batch>>) -> Vec<Vec<usize>> {
    batches.map(|batch| batch.unwrap().indices).collect()
}

#[test]
fn batches_have_shape_and_type() {
    let loader = loader(Colours::new(5), config(2, 2));
    let batch = loader.epoch(0).next().unwrap().unwrap();
    assert_eq!(batch.images.dims(), [2, 3, 4, 4]);
    assert_eq!(batch.masks.dims(), [2, 4, 4]);
    assert_eq!(
        (batch.images.dtype(), batch.masks.dtype()),
        (DType::F32, DType::U8)
    );
    assert_eq!(batch.len(), 2);
    let moved = batch.to_device(&Device::Cpu).unwrap();
    assert_eq!(content(&moved), content(&batch));
}

#[test]
fn images_are_planes_of_what_the_dataset_gave() {
    let dataset = Colours::new(3);
    let samples = (0..3).map(|i| (i, dataset.get(i).unwrap()));
    let batch = Batch::collate(samples).unwrap();
    assert_eq!(batch.images.dims(), [3, 3, 5, 6]);
    assert_eq!(batch.images.dtype(), DType::U8);
    let images = batch.images.flatten_all().unwrap().to_vec1::<u8>().unwrap();
    // Sample 2: its blue plane is 253, but for the black pixel at its start.
    let blue = &images[(2 * 3 + 2) * 30..][..30];
    assert_eq!(blue[0], 0);
    assert!(blue[1..].iter().all(|value| *value == 253));
    assert_eq!(
        batch.masks.to_vec3::<u8>().unwrap()[1][0],
        [0, 1, 2, 0, 1, 2]
    );
}

#[test]
fn the_number_of_workers_changes_nothing() {
    let run = |workers| {
        let dataset = Colours {
            delay: Duration::from_micros(300),
            ..Colours::new(23)
        };
        let loader = loader(dataset, config(workers, 4));
        contents(loader.epoch(0).chain(loader.epoch(1)))
    };
    let expected = run(0);
    assert_eq!(expected.len(), 12);
    for workers in [1, 2, 5] {
        assert_eq!(run(workers), expected, "{workers} workers");
    }
}

#[test]
fn an_epoch_can_be_repeated_and_has_every_sample_once() {
    let loader = loader(Colours::new(23), config(3, 4));
    assert_eq!(contents(loader.epoch(7)), contents(loader.epoch(7)));
    let seen: Vec<usize> = indices(loader.epoch(7)).concat();
    assert_eq!(seen.len(), 23);
    assert_eq!(seen.into_iter().collect::<BTreeSet<_>>(), (0..23).collect());
}

#[test]
fn every_epoch_and_seed_has_its_own_order_and_its_own_augmentation() {
    let first = loader(Colours::new(23), config(2, 23));
    let other = loader(
        Colours::new(23),
        DataLoaderConfig {
            seed: 13,
            ..config(2, 23)
        },
    );
    let orders: BTreeSet<_> = [first.epoch(0), first.epoch(1), other.epoch(0)]
        .map(indices)
        .into_iter()
        .collect();
    assert_eq!(orders.len(), 3);

    let sequential = DataLoaderConfig {
        order: Order::Sequential,
        ..config(2, 23)
    };
    let loader = loader(Colours::new(23), sequential);
    assert_eq!(indices(loader.epoch(3)), [(0..23).collect::<Vec<_>>()]);
    assert_ne!(contents(loader.epoch(0)), contents(loader.epoch(1)));
}

#[test]
fn the_remainder_is_kept_or_dropped() {
    let epoch = |remainder| {
        let dataset = Arc::new(Colours::new(23));
        let config = DataLoaderConfig {
            remainder,
            ..config(4, 5)
        };
        let loader = DataLoader::new(dataset.clone(), augment(), config).unwrap();
        let sizes: Vec<usize> = indices(loader.epoch(0)).iter().map(Vec::len).collect();
        assert_eq!(sizes.len(), loader.batches_per_epoch());
        (sizes, dataset.reads.load(Ordering::SeqCst))
    };
    assert_eq!(epoch(Remainder::Keep), (vec![5, 5, 5, 5, 3], 23));
    // What is dropped is not read either.
    assert_eq!(epoch(Remainder::Drop), (vec![5, 5, 5, 5], 20));
}

#[test]
fn an_epoch_resumes_without_reading_what_came_before() {
    for workers in [0, 3] {
        let dataset = Arc::new(Colours::new(23));
        let loader = DataLoader::new(dataset.clone(), augment(), config(workers, 4)).unwrap();
        let whole = contents(loader.epoch(5));
        let reads = dataset.reads.swap(0, Ordering::SeqCst);
        assert_eq!(reads, 23);
        assert_eq!(contents(loader.epoch_from(5, 4)), whole[4..]);
        assert_eq!(dataset.reads.load(Ordering::SeqCst), 23 - 4 * 4);
        assert_eq!(loader.epoch_from(5, 6).count(), 0);
        assert_eq!(loader.epoch_from(5, usize::MAX).count(), 0);
    }
}

#[test]
fn a_broken_sample_ends_the_epoch_by_name() {
    for workers in [0, 3] {
        let dataset = Colours {
            broken: vec![9],
            ..Colours::new(23)
        };
        let sequential = DataLoaderConfig {
            order: Order::Sequential,
            ..config(workers, 4)
        };
        let mut epoch = loader(dataset, sequential).epoch(0);
        assert_eq!(epoch.next().unwrap().unwrap().indices, [0, 1, 2, 3]);
        assert_eq!(epoch.next().unwrap().unwrap().indices, [4, 5, 6, 7]);
        let error = epoch.next().unwrap().unwrap_err().to_string();
        assert!(
            error.starts_with("sample pet_9 (index 9): pets/9.jpg: "),
            "{error}"
        );
        assert!(epoch.next().is_none());
    }
}

#[test]
fn a_panic_is_an_error_even_where_broken_samples_are_skipped() {
    for workers in [0, 1, 3] {
        let dataset = Colours {
            panics: Some(6),
            ..Colours::new(23)
        };
        let config = DataLoaderConfig {
            on_broken: OnBroken::Skip,
            ..config(workers, 4)
        };
        let results: Vec<_> = loader(dataset, config).epoch(0).collect();
        let error = results.last().unwrap().as_ref().unwrap_err();
        assert!(
            matches!(error, Error::WorkerPanic { index: 6, .. }),
            "{error}"
        );
        assert!(error.to_string().contains("pet_6"), "{error}");
        assert!(error.to_string().contains("sample 6 is haunted"), "{error}");
        assert!(results[..results.len() - 1].iter().all(Result::is_ok));
    }
}

#[test]
fn skipped_samples_are_counted_and_replaced() {
    for workers in [0, 3] {
        let dataset = Colours {
            broken: vec![0, 1, 2, 3, 4, 11],
            ..Colours::new(17)
        };
        let config = DataLoaderConfig {
            on_broken: OnBroken::Skip,
            order: Order::Sequential,
            prefetch: 1,
            ..config(workers, 4)
        };
        let loader = loader(dataset, config);
        let mut epoch = loader.epoch(0);
        let batches = indices(epoch.by_ref());
        assert_eq!(
            batches,
            [vec![5, 6, 7, 8], vec![9, 10, 12, 13], vec![14, 15, 16]]
        );
        assert_eq!(epoch.skipped().len(), 6);
        assert_eq!(loader.epoch(1).count(), 3);
        assert_eq!(loader.skipped(), 12);
    }
}

#[test]
fn an_epoch_of_broken_samples_is_an_error() {
    let dataset = Colours {
        broken: (0..9).collect(),
        ..Colours::new(9)
    };
    let config = DataLoaderConfig {
        on_broken: OnBroken::Skip,
        ..config(2, 4)
    };
    let results: Vec<_> = loader(dataset, config).epoch(0).collect();
    assert!(
        matches!(results[..], [Err(Error::NoBatch { skipped: 9 })]),
        "{results:?}"
    );
}

#[test]
fn workers_stay_within_the_prefetch_bound() {
    let (batch_size, prefetch) = (3, 2);
    let dataset = Arc::new(Colours::new(100));
    let config = DataLoaderConfig {
        prefetch,
        ..config(4, batch_size)
    };
    let loader = DataLoader::new(dataset.clone(), augment(), config).unwrap();
    let mut epoch = loader.epoch(0);
    for handed_out in 0..5 {
        let bound = (handed_out + prefetch) * batch_size;
        let deadline = Instant::now() + Duration::from_secs(20);
        while dataset.reads.load(Ordering::SeqCst) < bound && Instant::now() < deadline {
            sleep(Duration::from_millis(1));
        }
        // Time enough to read further, if anything did.
        sleep(Duration::from_millis(20));
        assert_eq!(dataset.reads.load(Ordering::SeqCst), bound);
        epoch.next().unwrap().unwrap();
    }
}

#[test]
fn dropping_an_epoch_ends_its_threads() {
    let dataset = Arc::new(Colours {
        delay: Duration::from_millis(5),
        ..Colours::new(10_000)
    });
    let config = DataLoaderConfig {
        prefetch: 1000,
        ..config(4, 4)
    };
    let loader = DataLoader::new(dataset.clone(), augment(), config).unwrap();
    let mut epoch = loader.epoch(0);
    epoch.next().unwrap().unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    while dataset.reading.load(Ordering::SeqCst) < 4 {
        assert!(Instant::now() < deadline, "not all threads read");
        sleep(Duration::from_micros(100));
    }
    let start = Instant::now();
    drop(epoch);
    assert_eq!(
        dataset.reading.load(Ordering::SeqCst),
        0,
        "a thread was not waited for"
    );
    assert!(
        start.elapsed() < Duration::from_secs(5),
        "{:?}",
        start.elapsed()
    );
    drop(loader);
    assert_eq!(
        Arc::strong_count(&dataset),
        1,
        "a thread still holds the dataset"
    );
}

#[test]
fn samples_of_two_sizes_are_named() {
    let mut samples: Vec<_> = (0..3)
        .map(|i| (i, Colours::new(3).get(i).unwrap()))
        .collect();
    samples[2].1.image = Image::U8(RgbImage::new(7, 5));
    samples[2].1.mask = GrayImage::new(7, 5);
    let error = Batch::collate(samples).unwrap_err().to_string();
    assert!(
        error.starts_with("pet_0 is 5x6 u8 but pet_2 is 5x7 u8"),
        "{error}"
    );
    assert!(matches!(Batch::collate([]), Err(Error::EmptyBatch)));
}

#[test]
fn wrong_settings_are_refused_before_any_sample_is_read() {
    let refused = |len, config, transform: Compose| {
        let dataset = Arc::new(Colours::new(len));
        let error = DataLoader::new(dataset.clone(), transform, config).unwrap_err();
        assert_eq!(dataset.reads.load(Ordering::SeqCst), 0);
        error.to_string()
    };
    assert!(refused(9, config(1, 0), augment()).contains("batch_size is 0"));
    assert!(refused(0, config(1, 4), augment()).contains("no samples"));
    let no_prefetch = DataLoaderConfig {
        prefetch: 0,
        ..config(1, 4)
    };
    assert!(refused(9, no_prefetch, augment()).contains("prefetch is 0"));
    let train = DataLoaderConfig::train(10);
    assert!(refused(9, train, augment()).contains("fewer than the batch size 10"));
    let late = augment().then(HorizontalFlip::default());
    assert!(refused(9, config(1, 4), late).contains("HorizontalFlip"));
}

#[test]
fn configuration_survives_json() {
    let config = DataLoaderConfig {
        on_broken: OnBroken::Skip,
        ..DataLoaderConfig::evaluation(3)
    };
    let json = serde_json::to_string(&config).unwrap();
    assert_eq!(
        serde_json::from_str::<DataLoaderConfig>(&json).unwrap(),
        config
    );
    assert!(serde_json::from_str::<DataLoaderConfig>(r#"{"batch": 3}"#).is_err());
}

#[test]
fn every_position_of_an_epoch_is_resumed_bit_for_bit() {
    let broken = || Colours {
        broken: vec![1, 4, 9, 10],
        ..Colours::new(23)
    };
    let config = DataLoaderConfig {
        on_broken: OnBroken::Skip,
        mix: Some(Mix::CutMix {
            p: Probability::HALF,
        }),
        ..config(2, 4)
    };
    let mut epoch = loader(broken(), config.clone()).epoch(3);
    let mut positions = vec![epoch.position()];
    let mut batches = Vec::new();
    while let Some(batch) = epoch.next() {
        batches.push(content(&batch.unwrap()));
        positions.push(epoch.position());
    }
    assert_eq!(epoch.skipped().len(), 4);
    for (batch, position) in positions.into_iter().enumerate() {
        let saved = serde_json::to_string(&position).unwrap();
        let position = serde_json::from_str(&saved).unwrap();
        // Another process, with another number of threads.
        let workers = DataLoaderConfig {
            workers: batch % 4,
            ..config.clone()
        };
        let resumed = contents(loader(broken(), workers).resume(position));
        assert_eq!(resumed, batches[batch..], "from batch {batch}");
    }
}

#[test]
fn an_epoch_is_resumed_where_only_broken_samples_are_left() {
    let config = |remainder| DataLoaderConfig {
        on_broken: OnBroken::Skip,
        order: Order::Sequential,
        remainder,
        ..config(1, 2)
    };
    for (samples, broken, remainder, position) in [
        (8, vec![2, 7], Remainder::Drop, 7),
        (6, vec![4, 5], Remainder::Keep, 4),
    ] {
        let colours = || Colours {
            broken: broken.clone(),
            ..Colours::new(samples)
        };
        let mut epoch = loader(colours(), config(remainder)).epoch(0);
        let mut positions = Vec::new();
        while let Some(batch) = epoch.next() {
            batch.unwrap();
            positions.push(epoch.position());
        }
        let last = *positions.last().unwrap();
        assert_eq!(last.samples, position);
        assert_eq!(loader(colours(), config(remainder)).resume(last).count(), 0);
    }
    // From the beginning on it is an error.
    let all = Colours {
        broken: (0..5).collect(),
        ..Colours::new(5)
    };
    let first = loader(all, config(Remainder::Keep)).epoch(0).next();
    assert!(matches!(first, Some(Err(Error::NoBatch { skipped: 5 }))));
}

#[test]
fn shards_are_disjoint_and_complete() {
    for (samples, count) in [(23, 4), (4, 4), (12, 1), (50, 7)] {
        let shard = |index, remainder| DataLoaderConfig {
            shard: Shard { index, count },
            remainder,
            ..config(2, 1)
        };
        let read = |index, remainder| {
            let loader = loader(Colours::new(samples), shard(index, remainder));
            let read = indices(loader.epoch(1)).concat();
            assert_eq!(read.len(), loader.batches_per_epoch());
            read
        };
        let all: Vec<usize> = (0..count)
            .flat_map(|index| read(index, Remainder::Keep))
            .collect();
        assert_eq!(all.len(), samples);
        assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), samples);
        // Processes that train together need as many batches each.
        for index in 0..count {
            assert_eq!(read(index, Remainder::Drop).len(), samples / count);
        }
    }
    let beyond = DataLoaderConfig {
        shard: Shard { index: 2, count: 2 },
        ..config(0, 1)
    };
    let error = DataLoader::new(Colours::new(4), augment(), beyond).unwrap_err();
    assert_eq!(
        error.to_string(),
        "data loader: shard 2 of 2; expected an index below the count, counted from 0"
    );
}

#[test]
fn a_sample_of_a_batch_is_replayed() {
    let loader = loader(Colours::new(9), config(3, 3));
    for batch in loader.epoch(5) {
        let batch = batch.unwrap();
        let replayed = batch
            .indices
            .iter()
            .map(|&index| (index, loader.replay(5, index).unwrap()));
        assert_eq!(content(&Batch::collate(replayed).unwrap()), content(&batch));
    }
}

#[test]
fn normalising_later_gives_the_same_batches() {
    let p = Probability::HALF;
    for mix in [None, Some(Mix::CutMix { p }), Some(Mix::Mosaic { p })] {
        let config = DataLoaderConfig {
            mix,
            ..config(2, 3)
        };
        let transforms = Compose::tutorial_train([8, 8]);
        let now = DataLoader::new(Colours::new(8), transforms.clone(), config.clone()).unwrap();
        let later = DataLoader::normalizing_later(Colours::new(8), transforms, config).unwrap();
        for (now, later) in now.epoch(3).zip(later.epoch(3)) {
            let (now, later) = (now.unwrap(), later.unwrap());
            assert_eq!(later.images.dtype(), DType::U8);
            assert_eq!(later.images.dims(), now.images.dims());
            assert_eq!(later.normalize, Some(Normalize::default()));
            let moved = later.to_device(&Device::Cpu).unwrap();
            assert_eq!(moved.normalize, None);
            assert_eq!(content(&moved), content(&now));
        }
        let image = |loader: &DataLoader| loader.replay(3, 1).unwrap().image;
        assert_eq!(image(&later), image(&now));
        let mut batches = later.epoch(3);
        batches.next().unwrap().unwrap();
        let rest = later.resume(batches.position());
        let floats = rest.map(|batch| batch.unwrap().to_device(&Device::Cpu));
        assert_eq!(contents(floats), contents(now.epoch(3).skip(1)));
    }
}

#[test]
fn without_a_normalisation_nothing_is_left_for_later() {
    let later =
        |transforms| DataLoader::normalizing_later(Colours::new(4), transforms, config(0, 4));
    let batch = |loader: DataLoader| loader.epoch(0).next().unwrap().unwrap();
    let bytes = batch(later(Compose::default()).unwrap());
    assert_eq!((bytes.images.dtype(), bytes.normalize), (DType::U8, None));
    let inner = Compose::default().then(Normalize::default());
    let floats = batch(later(Compose::default().then(inner)).unwrap());
    assert_eq!(
        (floats.images.dtype(), floats.normalize),
        (DType::F32, None)
    );

    let std = [0.0; 3];
    let wrong = Normalize {
        std,
        ..Normalize::default()
    };
    let error = later(Compose::default().then(wrong)).unwrap_err();
    assert!(error.to_string().contains("std above 0"), "{error}");
}

#[test]
fn mixed_samples_are_made_of_the_batchs_pixels_in_step_with_their_masks() {
    /// One colour and one class a sample, both its index.
    struct Plain;
    impl Dataset for Plain {
        fn len(&self) -> usize {
            8
        }
        fn get(&self, index: usize) -> Result<Sample> {
            let index = index as u8;
            let image = RgbImage::from_pixel(7, 5, Rgb([index; 3]));
            Ok(Sample::new(
                "plain",
                image,
                GrayImage::from_pixel(7, 5, [index].into()),
            ))
        }
    }
    let p = Probability::ALWAYS;
    for mix in [Mix::CutMix { p }, Mix::Mosaic { p }] {
        let config = DataLoaderConfig {
            mix: Some(mix),
            ..config(2, 8)
        };
        let loader = DataLoader::new(Plain, Compose::default(), config).unwrap();
        let mut mixed = 0;
        for epoch in 0..4 {
            let batch = loader.epoch(epoch).next().unwrap().unwrap();
            let images = batch.images.to_vec_of_planes();
            let masks: Vec<u8> = batch.masks.flatten_all().unwrap().to_vec1().unwrap();
            for (sample, masks) in masks.chunks_exact(35).enumerate() {
                for channel in 0..3 {
                    assert_eq!(images[3 * sample + channel], masks);
                }
                mixed += usize::from(masks.iter().any(|&class| class != masks[0]));
            }
        }
        assert!(mixed > 16, "{mixed} of 32 samples show several for {mix:?}");
    }
}

#[test]
fn floats_of_a_transform_and_bytes_to_normalise_stand_in_one_batch() {
    /// Normalises; the floats are made at once of samples whose name ends with one of these.
    #[derive(Debug)]
    struct Early {
        endings: &'static [char],
    }
    impl Transform for Early {
        fn draw(&self, canvas: &mut Canvas, rng: &mut SampleRng) -> Result<()> {
            let early = canvas.sample()?.name.ends_with(self.endings);
            Normalize::default().draw(canvas, rng)?;
            if early {
                canvas.sample()?;
            }
            Ok(())
        }
    }
    let p = Probability::HALF;
    for mix in [None, Some(Mix::CutMix { p }), Some(Mix::Mosaic { p })] {
        let batches = |endings: &'static [char]| {
            let config = DataLoaderConfig {
                mix,
                ..config(2, 4)
            };
            let loader = DataLoader::new(Colours::new(8), Early { endings }, config).unwrap();
            contents(loader.epoch(1))
        };
        let floats = batches(&['0', '1', '2', '3', '4', '5', '6', '7']);
        assert_eq!(batches(&['1', '2', '5']), floats, "{mix:?}");
        assert_eq!(batches(&[]), floats, "{mix:?}");
    }
}

trait Planes {
    fn to_vec_of_planes(&self) -> Vec<Vec<u8>>;
}

impl Planes for candle_core::Tensor {
    fn to_vec_of_planes(&self) -> Vec<Vec<u8>> {
        self.flatten(0, 1)
            .and_then(|planes| planes.flatten_from(1))
            .and_then(|planes| planes.to_vec2())
            .unwrap()
    }
}

#[test]
fn a_mosaic_is_made_wherever_its_point_is() {
    // Of images of one pixel, every point is at an edge.
    struct Numbers;
    impl Dataset for Numbers {
        fn len(&self) -> usize {
            200
        }
        fn get(&self, index: usize) -> Result<Sample> {
            let mask = GrayImage::from_pixel(1, 1, [index as u8].into());
            Ok(Sample::new("number", RgbImage::new(1, 1), mask))
        }
    }
    let config = DataLoaderConfig {
        mix: Some(Mix::Mosaic {
            p: Probability::ALWAYS,
        }),
        ..config(0, 200)
    };
    let loader = DataLoader::new(Numbers, Compose::default(), config).unwrap();
    let batch = loader.epoch(0).next().unwrap().unwrap();
    let masks: Vec<u8> = batch.masks.flatten_all().unwrap().to_vec1().unwrap();
    let untouched = masks.iter().zip(&batch.indices);
    let untouched = untouched.filter(|(mask, index)| usize::from(**mask) == **index);
    assert!(untouched.count() < 10);
}

#[test]
fn a_mosaic_shows_what_adjoins_its_point() {
    // Every pixel tells where it is from.
    struct Places;
    impl Dataset for Places {
        fn len(&self) -> usize {
            4
        }
        fn get(&self, _: usize) -> Result<Sample> {
            let mask = GrayImage::from_fn(6, 5, |x, y| [(10 * y + x) as u8].into());
            Ok(Sample::new("places", RgbImage::new(6, 5), mask))
        }
    }
    let config = DataLoaderConfig {
        mix: Some(Mix::Mosaic {
            p: Probability::ALWAYS,
        }),
        ..config(0, 4)
    };
    let loader = DataLoader::new(Places, Compose::default(), config).unwrap();
    for batch in loader.epoch(0) {
        let masks: Vec<u8> = batch
            .unwrap()
            .masks
            .flatten_all()
            .unwrap()
            .to_vec1()
            .unwrap();
        for mask in masks.chunks_exact(30) {
            // The point is where the corner of the bottom right tile is, or outside.
            let corner = mask.iter().position(|&place| place == 0);
            if let Some(corner) = corner {
                let (x, y) = (corner % 6, corner / 6);
                for (i, &place) in mask.iter().enumerate() {
                    let shown = |i: usize, point: usize, length: usize| {
                        if i < point {
                            i + length - point
                        } else {
                            i - point
                        }
                    };
                    let expected = 10 * shown(i / 6, y, 5) + shown(i % 6, x, 6);
                    assert_eq!(usize::from(place), expected, "{mask:?}");
                }
            }
        }
    }
}
