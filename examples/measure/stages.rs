//! The parts of the pipeline one by one.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::Result;
use clap::Args;
use serde::Serialize;
use serde_json::json;
use unetr::data::{
    Affine, Compose, Dataset, ExifOrientation, HorizontalFlip, Normalize, OxfordPets, Probability,
    RandomBrightnessContrast, RandomResizedCrop, Step, Transform, read_image, read_mask,
    sample_rng,
};

use crate::SAMPLE;
use crate::line::VERSIONS;

#[derive(Debug, Args, Serialize)]
pub(crate) struct Stages {
    /// As of `pipeline`.
    #[arg(long, default_value = SAMPLE)]
    data: PathBuf,
    #[arg(long, default_value_t = 256)]
    image_size: usize,
}

/// Milliseconds of each part for a photo of the data, on average.
pub(crate) fn measure(case: &Stages) -> Result<()> {
    let size = [case.image_size; 2];
    let p = Probability::ALWAYS;
    let transforms: [(&str, Step); 6] = [
        (
            "affine",
            Affine {
                p,
                ..Affine::new([-35.0, 35.0], 1)
            }
            .into(),
        ),
        (
            "random_resized_crop",
            RandomResizedCrop {
                scale: [0.7, 1.0],
                ..RandomResizedCrop::new(size)
            }
            .into(),
        ),
        ("horizontal_flip", HorizontalFlip { p }.into()),
        (
            "brightness_contrast",
            RandomBrightnessContrast {
                p,
                ..RandomBrightnessContrast::default()
            }
            .into(),
        ),
        ("normalize", Normalize::default().into()),
        ("all", Compose::tutorial_train(size).into()),
    ];
    let mut ms = BTreeMap::new();
    let mut timed = |stage, start: Instant| {
        *ms.entry(stage).or_insert(0.0) += start.elapsed().as_secs_f64() * 1e3;
    };
    let pets = OxfordPets::open(&case.data)?;
    for (index, name) in pets.names().iter().enumerate() {
        let start = Instant::now();
        read_image(
            case.data.join(format!("images/{name}.jpg")),
            ExifOrientation::Apply,
        )?;
        timed("decode_photo", start);
        let start = Instant::now();
        read_mask(case.data.join(format!("annotations/trimaps/{name}.png")))?;
        timed("decode_mask", start);
        let whole = pets.get(index)?;
        let mut sample = whole.clone();
        for (stage, transform) in &transforms {
            let mut rng = sample_rng(0, 0, index as u64);
            let input = if *stage == "all" {
                whole.clone()
            } else {
                sample
            };
            let start = Instant::now();
            sample = transform.apply(input, &mut rng)?;
            timed(stage, start);
        }
    }
    ms.values_mut().for_each(|ms| *ms /= pets.len() as f64);
    println!(
        "{}",
        json!({ "bench": "stages", "ms": ms, "versions": VERSIONS })
    );
    Ok(())
}
