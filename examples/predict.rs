//! Segments photos of any size with a checkpoint or a network of a folder.
//!
//!     cargo run --release --example predict -- --model runs/quickstart/model photo.jpg holiday/ 'cats/*.jpg'
//!     find . -name '*.png' | cargo run --release --example predict -- --model runs/quickstart/model --list -
//!
//! Writes into a folder what `--outputs` says of every photo, and `summary.jsonl`, a line for each of them. A photo that
//! cannot be read is reported, the others are segmented all the same, and the exit code is 1 then.

#[allow(dead_code, reason = "every example uses a part of it")]
mod common;

use std::fs::File;
use std::io::{BufRead, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::Instant;

use anyhow::{Context, Result};
use clap::{Parser, ValueEnum};
use common::settings::PrecisionKind;
use indicatif::{ProgressBar, ProgressStyle};
use unetr::data::{ExifOrientation, read_image};
use unetr::predict::{
    Blend, CocoResult, Fit, Flips, OutputFolder, OutputKind, Probabilities, Segmenter,
    SegmenterConfig, SlidingWindow, StreamConfig, coco_results, find_photos,
};

/// Segments photos of any size.
#[derive(Debug, Parser)]
struct Flags {
    /// The folder of a network or of a checkpoint, or a repository of the Hugging Face hub.
    #[arg(long, alias = "checkpoint")]
    model: PathBuf,
    /// The folder for what is written.
    #[arg(long, default_value = "predictions")]
    out: PathBuf,
    /// What is written of every photo.
    #[arg(long, value_enum, value_delimiter = ',', default_values = ["mask", "overlay"])]
    outputs: Vec<Output>,
    /// A file for the regions of all photos as COCO's results.
    #[arg(long)]
    coco: Option<PathBuf>,
    /// How a photo comes to the network's size.
    #[arg(long, value_enum, default_value = "resize")]
    fit: FitKind,
    /// The part of a window that the next one shows too.
    #[arg(long, default_value_t = 0.25)]
    overlap: f64,
    /// How the scores of overlapping windows are put together.
    #[arg(long, value_enum, default_value = "gaussian")]
    blend: BlendKind,
    /// Mirror images that are predicted too.
    #[arg(long, value_enum, default_value = "none")]
    flips: FlipKind,
    /// Sizes at which photos are predicted, as factors.
    #[arg(long, value_delimiter = ',', default_values_t = [1.])]
    scales: Vec<f64>,
    /// Photos or windows that the network takes at once.
    #[arg(long, default_value_t = 8)]
    batch_size: usize,
    /// auto, cpu or cuda:N.
    #[arg(long, default_value = "auto")]
    device: String,
    #[arg(long, value_enum, default_value = "f32")]
    precision: PrecisionKind,
    /// Threads that read, and as many that write.
    #[arg(long, default_value_t = 2)]
    workers: usize,
    /// A file with a photo in every line, - for standard input.
    #[arg(long)]
    list: Option<PathBuf>,
    /// Photos, folders of photos and patterns of their names.
    #[arg(required_unless_present = "list")]
    photos: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    Mask,
    Overlay,
    Confidence,
    Contours,
    Probabilities,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum BlendKind {
    Constant,
    Gaussian,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum FitKind {
    Resize,
    Pad,
    Window,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum FlipKind {
    None,
    Horizontal,
    All,
}

fn main() -> Result<ExitCode> {
    let flags = Flags::parse();
    common::show_warnings();
    common::device::compute_threads(0)?;
    let device = common::device::device(&flags.device)?;
    let segmenter =
        Segmenter::from_pretrained_on(&flags.model, &device)?.with_config(config(&flags))?;
    let photos = photos(&flags)?;
    let kinds = flags.outputs.iter().map(|&kind| kind.into());
    let folder = OutputFolder::create(&flags.out, kinds, segmenter.classes())?;
    let names = OutputFolder::names(&photos);
    let bar = ProgressBar::new(photos.len() as u64).with_style(ProgressStyle::with_template(
        "{bar:30} {pos}/{len}, {eta} left",
    )?);

    let summary = flags.out.join("summary.jsonl");
    let summary = File::create(&summary).with_context(|| summary.display().to_string())?;
    let written = Mutex::new(Written {
        summary: BufWriter::new(summary),
        coco: Vec::new(),
        broken: 0,
    });
    let start = Instant::now();
    let workers = StreamConfig {
        readers: flags.workers,
        writers: flags.workers,
        ..StreamConfig::default()
    };
    segmenter.segment_stream(
        names.into_iter().zip(&photos),
        workers,
        |(_, path)| Ok::<_, anyhow::Error>(read_image(path, ExifOrientation::Apply)?),
        |(name, path), result| {
            let of_photo = result.and_then(|(photo, segmentation)| {
                let summary = folder.write(&name, path, &photo, &segmentation)?;
                let coco = flags.coco.is_some().then(|| {
                    let classes = segmenter.classes().len() as u8;
                    coco_results(path.display().to_string(), &segmentation, classes)
                });
                Ok((summary, coco.unwrap_or_default()))
            });
            let mut written = written.lock().expect("no thread panics with the lock");
            let of_photo = of_photo.and_then(|(summary, coco)| {
                written.coco.extend(coco);
                Ok(writeln!(
                    written.summary,
                    "{}",
                    serde_json::to_string(&summary)?
                )?)
            });
            if let Err(error) = of_photo {
                bar.suspend(|| eprintln!("{error:#}"));
                written.broken += 1;
            }
            bar.inc(1);
        },
    )?;
    bar.finish_and_clear();

    let mut written = written
        .into_inner()
        .expect("no thread panicked with the lock");
    written.summary.flush()?;
    if let Some(path) = &flags.coco {
        let text = serde_json::to_vec(&written.coco)?;
        std::fs::write(path, text).with_context(|| path.display().to_string())?;
    }
    let seconds = start.elapsed().as_secs_f64();
    let segmented = photos.len() - written.broken;
    println!(
        "{segmented} of {} photos segmented in {seconds:.1} s, {:.1} images/s; look into {}",
        photos.len(),
        segmented as f64 / seconds,
        flags.out.display()
    );
    Ok(match written.broken {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}

/// What the writing threads share.
struct Written {
    summary: BufWriter<File>,
    coco: Vec<CocoResult<String>>,
    broken: usize,
}

fn config(flags: &Flags) -> SegmenterConfig {
    SegmenterConfig {
        fit: match flags.fit {
            FitKind::Resize => Fit::Resize,
            FitKind::Pad => Fit::Pad,
            FitKind::Window => Fit::Window,
        },
        window: SlidingWindow {
            overlap: flags.overlap,
            blend: match flags.blend {
                BlendKind::Constant => Blend::Constant,
                BlendKind::Gaussian => Blend::default(),
            },
        },
        flips: match flags.flips {
            FlipKind::None => Flips::None,
            FlipKind::Horizontal => Flips::Horizontal,
            FlipKind::All => Flips::All,
        },
        scales: flags.scales.clone(),
        batch_size: flags.batch_size,
        precision: flags.precision.into(),
        probabilities: if flags.outputs.contains(&Output::Probabilities) {
            Probabilities::All
        } else {
            Probabilities::Predicted
        },
    }
}

/// The photos of the list and of the arguments.
fn photos(flags: &Flags) -> Result<Vec<PathBuf>> {
    let mut arguments = match &flags.list {
        None => Vec::new(),
        Some(path) if path == Path::new("-") => lines(std::io::stdin().lock())?,
        Some(path) => {
            let file = File::open(path).with_context(|| path.display().to_string())?;
            lines(std::io::BufReader::new(file))?
        }
    };
    arguments.extend(flags.photos.iter().cloned());
    Ok(find_photos(arguments)?)
}

fn lines(text: impl BufRead) -> Result<Vec<String>> {
    let lines = text.lines().collect::<std::io::Result<Vec<_>>>()?;
    Ok(lines.into_iter().filter(|line| !line.is_empty()).collect())
}

impl From<Output> for OutputKind {
    fn from(output: Output) -> Self {
        match output {
            Output::Mask => Self::Mask,
            Output::Overlay => Self::Overlay,
            Output::Confidence => Self::Confidence,
            Output::Contours => Self::Contours,
            Output::Probabilities => Self::Probabilities,
        }
    }
}
