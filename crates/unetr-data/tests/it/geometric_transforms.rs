//! Geometric transforms: what all of them keep, what each of them means, and that a pipeline shows what its steps show
//! one after the other.

use std::collections::BTreeSet;
use std::path::Path;

use image::{GrayImage, Luma, Rgb, RgbImage, imageops};
use proptest::prelude::*;
use proptest::{strategy::ValueTree, test_runner::TestRunner};
use unetr_data::{
    Affine, CenterCrop, ClassCrop, Compose, D4, Dataset, ElasticTransform, Error, GridDistortion,
    HorizontalFlip, Image, Normalize, OxfordPets, Pad, Perspective, Probability, RandomCrop,
    RandomResizedCrop, Resize, Result, Sample, SomeOf, Step, Transform, VerticalFlip, sample_rng,
};

const ALWAYS: Probability = Probability::ALWAYS;
const CLASSES: [u8; 3] = [0, 2, 5];
/// The class of what is outside.
const FILL: u8 = 9;

/// Every transform that happens with some probability, with this one.
fn steps(p: Probability) -> Vec<Step> {
    let perspective = Perspective {
        p,
        ..Perspective::new([-0.2, 0.2], FILL)
    };
    let elastic = ElasticTransform {
        p,
        ..ElasticTransform::new([0.0, 6.0], [1.0, 9.0])
    };
    let grid = GridDistortion {
        p,
        ..GridDistortion::new([3, 4], [-0.6, 0.6])
    };
    let some = SomeOf {
        p,
        ..SomeOf::new(
            [1, 2],
            [D4 { p }.into(), elastic.clone().into(), grid.clone().into()],
        )
    };
    vec![
        perspective.into(),
        elastic.into(),
        grid.into(),
        D4 { p }.into(),
        some.into(),
    ]
}

/// Every crop, to this height and width.
fn crops(size: [usize; 2]) -> [Step; 3] {
    [
        CenterCrop::new(size).into(),
        RandomCrop::new(size).into(),
        ClassCrop::new(size, [2, 5]).into(),
    ]
}

fn size(sides: std::ops::Range<usize>) -> impl Strategy<Value = [usize; 2]> {
    [sides.clone(), sides]
}

/// Random pixels, the mask being there a second time.
fn samples() -> impl Strategy<Value = Sample> {
    size(1..24).prop_flat_map(|[height, width]| {
        let image = prop::collection::vec(any::<u8>(), 3 * width * height);
        let mask = prop::collection::vec(prop::sample::select(CLASSES.to_vec()), width * height);
        (image, mask).prop_map(move |(image, mask)| {
            let image = RgbImage::from_raw(width as u32, height as u32, image).unwrap();
            let mask = GrayImage::from_raw(width as u32, height as u32, mask).unwrap();
            Sample {
                extra_masks: vec![mask.clone()],
                ..Sample::new("random", image, mask)
            }
        })
    })
}

/// A photo whose pixels, and nothing else, tell where they are: red grows along x, green along y.
fn ramp([height, width]: [u32; 2]) -> Sample {
    let image = RgbImage::from_fn(width, height, |x, y| Rgb([x as u8, y as u8, 0]));
    let mask = GrayImage::from_fn(width, height, |x, _| Luma([CLASSES[x as usize % 3]]));
    Sample::new("ramp", image, mask)
}

fn pixels(sample: &Sample) -> &RgbImage {
    match &sample.image {
        Image::U8(pixels) => pixels,
        Image::F32(_) => panic!("expected 8-bit pixels"),
    }
}

fn apply(transform: &dyn Transform, sample: &Sample, seed: u64) -> Sample {
    let sample = sample.clone();
    transform
        .apply(sample, &mut sample_rng(seed, 0, 0))
        .unwrap()
}

fn at_once(steps: &[Step], sample: &Sample, seed: u64) -> Result<Sample> {
    let steps = steps.to_vec();
    Compose { steps }.apply(sample.clone(), &mut sample_rng(seed, 0, 0))
}

fn one_by_one(steps: &[Step], sample: &Sample, seed: u64) -> Result<Sample> {
    let mut rng = sample_rng(seed, 0, 0);
    let mut steps = steps.iter();
    steps.try_fold(sample.clone(), |sample, step| step.apply(sample, &mut rng))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn at_probability_0_nothing_happens(sample in samples(), seed: u64) {
        for step in steps(Probability::NEVER) {
            prop_assert_eq!(&apply(&step, &sample, seed), &sample, "{}", step);
        }
    }

    #[test]
    fn masks_move_alike_and_keep_their_classes(sample in samples(), seed: u64, size in size(1..30)) {
        let [height, width] = sample.size().unwrap();
        let pad = Step::from(Pad::new(size, FILL));
        let padded = [height.max(size[0]), width.max(size[1])];
        for step in steps(ALWAYS).into_iter().chain(crops(size)).chain([pad.clone()]) {
            let run = || at_once(&[pad.clone(), step.clone()], &sample, seed).unwrap();
            let output = run();
            prop_assert_eq!(&output, &run(), "{}", step);
            let [rows, columns] = output.size().unwrap();
            match &step {
                Step::D4(_) | Step::SomeOf(_) => {
                    let turned = [columns, rows];
                    prop_assert!([[rows, columns], turned].contains(&padded), "{}", step);
                }
                Step::CenterCrop(_) | Step::RandomCrop(_) | Step::ClassCrop(_) => {
                    prop_assert_eq!([rows, columns], size, "{}", step);
                }
                _ => prop_assert_eq!([rows, columns], padded, "{}", step),
            }
            prop_assert_eq!(&output.mask, &output.extra_masks[0], "{}", step);
            let is_known = |class: &u8| sample.mask.as_raw().contains(class) || *class == FILL;
            prop_assert!(output.mask.iter().all(is_known), "{}", step);
        }
    }

    #[test]
    fn only_pads_and_perspectives_fill(sample in samples(), seed: u64) {
        for step in steps(ALWAYS) {
            let is_filled = apply(&step, &sample, seed).mask.as_raw().contains(&FILL);
            prop_assert!(!is_filled || matches!(step, Step::Perspective(_)), "{}", step);
        }
    }

    #[test]
    fn no_distortion_changes_nothing(sample in samples(), seed: u64) {
        let still = [0.0; 2];
        let steps: [Step; 3] = [
            Perspective { p: ALWAYS, ..Perspective::new(still, FILL) }.into(),
            ElasticTransform { p: ALWAYS, ..ElasticTransform::new(still, [1.0, 9.0]) }.into(),
            GridDistortion { p: ALWAYS, ..GridDistortion::new([3, 4], still) }.into(),
        ];
        for step in steps {
            prop_assert_eq!(&apply(&step, &sample, seed), &sample, "{}", step);
        }
    }

    #[test]
    fn pad_copies_into_the_middle(sample in samples(), size in size(1..40)) {
        let pad = Pad { fill: [1, 2, 3], ..Pad::new(size, FILL) };
        let padded = apply(&pad, &sample, 0);
        let (width, height) = pixels(&sample).dimensions();
        let (columns, rows) = pixels(&padded).dimensions();
        let (left, top) = ((columns - width) / 2, (rows - height) / 2);
        let part = imageops::crop_imm(pixels(&padded), left, top, width, height).to_image();
        prop_assert_eq!(&part, pixels(&sample));
        for (x, y, pixel) in pixels(&padded).enumerate_pixels() {
            let is_inside = (left..left + width).contains(&x) && (top..top + height).contains(&y);
            let class = padded.mask.get_pixel(x, y);
            prop_assert!(is_inside || (*pixel == Rgb([1, 2, 3]) && *class == Luma([FILL])));
        }
        let taken_off = CenterCrop::new(sample.size().unwrap());
        prop_assert_eq!(&apply(&taken_off, &padded, 0), &sample);
    }

    #[test]
    fn crops_are_parts(sample in samples(), seed: u64, size in size(1..24)) {
        let [height, width] = sample.size().unwrap();
        let size = [size[0].min(height), size[1].min(width)];
        for step in crops(size) {
            let part = apply(&step, &sample, seed);
            let is_there = |x, y| {
                let [rows, columns] = size.map(|side| side as u32);
                let cut = imageops::crop_imm(pixels(&sample), x, y, columns, rows).to_image();
                let classes = imageops::crop_imm(&sample.mask, x, y, columns, rows).to_image();
                cut == *pixels(&part) && classes == part.mask
            };
            let mut rows = 0..=(height - size[0]) as u32;
            let columns = 0..=(width - size[1]) as u32;
            prop_assert!(rows.any(|y| columns.clone().any(|x| is_there(x, y))), "{}", step);
        }
    }

    #[test]
    fn class_crop_shows_its_class(sample in samples(), seed: u64, at: (usize, usize), size in size(1..24)) {
        let mut sample = sample;
        let [height, width] = sample.size().unwrap();
        sample.mask.put_pixel((at.0 % width) as u32, (at.1 % height) as u32, Luma([7]));
        let size = [size[0].min(height), size[1].min(width)];
        let crop = apply(&ClassCrop::new(size, [100, 7]), &sample, seed);
        prop_assert!(crop.mask.as_raw().contains(&7));
    }

    #[test]
    fn pipelines_of_copies_and_resizes_equal_their_steps(
        steps in prop::collection::vec(exact_step(), 2..=3),
        sample in samples(),
        seed: u64,
    ) {
        let (all, each) = (at_once(&steps, &sample, seed), one_by_one(&steps, &sample, seed));
        prop_assert_eq!(all.map_err(|e| e.to_string()), each.map_err(|e| e.to_string()));
    }
}

#[test]
fn d4_is_the_symmetries_of_the_square() {
    let sample = ramp([5, 7]);
    let photo = pixels(&sample);
    let raw = |photo: &RgbImage| (photo.dimensions(), photo.as_raw().clone());
    let mirrored = imageops::flip_horizontal(photo);
    let expected: BTreeSet<_> = [photo, &mirrored]
        .into_iter()
        .flat_map(|photo| {
            let quarter = imageops::rotate90(photo);
            let [half, last] = [imageops::rotate180(photo), imageops::rotate270(photo)];
            [photo.clone(), quarter, half, last]
        })
        .map(|photo| raw(&photo))
        .collect();
    assert_eq!(expected.len(), 8);

    let draws: Vec<Sample> = (0..100)
        .map(|seed| apply(&D4::default(), &sample, seed))
        .collect();
    let found: BTreeSet<_> = draws.iter().map(|sample| raw(pixels(sample))).collect();
    assert_eq!(found, expected);
    // A group: no two of them lead elsewhere.
    for sample in draws.iter().take(30) {
        let twice = (0..30).map(|seed| apply(&D4::default(), sample, seed));
        assert!(
            twice
                .into_iter()
                .all(|sample| expected.contains(&raw(pixels(&sample))))
        );
    }

    let quarter = raw(&imageops::rotate90(photo));
    let seed = draws
        .iter()
        .position(|sample| raw(pixels(sample)) == quarter)
        .unwrap() as u64;
    let turned = (0..4).fold(sample.clone(), |sample, _| {
        apply(&D4::default(), &sample, seed)
    });
    assert_eq!(turned, sample);
}

#[test]
fn corners_that_all_move_alike_scale() {
    let sample = smooth([61, 80]);
    let perspective = Perspective {
        p: ALWAYS,
        ..Perspective::new([0.1, 0.1], FILL)
    };
    let affine = Affine {
        p: ALWAYS,
        scale: [0.8, 0.8],
        ..Affine::new([0.0, 0.0], FILL)
    };
    let (moved, scaled) = (apply(&perspective, &sample, 0), apply(&affine, &sample, 0));
    let mut levels = pixels(&moved).iter().zip(pixels(&scaled).iter());
    assert!(levels.all(|(a, b)| a.abs_diff(*b) <= 1));
    // A place half-way between two pixels may take either of them.
    let masks = moved.mask.iter().zip(scaled.mask.iter());
    let differing = masks.filter(|(a, b)| a != b).count();
    assert!(differing <= 100, "{differing} of {}", 61 * 80);
}

#[test]
fn corners_move_by_less_than_asked() {
    let sample = ramp([100, 200]);
    for seed in 0..50 {
        let perspective = Perspective {
            p: ALWAYS,
            ..Perspective::new([0.05, 0.2], FILL)
        };
        let mask = apply(&perspective, &sample, seed).mask;
        let filled = |x, y| *mask.get_pixel(x, y) == Luma([FILL]);
        let corners = [(0, 0), (199, 0), (199, 99), (0, 99)];
        assert!(
            corners.into_iter().all(|(x, y)| filled(x, y)),
            "seed {seed}"
        );
        let inner = [(40, 20), (159, 20), (159, 79), (40, 79)];
        assert!(!inner.into_iter().any(|(x, y)| filled(x, y)), "seed {seed}");
    }
}

#[test]
fn elastic_displacements_are_bounded_and_smooth() {
    let sample = ramp([150, 200]);
    let alpha = 12.0;
    let elastic = ElasticTransform {
        p: ALWAYS,
        ..ElasticTransform::new([alpha, alpha], [24.0, 24.0])
    };
    let mut squares = Vec::new();
    for seed in 0..30 {
        let moved = apply(&elastic, &sample, seed);
        for (x, y, &Rgb([red, green, _])) in pixels(&moved).enumerate_pixels() {
            let [dx, dy] = [(x, red), (y, green)].map(|(to, from)| f64::from(from) - f64::from(to));
            // A level is half a pixel in either direction.
            assert!(
                dx.abs() <= alpha + 0.5 && dy.abs() <= alpha + 0.5,
                "{dx} {dy}"
            );
            if (20..180).contains(&x) && (20..130).contains(&y) {
                squares.extend([dx * dx, dy * dy]);
            }
        }
        // Up to half of sigma the photo does not fold.
        for row in pixels(&moved).rows() {
            let reds: Vec<u8> = row.map(|pixel| pixel[0]).collect();
            assert!(reds.is_sorted(), "seed {seed}");
        }
    }
    let deviation = (squares.iter().sum::<f64>() / squares.len() as f64).sqrt();
    println!("deviation {deviation} pixels");
    assert!(
        (deviation / (0.277 * alpha) - 1.0).abs() < 0.1,
        "{deviation}"
    );
}

#[test]
fn grid_lines_move_between_the_borders() {
    let sample = ramp([90, 200]);
    let grid = GridDistortion {
        p: ALWAYS,
        ..GridDistortion::new([4, 5], [-0.5, 0.5])
    };
    let mut farthest = 0;
    for seed in 0..30 {
        let moved = apply(&grid, &sample, seed);
        let rows: Vec<Vec<Rgb<u8>>> = pixels(&moved)
            .rows()
            .map(|row| row.copied().collect())
            .collect();
        let reds: Vec<u8> = rows[0].iter().map(|pixel| pixel[0]).collect();
        let greens: Vec<u8> = rows.iter().map(|row| row[0][1]).collect();
        assert!(reds.is_sorted() && greens.is_sorted(), "seed {seed}");
        assert!(reds[0] <= 1 && reds[199] >= 198 && greens[0] <= 1 && greens[89] >= 88);
        // Lines stay straight.
        let is_straight = |row: &Vec<Rgb<u8>>| row.iter().zip(&reds).all(|(p, red)| p[0] == *red);
        assert!(rows.iter().all(is_straight), "seed {seed}");
        let moves = (0..).zip(&reds).map(|(x, red): (u8, _)| red.abs_diff(x));
        farthest = farthest.max(moves.max().unwrap());
    }
    assert!((15..60).contains(&farthest), "{farthest}");
}

#[test]
fn class_crop_favours_rare_classes_and_every_place() {
    let mut sample = ramp([1, 30]);
    sample.mask.fill(2);
    sample.mask.put_pixel(15, 0, Luma([5]));
    let crops: Vec<Sample> = (0..600)
        .map(|seed| apply(&ClassCrop::new([1, 3], [2, 5]), &sample, seed))
        .collect();
    let places: Vec<usize> = crops
        .iter()
        .filter_map(|crop| crop.mask.iter().position(|class| *class == 5))
        .collect();
    // Half of the crops by the pixel of class 5, three in 28 of the others by chance.
    assert!((290..380).contains(&places.len()), "{}", places.len());
    for place in 0..3 {
        let count = places.iter().filter(|found| **found == place).count();
        assert!((80..150).contains(&count), "{count} at {place}");
    }

    let never = ClassCrop {
        p: Probability::NEVER,
        ..ClassCrop::new([1, 3], [5])
    };
    let count = (0..600)
        .filter(|seed| apply(&never, &sample, *seed).mask.contains(&5))
        .count();
    assert!((35..100).contains(&count), "{count}, expected about 64");
}

#[test]
fn some_of_chooses_evenly_and_keeps_the_order() {
    let steps: [Step; 3] = [
        HorizontalFlip { p: ALWAYS }.into(),
        VerticalFlip { p: ALWAYS }.into(),
        Pad::new([9, 9], FILL).into(),
    ];
    let some = |count| SomeOf {
        p: ALWAYS,
        ..SomeOf::new(count, steps.clone())
    };
    let sample = ramp([5, 7]);
    let subsets: Vec<Vec<Step>> = (0..8)
        .map(|bits| {
            (0..3)
                .filter(|i| bits >> i & 1 == 1)
                .map(|i| steps[i].clone())
                .collect()
        })
        .collect();
    let expected: Vec<Sample> = subsets
        .iter()
        .map(|steps| at_once(steps, &sample, 0).unwrap())
        .collect();
    let mut counts = [0; 8];
    for seed in 0..1200 {
        let found = apply(&some([1, 2]), &sample, seed);
        counts[expected.iter().position(|sample| *sample == found).unwrap()] += 1;
    }
    assert_eq!((counts[0], counts[7]), (0, 0));
    assert!(
        counts[1..7].iter().all(|count| (150..250).contains(count)),
        "{counts:?}"
    );

    let ordered = [
        CenterCrop::new([3, 3]).into(),
        Pad::new([9, 9], FILL).into(),
    ];
    let both = SomeOf {
        p: ALWAYS,
        ..SomeOf::new([2, 2], ordered.clone())
    };
    assert_eq!(
        apply(&both, &sample, 0),
        at_once(&ordered, &sample, 0).unwrap()
    );
}

#[test]
fn all_survive_json() {
    let mut all = steps(Probability::new(0.25).unwrap());
    all.extend(crops([32, 48]));
    all.push(
        Pad {
            fill: [1, 2, 3],
            ..Pad::new([32, 48], FILL)
        }
        .into(),
    );
    for step in all {
        step.check(unetr_data::PixelType::U8).unwrap();
        let json = serde_json::to_string(&step).unwrap();
        assert_eq!(serde_json::from_str::<Step>(&json).unwrap(), step, "{json}");
    }
    let json = r#"{"steps": [
        {"kind": "pad", "size": [64, 64], "fill_mask": 9},
        {"kind": "class_crop", "size": [64, 64], "classes": [2]},
        {"kind": "perspective", "distortion": [-0.1, 0.1], "fill_mask": 9},
        {"kind": "elastic_transform"},
        {"kind": "grid_distortion", "steps": [3, 3]},
        {"kind": "d4"},
        {"kind": "some_of", "count": [1, 1], "steps": [{"kind": "center_crop", "size": [8, 8]}]}
    ]}"#;
    let expected = Compose::default()
        .then(Pad::new([64, 64], FILL))
        .then(ClassCrop::new([64, 64], [2]))
        .then(Perspective::new([-0.1, 0.1], FILL))
        .then(ElasticTransform::default())
        .then(GridDistortion {
            steps: [3, 3],
            ..GridDistortion::default()
        })
        .then(D4::default())
        .then(SomeOf::new([1, 1], [CenterCrop::new([8, 8]).into()]));
    assert_eq!(serde_json::from_str::<Compose>(json).unwrap(), expected);
    expected.validate().unwrap();
    assert_eq!(
        expected.to_string(),
        "Pad(at least 64x64, fill [0, 0, 0], mask fill 9) -> ClassCrop(64x64, classes [2], p 1) -> \
         Perspective(corners -0.1 to 0.1, fill [0, 0, 0], mask fill 9, p 0.5) -> \
         ElasticTransform(alpha 5 to 10, sigma 20 to 30, p 0.5) -> \
         GridDistortion(3x3, distortion -0.3 to 0.3, p 0.5) -> D4(p 1) -> \
         SomeOf(1 to 1 of CenterCrop(8x8), p 0.5)"
    );
}

#[test]
fn wrong_settings_are_errors_with_and_without_a_check() {
    let elastic = |alpha, sigma| ElasticTransform::new(alpha, sigma).into();
    let grid = |steps, distortion| GridDistortion::new(steps, distortion).into();
    let mistakes: [(Step, &str); 9] = [
        (Pad::new([0, 8], FILL).into(), "size is 0x8"),
        (CenterCrop::new([8, 0]).into(), "size is 8x0"),
        (RandomCrop::new([1 << 16, 8]).into(), "size is 65536x8"),
        (ClassCrop::new([0, 8], [1]).into(), "size is 0x8"),
        (elastic([-1.0, 2.0], [3.0, 3.0]), "alpha is [-1, 2]"),
        (elastic([0.0, 2.0], [0.0, 3.0]), "sigma is [0, 3]"),
        (elastic([0.0, 2.0], [f64::NAN; 2]), "sigma is [NaN, NaN]"),
        (grid([0, 5], [0.0, 0.1]), "steps is 0x5"),
        (grid([5, 5], [-1.0, 0.1]), "distortion is [-1, 0.1]"),
    ];
    for (step, message) in mistakes {
        let checked = Compose::default()
            .then(step.clone())
            .validate()
            .unwrap_err();
        let unchecked = step
            .apply(ramp([8, 8]), &mut sample_rng(0, 0, 0))
            .unwrap_err();
        for error in [checked, unchecked] {
            assert!(error.to_string().contains(message), "{error}");
        }
    }
    let only_checked: [(Step, &str); 5] = [
        (
            Perspective::new([0.0, 0.3], FILL).into(),
            "distortion is [0, 0.3]",
        ),
        (ClassCrop::new([8, 8], []).into(), "there is no class"),
        (SomeOf::new([0, 0], []).into(), "count is [0, 0] of 0"),
        (
            SomeOf::new([1, 2], [D4::default().into()]).into(),
            "count is [1, 2] of 1",
        ),
        (
            SomeOf::new([1, 1], [Normalize::default().into()]).into(),
            "put it after SomeOf",
        ),
    ];
    for (step, message) in only_checked {
        let error = Compose::default()
            .then(step.clone())
            .validate()
            .unwrap_err()
            .to_string();
        assert!(error.contains(message), "{error}");
        // Whatever happens, it is no panic.
        let _ = step.apply(ramp([8, 8]), &mut sample_rng(0, 0, 0));
    }
}

#[test]
fn a_photo_too_small_to_crop_is_an_error() {
    for step in crops([8, 9]) {
        let error = step
            .apply(ramp([20, 8]), &mut sample_rng(0, 0, 0))
            .unwrap_err();
        let expected = "the photo is 20x8 but the crop 8x9 (height x width); \
                        put Pad or Resize before it, or make the crop smaller";
        assert!(error.to_string().ends_with(expected), "{error}");
    }
}

#[test]
fn none_comes_after_normalize() {
    let pad = Step::from(Pad::new([8, 8], FILL));
    for step in steps(ALWAYS).into_iter().chain(crops([8, 8])).chain([pad]) {
        let pipeline = Compose::default().then(Normalize::default()).then(step);
        let error = pipeline.validate().unwrap_err();
        assert!(matches!(error, Error::AfterNormalize { .. }), "{error}");
        let error = pipeline
            .apply(ramp([5, 5]), &mut sample_rng(0, 0, 0))
            .unwrap_err();
        let no_crop = matches!(error, Error::InvalidTransform { .. });
        assert!(
            no_crop || matches!(error, Error::AfterNormalize { .. }),
            "{error}"
        );
    }
}

/// Steps of which a pipeline equals one after the other in every value.
fn exact_step() -> impl Strategy<Value = Step> {
    let flips: Vec<Step> = vec![
        HorizontalFlip { p: ALWAYS }.into(),
        VerticalFlip { p: ALWAYS }.into(),
        D4::default().into(),
    ];
    let pad = |size| {
        Step::from(Pad {
            fill: [200, 100, 0],
            ..Pad::new(size, FILL)
        })
    };
    prop_oneof![
        3 => prop::sample::select(flips),
        1 => size(1..30).prop_map(|size| Resize::new(size).into()),
        1 => size(1..30).prop_map(|size| RandomResizedCrop::new(size).into()),
        1 => size(1..30).prop_map(pad),
        2 => size(1..12).prop_flat_map(|size| prop::sample::select(crops(size).to_vec())),
    ]
}

/// A photo of slow waves, so that it hardly matters how often it is interpolated, and large areas of few classes.
fn smooth([height, width]: [u32; 2]) -> Sample {
    let wave =
        |place: u32, phase: f64| (f64::from(place) * std::f64::consts::TAU / 96.0 + phase).sin();
    let image = RgbImage::from_fn(width, height, |x, y| {
        Rgb([0.0, 1.0, 2.0]
            .map(|phase| (128.0 + 50.0 * (wave(x, phase) + wave(y, 2.0 * phase))) as u8))
    });
    let mask = GrayImage::from_fn(width, height, |x, y| {
        let [dx, dy] =
            [(x, width), (y, height)].map(|(at, all)| f64::from(at) / f64::from(all) - 0.5);
        Luma([if dx.hypot(dy) < 0.3 {
            5
        } else if dx < 0.0 {
            2
        } else {
            0
        }])
    });
    Sample::new("smooth", image, mask)
}

/// Steps that interpolate at any place.
fn warp() -> impl Strategy<Value = Step> {
    let affine = Affine {
        scale: [0.8, 1.25],
        shift: [-0.1, 0.1],
        shear: [-10.0, 10.0],
        p: ALWAYS,
        ..Affine::new([-180.0, 180.0], FILL)
    };
    let perspective = Perspective {
        p: ALWAYS,
        ..Perspective::new([-0.15, 0.15], FILL)
    };
    prop::sample::select(vec![Step::from(affine), perspective.into()])
}

/// Steps that suit photos of at least 40 x 40 pixels, and leave as many.
fn large_step() -> impl Strategy<Value = Step> {
    let flips: Vec<Step> = vec![
        HorizontalFlip { p: ALWAYS }.into(),
        VerticalFlip { p: ALWAYS }.into(),
        D4::default().into(),
    ];
    let resized_crop = |size| {
        Step::from(RandomResizedCrop {
            scale: [0.3, 1.0],
            ..RandomResizedCrop::new(size)
        })
    };
    prop_oneof![
        2 => prop::sample::select(flips),
        1 => size(40..120).prop_map(|size| Resize::new(size).into()),
        1 => size(40..120).prop_map(resized_crop),
        1 => size(40..120).prop_map(|size| Pad::new(size, FILL).into()),
        // Where `ClassCrop` is depends on every pixel of the mask.
        1 => prop::sample::select(crops([40, 40])[..2].to_vec()),
        1 => warp(),
    ]
}

/// How far two samples agree.
struct Agreement {
    /// Of the mask's pixels.
    classes: f64,
    /// The farthest apart that two levels are, away from the border and from what is filled.
    levels: u8,
}

impl Agreement {
    fn of(a: &Sample, b: &Sample) -> Self {
        const AWAY: i64 = 6;
        let (width, height) = a.mask.dimensions();
        assert_eq!(a.mask.dimensions(), b.mask.dimensions());
        let equal = a
            .mask
            .iter()
            .zip(b.mask.iter())
            .filter(|(a, b)| a == b)
            .count();
        let is_filled = |x: i64, y: i64| {
            let inside = (0..i64::from(width)).contains(&x) && (0..i64::from(height)).contains(&y);
            let filled = |mask: &GrayImage| *mask.get_pixel(x as u32, y as u32) == Luma([FILL]);
            !inside || filled(&a.mask) || filled(&b.mask)
        };
        // What is farther away than the corners, the sides and their middles of a square around a pixel is away.
        let around = [-AWAY, 0, AWAY];
        let is_away = |x: u32, y: u32| {
            let places = around
                .iter()
                .flat_map(|dx| around.iter().map(move |dy| (dx, dy)));
            !places
                .into_iter()
                .any(|(dx, dy)| is_filled(i64::from(x) + dx, i64::from(y) + dy))
        };
        let pixels = pixels(a).enumerate_pixels().zip(pixels(b).pixels());
        let levels = pixels
            .filter(|((x, y, _), _)| is_away(*x, *y))
            .flat_map(|((_, _, a), b)| [0, 1, 2].map(|channel| a[channel].abs_diff(b[channel])));
        Self {
            classes: equal as f64 / f64::from(width * height),
            levels: levels.max().unwrap_or(0),
        }
    }
}

/// The share of pixels at which the photo is white if and only if the mask has class 5.
fn alignment(sample: &Sample) -> f64 {
    let both = sample.mask.iter().zip(pixels(sample).pixels());
    let agreeing = both
        .filter(|(class, pixel)| (**class == 5) == (pixel[0] >= 128))
        .count();
    agreeing as f64 / sample.mask.len() as f64
}

#[test]
fn pipelines_that_interpolate_show_what_their_steps_show() {
    let pipelines = (
        prop::collection::vec(large_step(), 1..=2),
        warp(),
        any::<prop::sample::Index>(),
        [50..100u32, 50..100u32],
        any::<u64>(),
    );
    let mut runner = TestRunner::deterministic();
    let [mut classes, mut fused, mut separate] = [const { Vec::new() }; 3];
    for _ in 0..400 {
        let (mut steps, warp, place, size, seed) =
            pipelines.new_tree(&mut runner).unwrap().current();
        steps.insert(place.index(steps.len() + 1), warp);
        let mut sample = smooth(size);
        let all = at_once(&steps, &sample, seed).unwrap();
        let each = one_by_one(&steps, &sample, seed).unwrap();
        let agreement = Agreement::of(&all, &each);
        let is_resized = |step: &Step| matches!(step, Step::Resize(_) | Step::RandomResizedCrop(_));
        let (agreeing, levels) = if steps.iter().any(is_resized) {
            (0.94, 3)
        } else {
            (1.0, 0)
        };
        assert!(
            agreement.classes >= agreeing && agreement.levels <= levels,
            "{} of the mask, {} levels: {}",
            agreement.classes,
            agreement.levels,
            Compose { steps }
        );
        classes.push(agreement.classes);

        let white = |class: &u8| Rgb([if *class == 5 { 255 } else { 0 }; 3]);
        let shape = sample
            .mask
            .iter()
            .flat_map(|class| white(class).0)
            .collect();
        sample.image = Image::U8(RgbImage::from_raw(size[1], size[0], shape).unwrap());
        fused.push(alignment(&at_once(&steps, &sample, seed).unwrap()));
        separate.push(alignment(&one_by_one(&steps, &sample, seed).unwrap()));
    }
    let mean = |values: Vec<f64>| values.iter().sum::<f64>() / values.len() as f64;
    let [classes, fused, separate] = [classes, fused, separate].map(mean);
    println!(
        "masks agree in {classes:.4}, with their photos in {fused:.4}, step by step in {separate:.4}"
    );
    assert!(classes > 0.985, "{classes}");
    // `Resize` takes a mask's pixels as OpenCV does, up to half a pixel beside the photo's; a warp does not.
    assert!(fused > 0.995 && fused > separate, "{fused} {separate}");
}

/// What there is in a set of photos: mean and standard deviation of all values, and the share of the first class.
#[derive(Debug, Default)]
struct Distribution {
    count: f64,
    sum: f64,
    squares: f64,
    pixels: f64,
    of_class_0: f64,
}

impl Distribution {
    fn add(&mut self, sample: &Sample) {
        let Image::F32(planes) = &sample.image else {
            panic!("expected floats");
        };
        for value in planes.values().iter().map(|value| f64::from(*value)) {
            self.count += 1.0;
            self.sum += value;
            self.squares += value * value;
        }
        self.pixels += sample.mask.len() as f64;
        self.of_class_0 += sample.mask.iter().filter(|class| **class == 0).count() as f64;
    }

    fn mean(&self) -> f64 {
        self.sum / self.count
    }

    fn deviation(&self) -> f64 {
        (self.squares / self.count - self.mean().powi(2)).sqrt()
    }

    fn share(&self) -> f64 {
        self.of_class_0 / self.pixels
    }
}

#[test]
fn photos_are_distributed_as_after_one_step_after_the_other() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/oxford_pets_sample");
    let pets = OxfordPets::open(root).unwrap();
    let pipeline = Compose::tutorial_train([128, 128]);
    let (mut all, mut each) = (Distribution::default(), Distribution::default());
    let mut agreeing = Vec::new();
    for draw in 0..50 {
        let sample = pets.get(draw * 11).unwrap();
        let at_once = at_once(&pipeline.steps, &sample, draw as u64).unwrap();
        let one_by_one = one_by_one(&pipeline.steps, &sample, draw as u64).unwrap();
        let equal = at_once
            .mask
            .iter()
            .zip(one_by_one.mask.iter())
            .filter(|(a, b)| a == b)
            .count();
        agreeing.push(equal as f64 / (128.0 * 128.0));
        all.add(&at_once);
        each.add(&one_by_one);
    }
    agreeing.sort_by(f64::total_cmp);
    println!(
        "mean {:.5} {:.5}, deviation {:.5} {:.5}, class 0 {:.5} {:.5}, masks {:?}",
        all.mean(),
        each.mean(),
        all.deviation(),
        each.deviation(),
        all.share(),
        each.share(),
        &agreeing[..25]
    );
    let difference = (all.mean() - each.mean()).abs();
    assert!(difference < 0.01 * each.deviation(), "{all:?} {each:?}");
    assert!(
        (all.deviation() / each.deviation() - 1.0).abs() < 0.01,
        "{all:?} {each:?}"
    );
    assert!(
        (all.share() / each.share() - 1.0).abs() < 0.01,
        "{all:?} {each:?}"
    );
    assert!(agreeing[0] > 0.9);
}
