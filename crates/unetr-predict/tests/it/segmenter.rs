use candle_core::{DType, Device, Result, Tensor};
use image::{Rgb, RgbImage};
use unetr_data::{Classes, Normalize};
use unetr_model::{Mode, Parameters, SegmentationModel, Unetr, UnetrConfig};
use unetr_predict::{Error, Fit, Flips, Probabilities, Segmenter, SegmenterConfig};

/// Scores that are a photo's own red, green and blue.
struct Colours;

impl SegmentationModel for Colours {
    fn forward(&self, images: &Tensor, _: Mode) -> Result<Tensor> {
        images * 10.
    }
}

/// As many scores of 0 as it says for each pixel, and 1 for the last class.
struct Last(usize);

impl SegmentationModel for Last {
    fn forward(&self, images: &Tensor, _: Mode) -> Result<Tensor> {
        let (batch, _, height, width) = images.dims4()?;
        let scores = Tensor::zeros((batch, self.0, height, width), DType::F32, &Device::Cpu)?;
        match self.0 {
            0 => Ok(scores),
            classes => Tensor::cat(
                &[
                    scores.narrow(1, 1, classes - 1)?,
                    scores.narrow(1, 0, 1)?.ones_like()?,
                ],
                1,
            ),
        }
    }
}

#[test]
fn classes_are_as_many_as_have_names() {
    let segment = |scores, names: usize| {
        let classes = Classes::viridis((0..names).map(|class| class.to_string())).unwrap();
        let normalize = Normalize::default();
        let segmenter = Segmenter::new(Last(scores), [4, 4], classes, normalize, &Device::Cpu);
        segmenter.unwrap().segment(&RgbImage::new(4, 4))
    };
    assert_eq!(segment(255, 255).unwrap().labels.into_raw(), [254; 16]);
    for (scores, names) in [(3, 2), (2, 3), (0, 2)] {
        let error = segment(scores, names).unwrap_err();
        assert!(matches!(error, Error::Scores { .. }), "{error}");
    }
}

/// Scores that depend on where a pixel is in a window: the left half is class 1, the rest class 0.
struct LeftHalf;

impl SegmentationModel for LeftHalf {
    fn forward(&self, images: &Tensor, _: Mode) -> Result<Tensor> {
        let (batch, _, height, width) = images.dims4()?;
        let row: Vec<f32> = (0..width)
            .map(|x| f32::from(u8::from(x < width / 2)))
            .collect();
        let ones = Tensor::from_vec(row, (1, 1, 1, width), images.device())?;
        let ones = ones.broadcast_as((batch, 1, height, width))?;
        Tensor::cat(&[(1. - &ones)?, ones.contiguous()?], 1)
    }
}

fn plain() -> Normalize {
    Normalize {
        mean: [0.; 3],
        std: [1.; 3],
    }
}

fn colours(config: SegmenterConfig) -> Segmenter {
    let classes = Classes::named(["red", "green", "blue"]).unwrap();
    let segmenter = Segmenter::new(Colours, [32, 48], classes, plain(), &Device::Cpu).unwrap();
    segmenter.with_config(config).unwrap()
}

/// Three stripes of pure colours, from left to right.
fn stripes(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, _| {
        let mut pixel = [0; 3];
        pixel[(3 * x / width) as usize] = 255;
        Rgb(pixel)
    })
}

#[test]
fn every_fit_gives_labels_at_the_photos_own_size() {
    for fit in [Fit::Resize, Fit::Pad, Fit::Window] {
        for (width, height) in [(48, 32), (300, 90), (31, 200), (7, 5), (3, 1)] {
            let segmenter = colours(SegmenterConfig {
                fit,
                ..SegmenterConfig::default()
            });
            let photo = stripes(width, height);
            let segmentation = segmenter.segment(&photo).unwrap();
            assert_eq!(segmentation.labels.dimensions(), (width, height));
            let mut wrong = 0;
            for (x, _, label) in segmentation.labels.enumerate_pixels() {
                wrong += u32::from(u32::from(label.0[0]) != 3 * x / width);
            }
            // A photo that was scaled down may be one pixel off where stripes meet.
            let allowed = match fit {
                Fit::Window => 0,
                _ => 2 * height * width.div_ceil(48).max(height.div_ceil(32)),
            };
            assert!(
                wrong <= allowed,
                "{fit:?} {width}x{height}: {wrong} of {allowed}"
            );
        }
    }
}

#[test]
fn confidence_is_the_probability_of_the_label() {
    let segmenter = colours(SegmenterConfig {
        fit: Fit::Window,
        probabilities: Probabilities::All,
        ..SegmenterConfig::default()
    });
    let photo = RgbImage::from_fn(60, 40, |x, y| Rgb([x as u8 * 4, y as u8 * 6, 90]));
    let segmentation = segmenter.segment(&photo).unwrap();
    let probabilities = segmentation.probabilities.unwrap();
    assert_eq!(probabilities.dims(), [3, 40, 60]);
    let planes = probabilities.to_vec3::<f32>().unwrap();
    for (x, y, pixel) in photo.enumerate_pixels() {
        let scores = pixel.0.map(|value| 10. * f64::from(value) / 255.);
        let sum: f64 = scores.iter().map(|score| score.exp()).sum();
        for (class, score) in scores.iter().enumerate() {
            let found = f64::from(planes[class][y as usize][x as usize]);
            assert!((found - score.exp() / sum).abs() < 1e-5);
        }
        let label = segmentation.labels.get_pixel(x, y).0[0];
        let confidence = segmentation.confidence.get_pixel(x, y).0[0];
        assert!((confidence - planes[usize::from(label)][y as usize][x as usize]).abs() < 1e-6);
    }
}

#[test]
fn mirror_images_are_mirrored_back() {
    let classes = Classes::named(["right", "left"]).unwrap();
    let segmenter = Segmenter::new(LeftHalf, [16, 16], classes, plain(), &Device::Cpu).unwrap();
    let confidence = |flips| {
        let config = SegmenterConfig {
            flips,
            ..SegmenterConfig::default()
        };
        let segmenter = segmenter.clone().with_config(config).unwrap();
        let segmentation = segmenter.segment(&RgbImage::new(16, 16)).unwrap();
        (
            segmentation.labels.get_pixel(0, 0).0[0],
            segmentation.confidence.get_pixel(0, 0).0[0],
        )
    };
    let sure = 1. / (1. + (-1_f32).exp());
    assert_eq!(confidence(Flips::None), (1, sure));
    // The mirror image says the opposite, so nothing is known.
    assert_eq!(confidence(Flips::Horizontal), (0, 0.5));
    assert_eq!(confidence(Flips::All), (0, 0.5));
}

#[test]
fn scales_are_averaged_at_the_photos_size() {
    let segmenter = colours(SegmenterConfig {
        scales: vec![0.5, 1., 2.5],
        ..SegmenterConfig::default()
    });
    let photo = stripes(240, 160);
    let segmentation = segmenter.segment(&photo).unwrap();
    let wrong = segmentation.labels.enumerate_pixels();
    let wrong = wrong.filter(|(x, _, label)| u32::from(label.0[0]) != 3 * x / 240);
    assert!(wrong.count() < 160 * 8);
}

#[test]
fn a_batch_of_photos_is_each_of_them() {
    let cfg = UnetrConfig {
        classes: 3,
        ..UnetrConfig::tiny().with_image_size([32, 48])
    };
    let parameters = Parameters::new(3, DType::F32, &Device::Cpu);
    let model = Unetr::new(&cfg, parameters.var_builder()).unwrap();
    let classes = Classes::named(["a", "b", "c"]).unwrap();
    let segmenter =
        Segmenter::of_unetr(model, classes, Normalize::default(), &Device::Cpu).unwrap();
    let photos = [
        stripes(50, 40),
        stripes(48, 32),
        stripes(20, 90),
        stripes(90, 20),
    ];
    for (fit, scales) in [
        (Fit::Resize, vec![1.]),
        (Fit::Pad, vec![1., 0.6]),
        (Fit::Resize, vec![1., 1.5]),
        (Fit::Window, vec![1.]),
    ] {
        let config = SegmenterConfig {
            fit,
            scales,
            flips: Flips::All,
            batch_size: 3,
            ..SegmenterConfig::default()
        };
        let segmenter = segmenter.clone().with_config(config).unwrap();
        let batch = segmenter.segment_batch(&photos).unwrap();
        for (photo, of_batch) in photos.iter().zip(batch) {
            let alone = segmenter.segment(photo).unwrap();
            assert_eq!(of_batch.labels.dimensions(), photo.dimensions());
            let same = of_batch
                .labels
                .iter()
                .zip(alone.labels.iter())
                .filter(|(a, b)| a == b);
            assert!(same.count() * 1000 >= alone.labels.len() * 999);
            let pairs = of_batch.confidence.iter().zip(alone.confidence.iter());
            let difference = pairs.map(|(a, b)| (a - b).abs()).fold(0., f32::max);
            assert!(difference < 1e-5, "{difference}");
        }
        let (mut row, alone) = (0, segmenter.segment(&photos[0]).unwrap());
        segmenter
            .segment_rows(&photos[0], |labels, confidence| {
                let part = row * 50..(row + 1) * 50;
                assert_eq!(labels, &(*alone.labels)[part.clone()]);
                assert_eq!(confidence, &(*alone.confidence)[part]);
                row += 1;
                Ok::<_, Error>(())
            })
            .unwrap();
        assert_eq!(row, 40);
    }
}

#[test]
fn areas_add_up() {
    let segmenter = colours(SegmenterConfig {
        fit: Fit::Window,
        ..SegmenterConfig::default()
    });
    let areas = segmenter.segment(&stripes(90, 10)).unwrap().areas(3);
    assert!(areas.iter().all(|area| area.pixels == 300));
    assert!((areas[0].fraction - 1. / 3.).abs() < 1e-12);
    assert!(areas[1].confidence > 0.99);
}

#[test]
fn what_does_not_fit_is_refused() {
    let error = colours(SegmenterConfig::default())
        .segment(&RgbImage::new(0, 5))
        .unwrap_err();
    assert!(
        matches!(error, Error::NoPixels { height: 5, .. }),
        "{error}"
    );

    let cfg = UnetrConfig {
        in_channels: 1,
        ..UnetrConfig::tiny()
    };
    let parameters = Parameters::new(3, DType::F32, &Device::Cpu);
    let model = Unetr::new(&cfg, parameters.var_builder()).unwrap();
    let classes = Classes::named(["a", "b", "c"]).unwrap();
    let error = Segmenter::of_unetr(model, classes, plain(), &Device::Cpu).unwrap_err();
    assert!(matches!(error, Error::Channels { found: 1 }), "{error}");

    let parameters = Parameters::new(3, DType::F32, &Device::Cpu);
    let model = Unetr::new(&UnetrConfig::tiny(), parameters.var_builder()).unwrap();
    let classes = Classes::named(["a", "b"]).unwrap();
    let error = Segmenter::of_unetr(model, classes, plain(), &Device::Cpu).unwrap_err();
    assert!(
        matches!(
            error,
            Error::Classes {
                found: 2,
                expected: 3
            }
        ),
        "{error}"
    );

    for (scales, batch_size) in [
        (vec![], 1),
        (vec![0.], 1),
        (vec![f64::NAN], 1),
        (vec![1.], 0),
    ] {
        let config = SegmenterConfig {
            scales,
            batch_size,
            ..SegmenterConfig::default()
        };
        assert!(config.validate().is_err());
    }
}
