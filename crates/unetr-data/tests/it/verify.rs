use std::path::Path;

use image::{GrayImage, Luma, Rgb, RgbImage};
use unetr_data::{
    Classes, Compose, Dataset, Error, Image, Normalize, OxfordPets, Problem, Result, Sample,
    Spread, Subset, Transform, Verification, VerifyConfig, sample_rng, verify,
};

fn config(threads: usize, classes: &[&str]) -> VerifyConfig {
    let classes = classes.iter().copied();
    VerifyConfig {
        threads,
        classes: Some(Classes::named(classes).unwrap()),
    }
}

/// Photos of 1x2 to 7x2 pixels, three of them sound.
struct Mixed;

impl Dataset for Mixed {
    fn len(&self) -> usize {
        7
    }

    fn get(&self, index: usize) -> Result<Sample> {
        let (width, height) = (index as u32 + 1, 2);
        let photo = RgbImage::from_pixel(width, height, Rgb([0, 40 * index as u8, 255]));
        let mut mask = GrayImage::new(width, height);
        match index {
            0 => mask.put_pixel(0, 1, Luma([1])),
            1 => panic!("no sample today"),
            2 => return Err(Error::Index { index: 2, len: 0 }),
            3 => mask = GrayImage::new(2, 4),
            4 => mask.fill(255),
            5 => mask.put_pixel(3, 0, Luma([7])),
            _ => {}
        }
        Ok(Sample::new(self.name(index), photo, mask))
    }

    fn name(&self, index: usize) -> String {
        assert!(index != 1, "no name either");
        format!("photo {index}")
    }
}

#[test]
fn problems_are_listed_and_the_rest_is_counted() {
    let verification = verify(&Mixed, &config(2, &["wall", "door", "roof"]));
    let problem = |index, name: &str, error: &str| Problem {
        index,
        name: name.into(),
        error: error.into(),
    };
    assert_eq!(verification.samples, 7);
    assert_eq!(
        verification.problems,
        [
            problem(
                1,
                "of unknown name",
                "the dataset panicked: no sample today"
            ),
            problem(
                2,
                "photo 2",
                "index 2 is out of range for a dataset of 0 samples"
            ),
            problem(
                3,
                "photo 3",
                "photo 3: the mask is 4x2 but the photo is 2x4 (height x width); they must agree"
            ),
            problem(
                5,
                "photo 5",
                "1 pixels of the mask have the value 7; expected 0 to 2, or 255 to be ignored"
            ),
        ]
    );
    // Photos 0, 4 and 6, of 1, 5 and 7 columns.
    let statistics = verification.statistics.unwrap();
    assert_eq!(
        statistics.width,
        Spread {
            min: 1,
            median: 5,
            max: 7
        }
    );
    assert_eq!(
        statistics.height,
        Spread {
            min: 2,
            median: 2,
            max: 2
        }
    );
    assert_eq!(statistics.pixels, 26);
    let classes: Vec<_> = statistics
        .classes
        .iter()
        .map(|class| {
            (
                class.value,
                class.name.as_deref(),
                class.pixels,
                class.images,
            )
        })
        .collect();
    let expected = [
        (0, Some("wall"), 15, 2),
        (1, Some("door"), 1, 1),
        (2, Some("roof"), 0, 0),
        (255, None, 10, 1),
    ];
    assert_eq!(classes, expected);
    assert_eq!(statistics.classes[0].share, 15.0 / 26.0);
    // Green is 0 in 2 pixels, 160 in 10 and 240 in 14.
    let mean = (10.0 * 160.0 + 14.0 * 240.0) / 26.0;
    let squares = (10.0 * 160.0 * 160.0 + 14.0 * 240.0 * 240.0) / 26.0;
    let expected = [
        [0.0, 0.0],
        [mean / 255.0, f64::sqrt(squares - mean * mean) / 255.0],
        [1.0, 0.0],
    ];
    for (channel, [mean, std]) in expected.into_iter().enumerate() {
        assert!((statistics.mean[channel] - mean).abs() < 1e-12);
        assert!((statistics.std[channel] - std).abs() < 1e-12);
    }
}

#[test]
fn without_classes_every_value_counts() {
    let verification = verify(&Mixed, &VerifyConfig::default());
    assert_eq!(verification.problems.len(), 3);
    let classes = verification.statistics.unwrap().classes;
    let values: Vec<_> = classes
        .iter()
        .map(|class| (class.value, class.pixels))
        .collect();
    assert_eq!(values, [(0, 26), (1, 1), (7, 1), (255, 10)]);
    assert!(classes.iter().all(|class| class.name.is_none()));
}

fn pets() -> Subset<OxfordPets> {
    let assets = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/oxford_pets_sample");
    let pets = OxfordPets::open(assets).unwrap();
    let indices = (0..pets.len()).step_by(23).collect();
    Subset::new(pets, indices).unwrap()
}

#[test]
fn threads_do_not_change_the_result() {
    let pets = pets();
    let one = verify(&pets, &config(1, &OxfordPets::CLASS_NAMES));
    assert!(one.problems.is_empty() && one.samples == pets.len());
    for threads in [0, 3, 64] {
        assert_eq!(
            verify(&pets, &config(threads, &OxfordPets::CLASS_NAMES)),
            one
        );
    }
    for threads in [1, 4, 7] {
        assert_eq!(
            verify(&Mixed, &config(threads, &["a"])),
            verify(&Mixed, &config(2, &["a"]))
        );
    }
}

/// Against sums of floats in the order of the samples.
#[test]
fn real_photos_are_measured() {
    let pets = pets();
    let mut widths = Vec::new();
    let (mut sum, mut squares, mut classes, mut pixels) = ([0.0; 3], [0.0; 3], [0; 3], 0.0);
    for sample in (0..pets.len()).map(|index| pets.get(index).unwrap()) {
        let Image::U8(photo) = sample.image else {
            panic!("not decoded")
        };
        for pixel in photo.pixels() {
            for channel in 0..3 {
                let value = f64::from(pixel.0[channel]) / 255.0;
                sum[channel] += value;
                squares[channel] += value * value;
            }
        }
        pixels += photo.pixels().len() as f64;
        widths.push(photo.width());
        sample
            .mask
            .iter()
            .for_each(|class| classes[usize::from(*class)] += 1);
    }
    let statistics = verify(&pets, &VerifyConfig::default()).statistics.unwrap();
    widths.sort_unstable();
    let (min, median, max) = (
        widths[0],
        widths[widths.len() / 2],
        widths[widths.len() - 1],
    );
    assert!(widths.len() % 2 == 1 && min < median && median < max);
    assert_eq!(statistics.width, Spread { min, median, max });
    for channel in 0..3 {
        let mean = sum[channel] / pixels;
        let std = (squares[channel] / pixels - mean * mean).sqrt();
        assert!((statistics.mean[channel] - mean).abs() < 1e-9);
        assert!((statistics.std[channel] - std).abs() < 1e-9);
    }
    assert_eq!(
        statistics
            .classes
            .iter()
            .map(|class| class.pixels)
            .collect::<Vec<_>>(),
        classes
    );
    assert!(
        (statistics
            .classes
            .iter()
            .map(|class| class.share)
            .sum::<f64>()
            - 1.0)
            .abs()
            < 1e-12
    );
}

/// Photos that are floats already.
struct Normalized(Subset<OxfordPets>);

impl Dataset for Normalized {
    fn len(&self) -> usize {
        2
    }

    fn get(&self, index: usize) -> Result<Sample> {
        let pipeline = Compose::default().then(Normalize::default());
        pipeline.apply(self.0.get(index)?, &mut sample_rng(0, 0, 0))
    }
}

#[test]
fn without_a_sound_sample_there_are_no_statistics() {
    let verification = verify(&Normalized(pets()), &VerifyConfig::default());
    assert_eq!(verification.problems.len(), 2);
    assert!(verification.problems[1].error.contains("normalised"));
    assert_eq!(verification.problems[1].name, "sample 1");
    assert_eq!(verification.statistics, None);

    let empty = verify(
        &Subset::new(Mixed, Vec::new()).unwrap(),
        &VerifyConfig::default(),
    );
    assert_eq!(empty.to_string(), "0 samples, 0 with a problem\n");
}

#[test]
fn it_prints_as_a_table_and_survives_json() {
    let verification = verify(&Mixed, &config(1, &["wall", "door", "roof"]));
    let json = serde_json::to_string(&verification).unwrap();
    assert_eq!(
        serde_json::from_str::<Verification>(&json).unwrap(),
        verification
    );
    let table = "\
7 samples, 4 with a problem

pixels      min   median      max
width         1        5        7
height        2        2        2

class                 pixels    share   images
    0 wall                15  57.69 %        2
    1 door                 1   3.85 %        1
    2 roof                 0   0.00 %        0
  255 ignored             10  38.46 %        1

channel     mean      std
red       0.0000   0.0000
green     0.7481   0.2621
blue      1.0000   0.0000

sample of unknown name (index 1): the dataset panicked: no sample today
sample photo 2 (index 2): index 2 is out of range for a dataset of 0 samples
sample photo 3 (index 3): photo 3: the mask is 4x2 but the photo is 2x4 (height x width); they must agree
sample photo 5 (index 5): 1 pixels of the mask have the value 7; expected 0 to 2, or 255 to be ignored
";
    assert_eq!(verification.to_string(), table);
}
