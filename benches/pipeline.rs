//! Photos on their way from the disk to a batch, on the sample in `assets/`: decoding, each transform, the tutorial's
//! pipeline, and the loader with and without caches. Throughput is in images.
#![allow(missing_docs, reason = "`criterion_group!` makes a public function")]

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use unetr::data::{
    Affine, Clahe, CoarseDropout, ColorJitter, Compose, D4, DataLoader, DataLoaderConfig, Dataset,
    ElasticTransform, Equalize, ExifOrientation, GaussianBlur, GaussianNoise, GridDistortion,
    HorizontalFlip, JpegCompression, MemoryCache, MotionBlur, Normalize, OxfordPets, Pad,
    Perspective, PrepareConfig, PreparedDataset, Probability, RandomBrightnessContrast, RandomCrop,
    RandomGamma, RandomResizedCrop, Resize, Sample, Step, Subset, ToGray, Transform, read_image,
    read_mask, sample_rng,
};

const IMAGES: usize = 64;
const BATCH: usize = 16;
const SIZE: [usize; 2] = [128, 128];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/oxford_pets_sample")
}

fn pets() -> Arc<Subset<OxfordPets>> {
    let pets = OxfordPets::open(folder()).expect("the sample is in the repository");
    Arc::new(Subset::new(pets, (0..IMAGES).collect()).expect("the sample has more photos"))
}

fn samples() -> Vec<Sample> {
    let pets = pets();
    let sample = |index| pets.get(index).expect("the sample is readable");
    (0..IMAGES).map(sample).collect()
}

fn decode(c: &mut Criterion) {
    let pets = OxfordPets::open(folder()).expect("the sample is in the repository");
    let paths = |kind: &str, extension: &str| -> Vec<PathBuf> {
        let names = pets.names().iter().take(IMAGES);
        names
            .map(|name| folder().join(kind).join(format!("{name}.{extension}")))
            .collect()
    };
    let (photos, masks) = (paths("images", "jpg"), paths("annotations/trimaps", "png"));
    let mut group = c.benchmark_group("decode");
    group.throughput(Throughput::Elements(IMAGES as u64));
    group.bench_function("photos", |b| {
        b.iter(|| {
            for path in &photos {
                black_box(read_image(path, ExifOrientation::Apply).expect("it is readable"));
            }
        });
    });
    group.bench_function("masks", |b| {
        b.iter(|| {
            for path in &masks {
                black_box(read_mask(path).expect("it is readable"));
            }
        });
    });
    group.finish();
}

/// Each transform alone, on photos of about 200x170, and the pipeline that goes over the pixels once.
fn transforms(c: &mut Criterion) {
    let p = Probability::ALWAYS;
    let steps: Vec<(&str, Step)> = vec![
        (
            "Affine",
            Affine {
                p,
                ..Affine::new([-35.0, 35.0], 1)
            }
            .into(),
        ),
        (
            "Perspective",
            Perspective {
                p,
                ..Perspective::new([0.05, 0.1], 1)
            }
            .into(),
        ),
        (
            "ElasticTransform",
            ElasticTransform {
                p,
                ..ElasticTransform::new([8.0, 8.0], [10.0, 10.0])
            }
            .into(),
        ),
        (
            "GridDistortion",
            GridDistortion {
                p,
                ..GridDistortion::new([5, 5], [-0.3, 0.3])
            }
            .into(),
        ),
        ("RandomResizedCrop", RandomResizedCrop::new(SIZE).into()),
        ("Resize", Resize::new(SIZE).into()),
        ("RandomCrop", RandomCrop::new(SIZE).into()),
        ("Pad", Pad::new([256, 256], 1).into()),
        ("HorizontalFlip", HorizontalFlip { p }.into()),
        ("D4", D4 { p }.into()),
        (
            "RandomBrightnessContrast",
            RandomBrightnessContrast {
                p,
                ..RandomBrightnessContrast::default()
            }
            .into(),
        ),
        (
            "RandomGamma",
            RandomGamma {
                p,
                ..RandomGamma::default()
            }
            .into(),
        ),
        (
            "ColorJitter",
            ColorJitter {
                p,
                ..ColorJitter::default()
            }
            .into(),
        ),
        ("ToGray", ToGray { p }.into()),
        ("Equalize", Equalize { p }.into()),
        (
            "Clahe",
            Clahe {
                p,
                ..Clahe::default()
            }
            .into(),
        ),
        (
            "GaussianBlur",
            GaussianBlur {
                p,
                ..GaussianBlur::default()
            }
            .into(),
        ),
        (
            "MotionBlur",
            MotionBlur {
                p,
                ..MotionBlur::default()
            }
            .into(),
        ),
        (
            "GaussianNoise",
            GaussianNoise {
                p,
                ..GaussianNoise::default()
            }
            .into(),
        ),
        (
            "JpegCompression",
            JpegCompression {
                p,
                ..JpegCompression::default()
            }
            .into(),
        ),
        (
            "CoarseDropout",
            CoarseDropout {
                p,
                ..CoarseDropout::default()
            }
            .into(),
        ),
        ("Normalize", Normalize::default().into()),
        ("tutorial_train", Compose::tutorial_train(SIZE).into()),
    ];
    let samples = samples();
    let mut group = c.benchmark_group("transform");
    group.throughput(Throughput::Elements(IMAGES as u64));
    for (name, step) in steps {
        group.bench_function(name, |b| {
            b.iter(|| {
                for (index, sample) in (0..).zip(&samples) {
                    let mut rng = sample_rng(0, 0, index);
                    black_box(
                        step.apply(sample.clone(), &mut rng)
                            .expect("the settings are valid"),
                    );
                }
            });
        });
    }
    group.finish();
}

fn loader(c: &mut Criterion) {
    let prepared = tempfile::tempdir().expect("the disk can be written");
    let sources: [(&str, Arc<dyn Dataset>); 3] = [
        ("decoding", pets()),
        (
            "from memory",
            Arc::new(MemoryCache::new(pets(), usize::MAX)),
        ),
        (
            "from a prepared file",
            Arc::new(
                PreparedDataset::open_or_create(
                    prepared.path().join("pets"),
                    &pets(),
                    &PrepareConfig::default(),
                )
                .expect("the disk can be written"),
            ),
        ),
    ];
    let mut group = c.benchmark_group("loader");
    group.throughput(Throughput::Elements(IMAGES as u64));
    for (name, dataset) in sources {
        for workers in [0, 1, 2, 4] {
            let cfg = DataLoaderConfig {
                workers,
                ..DataLoaderConfig::train(BATCH)
            };
            let pipeline = Compose::tutorial_train(SIZE);
            let loader =
                DataLoader::new(dataset.clone(), pipeline, cfg).expect("the settings are valid");
            let mut epoch = 0;
            group.bench_function(BenchmarkId::new(name, format!("{workers} workers")), |b| {
                b.iter(|| {
                    epoch += 1;
                    for batch in loader.epoch(epoch) {
                        black_box(batch.expect("the sample is readable"));
                    }
                });
            });
        }
    }
    group.finish();
}

fn short() -> Criterion {
    Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
}

criterion_group! {
    name = benches;
    config = short();
    targets = decode, transforms, loader
}
criterion_main!(benches);
