//! Against albumentations 2.0.8 and OpenCV 5.0.0 (`tests/fixtures/README.md`), and properties.

use candle_core::Tensor;
use image::{GrayImage, RgbImage};
use proptest::prelude::*;
use rand::SeedableRng;
use safetensors::SafeTensors;
use unetr_data::{
    Affine, AffineParams, Batch, BrightnessContrastParams, Compose, Error, HorizontalFlip, Image,
    Normalize, OneOf, Probability, RandomBrightnessContrast, RandomResizedCrop, Region, Resize,
    Result, Sample, SampleRng, Step, Transform, VerticalFlip, sample_rng,
};

const ALWAYS: Probability = Probability::ALWAYS;
const BACKGROUND: u8 = 1;

struct Fixture {
    bytes: Vec<u8>,
    params: serde_json::Value,
}

impl Fixture {
    fn open() -> Self {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../tests/fixtures/transforms.safetensors"
        );
        let bytes = std::fs::read(path).unwrap();
        let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
        let params = &header.metadata().as_ref().unwrap()["params"];
        Self {
            params: serde_json::from_str(params).unwrap(),
            bytes,
        }
    }

    fn tensor(&self, name: &str) -> (Vec<usize>, Vec<u8>) {
        let tensors = SafeTensors::deserialize(&self.bytes).unwrap();
        let tensor = tensors.tensor(name).unwrap();
        (tensor.shape().to_vec(), tensor.data().to_vec())
    }

    fn u8(&self, name: &str) -> Vec<u8> {
        self.tensor(name).1
    }

    fn f32(&self, name: &str) -> Vec<f32> {
        let bytes = self.u8(name);
        let values = bytes
            .chunks_exact(4)
            .map(|b| f32::from_le_bytes(b.try_into().unwrap()));
        values.collect()
    }

    fn image(&self, name: &str) -> RgbImage {
        let (shape, data) = self.tensor(name);
        RgbImage::from_raw(shape[1] as u32, shape[0] as u32, data).unwrap()
    }

    fn sample(&self, image: &str, mask: &str) -> Sample {
        let (shape, data) = self.tensor(mask);
        let mask = GrayImage::from_raw(shape[1] as u32, shape[0] as u32, data).unwrap();
        Sample::new("fixture", self.image(image), mask)
    }

    fn input(&self) -> Sample {
        self.sample("in/image", "in/mask")
    }

    /// A photo with every value, and a mask of its size.
    fn ramp(&self) -> Sample {
        let image = self.image("in/ramp");
        let mask = GrayImage::new(image.width(), image.height());
        Sample::new("ramp", image, mask)
    }

    fn numbers<const N: usize>(&self, case: &str, field: &str) -> [usize; N] {
        serde_json::from_value::<Vec<usize>>(self.params[case][field].clone())
            .unwrap()
            .try_into()
            .unwrap()
    }

    fn number(&self, case: &str, field: &str) -> f64 {
        self.params[case][field].as_f64().unwrap()
    }

    fn region(&self, case: &str) -> Region {
        let [x, y, right, bottom] = self.numbers(case, "box_x0y0x1y1");
        Region {
            x,
            y,
            width: right - x,
            height: bottom - y,
        }
    }

    fn brightness(&self, case: &str) -> BrightnessContrastParams {
        BrightnessContrastParams {
            alpha: self.number(case, "alpha") as f32,
            beta: self.number(case, "beta") as f32,
        }
    }

    /// Photo and mask equal the fixture's, value for value.
    fn assert_equal(&self, case: &str, sample: &Sample) {
        assert_eq!(
            bytes(sample),
            &self.u8(&format!("{case}/image")),
            "{case}: image"
        );
        assert_eq!(
            sample.mask.as_raw(),
            &self.u8(&format!("{case}/mask")),
            "{case}: mask"
        );
    }
}

fn bytes(sample: &Sample) -> &[u8] {
    let Image::U8(pixels) = &sample.image else {
        panic!("expected 8-bit pixels");
    };
    pixels.as_raw()
}

/// The floats of a normalised photo in the order of the fixture, `[height, width, 3]`.
fn floats(sample: &Sample) -> Vec<f32> {
    let Image::F32(planes) = &sample.image else {
        panic!("expected floats");
    };
    let pixels = planes.values().len() / 3;
    let value = |i: usize| planes.values()[i % 3 * pixels + i / 3];
    (0..3 * pixels).map(value).collect()
}

fn rng() -> SampleRng {
    SampleRng::seed_from_u64(0)
}

fn apply(transform: &dyn Transform, sample: &Sample) -> Sample {
    transform.apply(sample.clone(), &mut rng()).unwrap()
}

#[test]
fn affine_is_opencvs_up_to_rounding() {
    let fixture = Fixture::open();
    let affine = Affine::new([-35.0, 35.0], BACKGROUND);
    for case in ["affine0", "affine1", "affine2", "affine3"] {
        let angle = fixture.number(case, "rotate_deg");
        let sample = affine
            .apply_params(fixture.input(), AffineParams::rotation(angle))
            .unwrap();
        assert_eq!(
            sample.mask.as_raw(),
            &fixture.u8(&format!("{case}/mask")),
            "{case}"
        );

        let expected = fixture.u8(&format!("{case}/image"));
        let differences = bytes(&sample)
            .iter()
            .zip(&expected)
            .map(|(a, b)| a.abs_diff(*b));
        assert!(differences.clone().max().unwrap() <= 1, "{case}");
        let differing = differences.filter(|d| *d > 0).count();
        println!(
            "{case}: {differing} of {} values differ by one level",
            expected.len()
        );
        assert!(
            differing as f64 <= 0.000_13 * expected.len() as f64,
            "{case}: {differing}"
        );
    }
}

#[test]
fn crop_is_opencvs() {
    let fixture = Fixture::open();
    for case in ["crop0", "crop1", "crop2", "crop3"] {
        let crop = RandomResizedCrop::new(fixture.numbers(case, "size_hw"));
        let sample = crop
            .apply_params(fixture.input(), fixture.region(case))
            .unwrap();
        fixture.assert_equal(case, &sample);
    }
}

#[test]
fn resize_is_opencvs() {
    let fixture = Fixture::open();
    for case in ["resize0", "resize1", "resize2", "resize3"] {
        let resize = Resize::new(fixture.numbers(case, "size_hw"));
        fixture.assert_equal(case, &apply(&resize, &fixture.input()));
    }
    let big = fixture.sample("in/big_image", "in/big_mask");
    let resize = Resize::new(fixture.numbers("resize_big", "size_hw"));
    fixture.assert_equal("resize_big", &apply(&resize, &big));
}

/// The rows that `cv2.resize(…, INTER_NEAREST)` takes where the quotient is a whole number, but not in floats.
#[test]
fn masks_take_opencvs_rows() {
    for (height, output, rows) in [
        (372u32, 256, &[(64, 92), (128, 185), (192, 278)][..]),
        (300, 224, &[(168, 224)]),
    ] {
        let mask = GrayImage::from_fn(2, height, |_, y| image::Luma([(y % 256) as u8]));
        let sample = Sample::new("rows", RgbImage::new(2, height), mask);
        let resized = apply(&Resize::new([output, 2]), &sample).mask;
        for &(y, row) in rows {
            assert_eq!(
                resized.get_pixel(0, y).0,
                [(row % 256) as u8],
                "{height} to {output}: {y}"
            );
        }
    }
}

#[test]
fn what_is_enlarged_is_white_up_to_its_filling() {
    let white = RgbImage::from_pixel(32, 32, image::Rgb([255; 3]));
    let sample = Sample::new("white", white, GrayImage::new(32, 32));
    let turned = Affine {
        p: Probability::ALWAYS,
        ..Affine::new([0.01, 0.01], 7)
    };
    let large = apply(
        &Compose::default()
            .then(turned)
            .then(Resize::new([256, 256])),
        &sample,
    );
    let Image::U8(photo) = &large.image else {
        panic!("expected bytes");
    };
    let row: Vec<u8> = (0..4).map(|x| photo.get_pixel(x, 128).0[0]).collect();
    assert!(row.iter().all(|value| *value > 250), "{row:?}");
}

#[test]
fn pairs_and_pipelines_within_pipelines_are_seen() {
    let half = Normalize {
        mean: [0.5; 3],
        std: [0.5; 3],
    };
    let inner = Compose::tutorial_val([8, 8]);
    let nested = Compose::default().then(inner.clone()).normalized_by(&half);
    assert_eq!(
        nested,
        Compose::default().then(inner.clone().normalized_by(&half))
    );
    let pair = (inner.clone(), HorizontalFlip::default());
    let expected = [inner.settings(), HorizontalFlip::default().settings()];
    assert_eq!(pair.settings().as_array().unwrap()[..], expected);
}

#[test]
fn horizontal_flip_is_opencvs() {
    let fixture = Fixture::open();
    fixture.assert_equal(
        "hflip",
        &apply(&HorizontalFlip { p: ALWAYS }, &fixture.input()),
    );
}

#[test]
fn brightness_and_contrast_are_albumentations() {
    let fixture = Fixture::open();
    let transform = RandomBrightnessContrast::default();
    for case in ["rbc0", "rbc1", "rbc2", "rbc3", "rbc4", "rbc_ramp"] {
        let sample = match case {
            "rbc_ramp" => fixture.ramp(),
            _ => fixture.input(),
        };
        let sample = transform
            .apply_params(sample, fixture.brightness(case))
            .unwrap();
        assert_eq!(
            bytes(&sample),
            fixture.u8(&format!("{case}/image")),
            "{case}"
        );
    }
}

#[test]
fn normalize_is_albumentations() {
    let fixture = Fixture::open();
    for (sample, case) in [
        (fixture.input(), "normalize"),
        (fixture.ramp(), "normalize_ramp"),
    ] {
        let floats = floats(&apply(&Normalize::default(), &sample));
        assert_eq!(floats, fixture.f32(&format!("{case}/image")), "{case}");
    }
}

#[test]
fn normalising_on_the_device_gives_the_same_bits() {
    let fixture = Fixture::open();
    let batch = |sample: Sample| Batch::collate([(0, sample)]).unwrap().images;
    let normalize = Normalize::default();
    let later = normalize.on_device(&batch(fixture.input())).unwrap();
    let before = batch(apply(&normalize, &fixture.input()));
    let bits = |images: Tensor| -> Vec<u32> {
        let floats: Vec<f32> = images.flatten_all().unwrap().to_vec1().unwrap();
        floats.into_iter().map(f32::to_bits).collect()
    };
    assert_eq!(bits(later), bits(before));
}

#[test]
fn tutorial_validation_pipeline_is_albumentations() {
    let fixture = Fixture::open();
    let sample = apply(&Compose::tutorial_val([64, 64]), &fixture.input());
    assert_eq!(floats(&sample), fixture.f32("val_chain/image"));
    assert_eq!(sample.mask.as_raw(), &fixture.u8("val_chain/mask"));
}

/// Applies the training preset's own steps with the parameters of the fixture.
#[test]
fn tutorial_training_pipeline_is_albumentations() {
    let fixture = Fixture::open();
    let mut sample = fixture.input();
    for step in Compose::tutorial_train([64, 64]).steps {
        sample = match step {
            Step::Affine(affine) => affine.apply_params(sample, AffineParams::rotation(17.0)),
            Step::RandomResizedCrop(crop) => crop.apply_params(sample, fixture.region("crop0")),
            Step::HorizontalFlip(_) => HorizontalFlip { p: ALWAYS }.apply(sample, &mut rng()),
            Step::RandomBrightnessContrast(change) => {
                change.apply_params(sample, fixture.brightness("rbc_ramp"))
            }
            step => step.apply(sample, &mut rng()),
        }
        .unwrap();
    }
    assert_eq!(sample.mask.as_raw(), &fixture.u8("train_chain/mask"));
    assert_eq!(floats(&sample), fixture.f32("train_chain/image"));
}

#[test]
fn a_pipeline_is_read_from_and_written_to_yaml() {
    let text = "\
steps:
- kind: affine
  rotate: [-35, 35]
  fill_mask: 1
  p: 0.3
- kind: random_resized_crop
  size: [256, 256]
  scale: [0.7, 1]
- kind: horizontal_flip
- kind: random_brightness_contrast
  p: 0.4
- kind: normalize
";
    let pipeline: Compose = serde_yaml_ng::from_str(text).unwrap();
    assert_eq!(pipeline, Compose::tutorial_train([256, 256]));
    for step in random_steps(Probability::HALF) {
        let yaml = serde_yaml_ng::to_string(&step).unwrap();
        assert_eq!(serde_yaml_ng::from_str::<Step>(&yaml).unwrap(), step);
    }
    let error = serde_yaml_ng::from_str::<Compose>("steps:\n- kind: blur\n").unwrap_err();
    assert!(
        error.to_string().contains("unknown variant `blur`"),
        "{error}"
    );
}

#[test]
fn presets_print_what_they_do() {
    assert_eq!(
        Compose::tutorial_train([256, 256]).to_string(),
        "Affine(rotate -35° to 35°, fill [0, 0, 0], mask fill 1, p 0.3) -> \
         RandomResizedCrop(256x256, area 0.7 to 1, ratio 0.750 to 1.333) -> \
         HorizontalFlip(p 0.5) -> \
         RandomBrightnessContrast(brightness -0.2 to 0.2, contrast -0.2 to 0.2, p 0.4) -> \
         Normalize(mean [0.485, 0.456, 0.406], std [0.229, 0.224, 0.225])"
    );
}

#[test]
fn pipelines_survive_json() {
    let mirror = OneOf::new([
        (2.0, HorizontalFlip { p: ALWAYS }.into()),
        (1.0, Compose::default().then(VerticalFlip::default()).into()),
    ]);
    let pipeline = Compose {
        steps: vec![mirror.into(), Compose::tutorial_train([48, 64]).into()],
    };
    pipeline.validate().unwrap();
    let json = serde_json::to_string_pretty(&pipeline).unwrap();
    assert_eq!(
        serde_json::from_str::<Compose>(&json).unwrap(),
        pipeline,
        "{json}"
    );
}

#[test]
fn json_may_leave_defaults_out() {
    let json = r#"{"steps": [
        {"kind": "affine", "rotate": [-10, 10], "fill_mask": 255},
        {"kind": "random_resized_crop", "size": [32, 32]},
        {"kind": "random_brightness_contrast", "p": 0.25},
        {"kind": "normalize"}
    ]}"#;
    let expected = Compose::default()
        .then(Affine::new([-10.0, 10.0], 255))
        .then(RandomResizedCrop::new([32, 32]))
        .then(RandomBrightnessContrast {
            p: Probability::new(0.25).unwrap(),
            ..RandomBrightnessContrast::default()
        })
        .then(Normalize::default());
    assert_eq!(serde_json::from_str::<Compose>(json).unwrap(), expected);
}

#[test]
fn json_with_a_mistake_is_refused() {
    let mistakes = [
        (
            r#"{"steps": [{"kind": "horizontal_flip", "p": 1.5}]}"#,
            "probability 1.5",
        ),
        (
            r#"{"steps": [{"kind": "horizontal_flip", "prob": 0.5}]}"#,
            "unknown field `prob`",
        ),
        (
            r#"{"steps": [{"kind": "rotate90"}]}"#,
            "unknown variant `rotate90`",
        ),
        (
            r#"{"steps": [{"kind": "affine", "rotate": [0, 1]}]}"#,
            "missing field `fill_mask`",
        ),
        (r#"{"step": []}"#, "unknown field `step`"),
    ];
    for (json, message) in mistakes {
        let error = serde_json::from_str::<Compose>(json)
            .unwrap_err()
            .to_string();
        assert!(error.contains(message), "{error}");
    }
}

#[test]
fn wrong_settings_are_found_before_any_sample() {
    let pipelines: [(Step, &str); 9] = [
        (Affine::new([35.0, -35.0], 0).into(), "rotate is [35, -35]"),
        (Affine::new([f64::NAN, 1.0], 0).into(), "rotate is [NaN, 1]"),
        (Resize::new([0, 32]).into(), "size is 0x32"),
        (
            RandomResizedCrop {
                scale: [0.0, 1.0],
                ..RandomResizedCrop::new([8, 8])
            }
            .into(),
            "scale is [0, 1]",
        ),
        (
            RandomResizedCrop {
                ratio: [-1.0, 1.0],
                ..RandomResizedCrop::new([8, 8])
            }
            .into(),
            "ratio is [-1, 1]",
        ),
        (
            Normalize {
                mean: [0.5; 3],
                std: [0.0; 3],
            }
            .into(),
            "std above 0",
        ),
        (OneOf::new([]).into(), "at least one"),
        (
            OneOf::new([(0.0, Resize::new([8, 8]).into())]).into(),
            "weight",
        ),
        (
            OneOf::new([(1.0, Normalize::default().into())]).into(),
            "put it after OneOf",
        ),
    ];
    for (step, message) in pipelines {
        let error = Compose::default()
            .then(step)
            .validate()
            .unwrap_err()
            .to_string();
        assert!(error.contains(message), "{error}");
    }
}

#[test]
fn wrong_parameters_are_errors_without_a_check() {
    let sample = Fixture::open().input();
    let refused = |size, region| {
        let crop = RandomResizedCrop::new(size);
        let error = crop.apply_params(sample.clone(), region).unwrap_err();
        error.to_string()
    };
    let whole = Region::whole([80, 96]);
    assert!(refused([0, 8], whole).contains("size is 0x8"));
    let beyond = Region { x: 1, ..whole };
    assert!(refused([8, 8], beyond).contains("not inside a photo of 96x80"));
    let empty = Region { width: 0, ..whole };
    assert!(refused([8, 8], empty).contains("not inside"));
    assert!(Resize::new([8, 0]).apply(sample, &mut rng()).is_err());
}

#[test]
fn nothing_but_the_end_comes_after_normalize() {
    let late: [Step; 8] = [
        Affine::new([0.0, 1.0], 0).into(),
        RandomResizedCrop::new([8, 8]).into(),
        Resize::new([8, 8]).into(),
        HorizontalFlip::default().into(),
        VerticalFlip::default().into(),
        RandomBrightnessContrast::default().into(),
        Normalize::default().into(),
        OneOf::new([(1.0, VerticalFlip::default().into())]).into(),
    ];
    for step in late {
        let pipeline = Compose::default().then(Normalize::default()).then(step);
        let error = pipeline.validate().unwrap_err();
        assert!(matches!(error, Error::AfterNormalize { .. }), "{error}");
    }
}

#[test]
fn crops_cover_the_range_of_areas() {
    let crop = RandomResizedCrop {
        scale: [0.25, 0.75],
        ..RandomResizedCrop::new([8, 8])
    };
    let mut rng = rng();
    let areas: Vec<f64> = (0..2000)
        .map(|_| {
            let region = crop.sample_params(&mut rng, [300, 400]);
            (region.width * region.height) as f64 / 120_000.0
        })
        .collect();
    let mean = areas.iter().sum::<f64>() / areas.len() as f64;
    assert!(areas.iter().all(|area| (0.24..0.76).contains(area)));
    assert!((mean - 0.5).abs() < 0.02, "{mean}");
}

#[test]
fn a_crop_that_never_fits_is_the_centre() {
    let crop = RandomResizedCrop {
        scale: [1.0, 1.0],
        ..RandomResizedCrop::new([8, 8])
    };
    let wide = crop.sample_params(&mut rng(), [30, 100]);
    assert_eq!(
        wide,
        Region {
            x: 30,
            y: 0,
            width: 40,
            height: 30
        }
    );
    let tall = crop.sample_params(&mut rng(), [100, 30]);
    assert_eq!(
        tall,
        Region {
            x: 0,
            y: 30,
            width: 30,
            height: 40
        }
    );
}

#[test]
fn one_of_follows_its_weights() {
    let fixture = Fixture::open();
    let sample = fixture.input();
    let flipped = apply(&HorizontalFlip { p: ALWAYS }, &sample);
    let choice = OneOf {
        p: ALWAYS,
        ..OneOf::new([
            (3.0, HorizontalFlip { p: ALWAYS }.into()),
            (1.0, VerticalFlip { p: ALWAYS }.into()),
        ])
    };
    let mut rng = rng();
    let horizontal = (0..400)
        .filter(|_| choice.apply(sample.clone(), &mut rng).unwrap() == flipped)
        .count();
    assert!(
        (270..330).contains(&horizontal),
        "{horizontal} of 400, expected about 300"
    );
}

#[test]
fn a_mask_of_another_size_is_an_error() {
    let sample = Sample::new("odd", RgbImage::new(8, 6), GrayImage::new(6, 8));
    let error = Resize::new([4, 4]).apply(sample, &mut rng()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "odd: the mask is 8x6 but the photo is 6x8 (height x width); they must agree"
    );
}

fn samples() -> impl Strategy<Value = Sample> {
    (1..24usize, 1..24usize).prop_flat_map(|(width, height)| {
        let image = prop::collection::vec(any::<u8>(), 3 * width * height);
        let mask = prop::collection::vec(prop::sample::select(vec![0u8, 2, 5]), width * height);
        (image, mask).prop_map(move |(image, mask)| {
            let image = RgbImage::from_raw(width as u32, height as u32, image).unwrap();
            let mask = GrayImage::from_raw(width as u32, height as u32, mask).unwrap();
            Sample::new("random", image, mask)
        })
    })
}

/// Every built-in random transform, each with this probability.
fn random_steps(p: Probability) -> Vec<Step> {
    vec![
        Affine {
            p,
            ..Affine::new([-180.0, 180.0], 9)
        }
        .into(),
        HorizontalFlip { p }.into(),
        VerticalFlip { p }.into(),
        RandomBrightnessContrast {
            p,
            ..RandomBrightnessContrast::default()
        }
        .into(),
        OneOf {
            p,
            ..OneOf::new([(1.0, VerticalFlip { p: ALWAYS }.into())])
        }
        .into(),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_same_seed_gives_the_same_sample(sample in samples(), seed: u64, size in 1..20usize) {
        let mut pipeline = Compose { steps: random_steps(Probability::HALF) };
        pipeline = pipeline.then(RandomResizedCrop::new([size, 7])).then(Normalize::default());
        let run = || -> Result<Sample> { pipeline.apply(sample.clone(), &mut sample_rng(seed, 1, 2)) };
        prop_assert_eq!(run().unwrap(), run().unwrap());
    }

    #[test]
    fn at_probability_0_nothing_happens(sample in samples(), seed: u64) {
        for step in random_steps(Probability::NEVER) {
            let output = step.apply(sample.clone(), &mut sample_rng(seed, 0, 0)).unwrap();
            prop_assert_eq!(&output, &sample);
        }
    }

    #[test]
    fn sizes_agree_and_no_class_appears(sample in samples(), seed: u64, size in 1..20usize) {
        let mut steps = random_steps(ALWAYS);
        steps.push(RandomResizedCrop::new([size, 5]).into());
        steps.push(Resize::new([3, size]).into());
        for step in steps {
            let output = step.apply(sample.clone(), &mut sample_rng(seed, 0, 0)).unwrap();
            prop_assert!(output.size().is_ok());
            let filled = matches!(step, Step::Affine(_)).then_some(9);
            for class in output.mask.iter() {
                prop_assert!(sample.mask.as_raw().contains(class) || filled == Some(*class));
            }
        }
    }

    #[test]
    fn flips_are_their_own_inverse(sample in samples()) {
        for step in [Step::from(HorizontalFlip { p: ALWAYS }), VerticalFlip { p: ALWAYS }.into()] {
            prop_assert_eq!(&apply(&step, &apply(&step, &sample)), &sample);
        }
    }

    #[test]
    fn resizing_to_the_same_size_changes_nothing(sample in samples()) {
        let resize = Resize::new(sample.size().unwrap());
        prop_assert_eq!(&apply(&resize, &sample), &sample);
    }

    #[test]
    fn half_a_turn_is_both_flips(sample in samples()) {
        let affine = Affine::new([0.0, 0.0], 9);
        let turned = affine.apply_params(sample.clone(), AffineParams::rotation(180.0)).unwrap();
        let flip = (VerticalFlip { p: ALWAYS }, HorizontalFlip { p: ALWAYS });
        let flipped = apply(&flip, &sample);
        prop_assert_eq!(bytes(&turned), bytes(&flipped));
        prop_assert_eq!(&turned.mask, &flipped.mask);
    }
}
