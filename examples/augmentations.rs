//! Draws what transforms do to photos and masks, on one sheet.
//!
//!     cargo run --release --example augmentations
//!     cargo run --release --example augmentations -- --data data/oxford_pets --pipeline mine.json --out mine.png
//!
//! The first row shows photos, each beside its mask; then each row shows draws of one transform on the first of them.
//! Without a pipeline it draws every built-in transform.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Parser;
use image::{Rgb, RgbImage};
use unetr::data::{
    Affine, CenterCrop, Clahe, ClassCrop, Classes, CoarseDropout, ColorJitter, Compose, D4,
    Dataset, ElasticTransform, Equalize, GaussianBlur, GaussianNoise, GridDistortion,
    HorizontalFlip, Image, JpegCompression, MotionBlur, OneOf, OxfordPets, Pad, Perspective,
    Probability, RandomBrightnessContrast, RandomCrop, RandomGamma, RandomResizedCrop, Resize,
    Sample, SomeOf, Step, ToGray, Transform, VerticalFlip, sample_rng,
};
use unetr::train::draw_sheet;

/// Draws what transforms do to photos and masks.
#[derive(Debug, Parser)]
struct Flags {
    /// The folder with `images/` and `annotations/`; the sample in `assets/` by default.
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/oxford_pets_sample"))]
    data: PathBuf,
    /// A pipeline as JSON, of which every step is drawn and then all together.
    #[arg(long)]
    pipeline: Option<PathBuf>,
    /// Draws of every transform.
    #[arg(long, default_value_t = 4)]
    draws: usize,
    #[arg(long, default_value_t = 0)]
    seed: u64,
    #[arg(long, default_value = "augmentations.png")]
    out: PathBuf,
}

const BACKGROUND: u8 = 1;
const BOUNDARY: u8 = 2;

fn main() -> Result<()> {
    let flags = Flags::parse();
    let pets = OxfordPets::open(&flags.data)?;
    let classes = Classes::new(OxfordPets::CLASS_NAMES.into_iter().zip(OxfordPets::PALETTE))?;
    let steps = match &flags.pipeline {
        Some(path) => read_pipeline(path)?,
        None => every_step(),
    };
    let count = flags.draws.clamp(1, pets.len());
    let samples: Vec<Sample> = (0..count)
        .map(|n| pets.get(n * pets.len() / count))
        .collect::<Result<_, _>>()?;
    let row = |samples: &[Sample]| -> Result<Vec<RgbImage>> {
        let pictures = samples.iter().map(|sample| pictures(sample, &classes));
        Ok(pictures.collect::<Result<Vec<_>>>()?.concat())
    };
    let mut rows = vec![("Photos and masks".into(), row(&samples)?)];
    for step in steps {
        let draws: Vec<_> = (0..count as u64)
            .map(|n| step.apply(samples[0].clone(), &mut sample_rng(flags.seed, n, 0)))
            .collect::<Result<_, _>>()?;
        // The sheet's letters are those of ASCII.
        rows.push((step.to_string().replace('°', " deg"), row(&draws)?));
    }
    let sheet = draw_sheet(&rows);
    sheet
        .save(&flags.out)
        .with_context(|| flags.out.display().to_string())?;
    println!("{} rows in {}", rows.len(), flags.out.display());
    Ok(())
}

fn read_pipeline(path: &PathBuf) -> Result<Vec<Step>> {
    let name = || path.display().to_string();
    let text = std::fs::read_to_string(path).with_context(name)?;
    let pipeline: Compose = serde_json::from_str(&text).with_context(name)?;
    pipeline.validate().with_context(name)?;
    // Floats can't be drawn.
    let mut steps = pipeline.steps;
    steps.retain(|step| !matches!(step, Step::Normalize(_)));
    let all = Compose {
        steps: steps.clone(),
    };
    steps.push(all.into());
    Ok(steps)
}

/// A photo, and the classes of its mask.
fn pictures(sample: &Sample, classes: &Classes) -> Result<[RgbImage; 2]> {
    let Image::U8(photo) = &sample.image else {
        bail!("{}: expected 8-bit pixels", sample.name);
    };
    let mask = RgbImage::from_fn(photo.width(), photo.height(), |x, y| {
        Rgb(classes.colour(sample.mask.get_pixel(x, y).0[0]))
    });
    Ok([photo.clone(), mask])
}

/// Every built-in transform, done always.
fn every_step() -> Vec<Step> {
    let p = Probability::ALWAYS;
    vec![
        Affine {
            p,
            ..Affine::new([-35.0, 35.0], BACKGROUND)
        }
        .into(),
        Affine {
            p,
            scale: [0.7, 1.4],
            shift: [-0.1, 0.1],
            shear: [-15.0, 15.0],
            ..Affine::new([-20.0, 20.0], BACKGROUND)
        }
        .into(),
        Perspective {
            p,
            ..Perspective::new([0.05, 0.15], BACKGROUND)
        }
        .into(),
        ElasticTransform {
            p,
            ..ElasticTransform::new([8.0, 12.0], [10.0, 16.0])
        }
        .into(),
        GridDistortion {
            p,
            ..GridDistortion::new([5, 5], [-0.4, 0.4])
        }
        .into(),
        RandomResizedCrop {
            scale: [0.3, 1.0],
            ..RandomResizedCrop::new([160, 160])
        }
        .into(),
        RandomCrop::new([128, 128]).into(),
        CenterCrop::new([128, 128]).into(),
        ClassCrop {
            p,
            ..ClassCrop::new([96, 96], [BOUNDARY])
        }
        .into(),
        Pad::new([240, 240], BACKGROUND).into(),
        Resize::new([96, 160]).into(),
        HorizontalFlip { p }.into(),
        VerticalFlip { p }.into(),
        D4 { p }.into(),
        RandomBrightnessContrast {
            p,
            brightness: [-0.3, 0.3],
            contrast: [-0.3, 0.3],
        }
        .into(),
        RandomGamma {
            p,
            gamma: [0.5, 2.0],
        }
        .into(),
        ColorJitter {
            p,
            hue: [-90.0, 90.0],
            saturation: [0.2, 2.0],
        }
        .into(),
        ToGray { p }.into(),
        Equalize { p }.into(),
        Clahe {
            p,
            ..Clahe::default()
        }
        .into(),
        GaussianBlur {
            p,
            sigma: [0.5, 4.0],
        }
        .into(),
        MotionBlur {
            p,
            length: [5.0, 25.0],
        }
        .into(),
        GaussianNoise {
            p,
            std: [0.05, 0.2],
        }
        .into(),
        JpegCompression {
            p,
            quality: [3, 20],
        }
        .into(),
        CoarseDropout {
            p,
            fill_mask: Some(BACKGROUND),
            ..CoarseDropout::default()
        }
        .into(),
        OneOf {
            p,
            ..OneOf::new([(1.0, ToGray { p }.into()), (1.0, D4 { p }.into())])
        }
        .into(),
        SomeOf {
            p,
            ..SomeOf::new(
                [1, 2],
                [
                    ToGray { p }.into(),
                    D4 { p }.into(),
                    VerticalFlip { p }.into(),
                ],
            )
        }
        .into(),
        Compose::default()
            .then(Affine {
                p,
                ..Affine::new([-35.0, 35.0], BACKGROUND)
            })
            .then(RandomResizedCrop::new([160, 160]))
            .then(HorizontalFlip {
                p: Probability::HALF,
            })
            .then(RandomBrightnessContrast::default())
            .into(),
    ]
}
