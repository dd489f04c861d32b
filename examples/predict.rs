//! Segments photos of any size with a checkpoint.
//!
//!     cargo run --release --example predict -- --checkpoint runs/quickstart/checkpoints/step-0001650 \
//!         --out predictions photo.jpg
//!
//! Writes `photo.mask.png`, the class of every pixel, and `photo.overlay.png`, the classes over the
//! photo with the borders between them.

#[allow(dead_code, reason = "every example uses a part of it")]
mod common;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use candle_core::Device;
use clap::Parser;
use image::GrayImage;
use image::imageops::{FilterType, resize};
use unetr::data::{ExifOrientation, Normalize, Resize, Sample, Transform, read_image, sample_rng};
use unetr::model::Unetr;
use unetr::train::{Palette, draw_overlay};

/// Segments photos of any size with a checkpoint.
#[derive(Debug, Parser)]
struct Flags {
    /// The folder of a checkpoint.
    #[arg(long)]
    checkpoint: PathBuf,
    /// The folder for masks and overlays.
    #[arg(long, default_value = "predictions")]
    out: PathBuf,
    /// auto, cpu or cuda:N.
    #[arg(long, default_value = "auto")]
    device: String,
    /// The photos.
    #[arg(required = true)]
    photos: Vec<PathBuf>,
}

fn main() -> Result<()> {
    let flags = Flags::parse();
    common::compute_threads(0)?;
    let device = common::device(&flags.device)?;
    let (model, _) = Unetr::load(&flags.checkpoint, &device)?;
    std::fs::create_dir_all(&flags.out).with_context(|| flags.out.display().to_string())?;
    let classes = 0..model.config().classes;
    let palette = Palette::viridis(classes.map(|class| class.to_string()));
    let mut broken = 0;
    for photo in &flags.photos {
        match segment(&model, photo, &flags.out, &palette, &device) {
            Ok(()) => println!("{}", photo.display()),
            Err(error) => {
                eprintln!("{error:#}");
                broken += 1;
            }
        }
    }
    if broken > 0 {
        bail!(
            "{broken} of {} photos could not be segmented",
            flags.photos.len()
        );
    }
    Ok(())
}

fn segment(
    model: &Unetr,
    photo: &Path,
    out: &Path,
    palette: &Palette,
    device: &Device,
) -> Result<()> {
    let image = read_image(photo, ExifOrientation::Apply)?;
    let (width, height) = image.dimensions();
    let name = photo
        .file_stem()
        .context("a photo without a name")?
        .to_string_lossy()
        .into_owned();
    let sample = Sample::new(&name, image.clone(), GrayImage::new(width, height));
    let resized = Resize::new(model.config().image_size).apply(sample, &mut sample_rng(0, 0, 0))?;
    let mask = common::predict(model, resized, &Normalize::default(), device)?;
    let mask = resize(&mask, width, height, FilterType::Nearest);
    mask.save(out.join(format!("{name}.mask.png")))?;
    draw_overlay(&image, &mask, palette)?.save(out.join(format!("{name}.overlay.png")))?;
    Ok(())
}
