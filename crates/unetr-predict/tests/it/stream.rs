use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use candle_core::{DType, Device, Result, Tensor};
use image::{Rgb, RgbImage};
use unetr_data::{Classes, Normalize};
use unetr_model::{Mode, Parameters, SegmentationModel, Unetr, UnetrConfig};
use unetr_predict::{Error, Fit, Segmenter, SegmenterConfig, StreamConfig};

fn segmenter(fit: Fit) -> Segmenter {
    let parameters = Parameters::new(5, DType::F32, &Device::Cpu);
    let cfg = UnetrConfig::tiny().with_image_size([32, 32]);
    let model = Unetr::new(&cfg, parameters.var_builder()).unwrap();
    let classes = Classes::named(["a", "b", "c"]).unwrap();
    let segmenter = Segmenter::of_unetr(model, classes, Normalize::default(), &Device::Cpu);
    let config = SegmenterConfig {
        fit,
        batch_size: 3,
        ..SegmenterConfig::default()
    };
    segmenter.unwrap().with_config(config).unwrap()
}

fn photo(number: u32) -> RgbImage {
    RgbImage::from_fn(30 + number, 45 - number, |x, y| {
        Rgb([(x * number) as u8, (y * 7) as u8, 200])
    })
}

#[test]
fn a_stream_gives_what_photos_give_alone_and_goes_past_broken_ones() {
    for fit in [Fit::Resize, Fit::Pad, Fit::Window] {
        let segmenter = segmenter(fit);
        for (threads, pixels) in [(1, usize::MAX), (3, 3000), (2, 1)] {
            let results = Mutex::new(BTreeMap::new());
            let config = StreamConfig {
                readers: threads,
                writers: threads,
                max_pixels: pixels,
            };
            let read = |&number: &u32| match number % 5 {
                3 => Err(format!("photo {number} is broken")),
                _ => Ok(photo(number)),
            };
            let stream = segmenter.segment_stream(
                0..20,
                config,
                |number| read(number).map_err(Failure),
                |number, result| {
                    results.lock().unwrap().insert(number, result);
                },
            );
            stream.unwrap();
            let results = results.into_inner().unwrap();
            assert_eq!(results.len(), 20);
            for (number, result) in results {
                if number % 5 == 3 {
                    assert_eq!(result.unwrap_err().0, format!("photo {number} is broken"));
                    continue;
                }
                let (of_stream, segmentation) = result.unwrap();
                assert_eq!(of_stream, photo(number));
                let alone = segmenter.segment(&of_stream).unwrap();
                assert_eq!(segmentation.labels.dimensions(), of_stream.dimensions());
                let pairs = segmentation.confidence.iter().zip(alone.confidence.iter());
                assert!(pairs.map(|(a, b)| (a - b).abs()).fold(0., f32::max) < 1e-5);
            }
        }
    }
}

#[test]
fn photos_wait_outside_until_there_is_room() {
    let segmenter = segmenter(Fit::Resize);
    let held = AtomicUsize::new(0);
    let most = AtomicUsize::new(0);
    let config = StreamConfig {
        readers: 2,
        writers: 2,
        max_pixels: 1,
    };
    let stream = segmenter.segment_stream(
        0..30,
        config,
        |&number| {
            let now = held.fetch_add(1, Ordering::SeqCst) + 1;
            most.fetch_max(now, Ordering::SeqCst);
            Ok::<_, Failure>(photo(number % 20))
        },
        |_, _| {
            held.fetch_sub(1, Ordering::SeqCst);
        },
    );
    stream.unwrap();
    // One has its room, and each reader waits with another.
    assert!((1..=3).contains(&most.into_inner()));
}

/// What `read` says.
#[derive(Debug)]
struct Failure(String);

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self(error.to_string())
    }
}

/// Ends with an error after some photos.
struct Exhausted;

impl SegmentationModel for Exhausted {
    fn forward(&self, _: &Tensor, _: Mode) -> Result<Tensor> {
        Err(candle_core::Error::Msg("out of memory".into()))
    }
}

#[test]
fn a_network_that_fails_ends_the_stream() {
    let classes = Classes::named(["a"]).unwrap();
    let normalize = Normalize::default();
    let segmenter = Segmenter::new(Exhausted, [16, 16], classes, normalize, &Device::Cpu).unwrap();
    let read = Mutex::new(0);
    let result = segmenter.segment_stream(
        0..100_000,
        StreamConfig::default(),
        |_| {
            *read.lock().unwrap() += 1;
            Ok::<_, Failure>(RgbImage::new(8, 8))
        },
        |_, _| panic!("nothing is predicted"),
    );
    assert!(result.unwrap_err().to_string().contains("out of memory"));
    assert!(*read.lock().unwrap() < 100, "reading has ended");
}

#[test]
#[should_panic(expected = "a scoped thread panicked")]
fn a_panic_ends_the_stream_and_goes_on() {
    let result = segmenter(Fit::Resize).segment_stream(
        0..1000,
        StreamConfig::default(),
        |&number| Ok::<_, Failure>(photo(number % 20)),
        |_, _| panic!("the disk is on fire"),
    );
    result.unwrap();
}

#[test]
fn a_stream_needs_threads() {
    let config = StreamConfig {
        readers: 0,
        writers: 1,
        ..StreamConfig::default()
    };
    let result = segmenter(Fit::Resize).segment_stream(
        [1],
        config,
        |_| Ok::<_, Failure>(RgbImage::new(8, 8)),
        |_, _| {},
    );
    assert!(matches!(result.unwrap_err(), Error::Setting { .. }));
}
