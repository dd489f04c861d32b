//! Photos on their way from the disk to a batch, on the sample in `assets/`: decoding alone, and the
//! loader with the tutorial's training transforms at 128 x 128 pixels. Throughput is in images.
#![allow(missing_docs, reason = "`criterion_group!` makes a public function")]

use std::sync::Arc;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use unetr::data::{Compose, DataLoader, DataLoaderConfig, Dataset, OxfordPets, Subset};

const IMAGES: usize = 64;
const BATCH: usize = 16;

fn pets() -> Arc<Subset<OxfordPets>> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/oxford_pets_sample");
    let pets = OxfordPets::open(folder).expect("the sample is in the repository");
    Arc::new(Subset::new(pets, (0..IMAGES).collect()).expect("the sample has more photos"))
}

fn decode(c: &mut Criterion) {
    let pets = pets();
    let mut group = c.benchmark_group("decode");
    group.throughput(Throughput::Elements(IMAGES as u64));
    group.bench_function("one thread", |b| {
        b.iter(|| {
            for index in 0..IMAGES {
                std::hint::black_box(pets.get(index).expect("the sample is readable"));
            }
        });
    });
    group.finish();
}

fn tutorial_train(c: &mut Criterion) {
    let mut group = c.benchmark_group("decode and tutorial_train");
    group.throughput(Throughput::Elements(IMAGES as u64));
    for workers in [0, 1, 2, 4] {
        let cfg = DataLoaderConfig {
            workers,
            ..DataLoaderConfig::train(BATCH)
        };
        let loader = DataLoader::new(pets(), Compose::tutorial_train([128, 128]), cfg)
            .expect("the settings are valid");
        let mut epoch = 0;
        group.bench_function(BenchmarkId::new("workers", workers), |b| {
            b.iter(|| {
                epoch += 1;
                for batch in loader.epoch(epoch) {
                    std::hint::black_box(batch.expect("the sample is readable"));
                }
            });
        });
    }
    group.finish();
}

fn short() -> Criterion {
    Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(2))
}

criterion_group! {
    name = benches;
    config = short();
    targets = decode, tutorial_train
}
criterion_main!(benches);
