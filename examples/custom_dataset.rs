//! A data set and a network of one's own: circles and triangles drawn on noise, and a few convolutions.
//!
//!     cargo run --release --example custom_dataset -- --out runs/shapes
//!
//! Photos and masks that lie in two folders need no code: see the example `folders`.

use std::path::PathBuf;

use anyhow::Result;
use candle_core::{DType, Device, Tensor};
use candle_nn::{Conv2d, Conv2dConfig, Module, VarBuilder, conv2d};
use clap::Parser;
use image::{GrayImage, Luma, Rgb, RgbImage};
use imageproc::drawing::{draw_filled_circle_mut, draw_polygon_mut};
use imageproc::point::Point;
use rand::Rng;
use unetr::data::{
    Compose, DataLoader, DataLoaderConfig, Dataset, HorizontalFlip, Normalize, Sample, sample_rng,
};
use unetr::metrics::MetricSet;
use unetr::model::{Mode, Parameters, SegmentationModel};
use unetr::train::{
    Checkpoints, HistoryFile, Recipe, Report, Retention, RunFolder, TrainerConfig, console_progress,
};

const SIZE: u32 = 64;

/// Circles (class 1) and triangles (class 2) on noise (class 0), drawn when they are asked for.
struct Shapes {
    count: usize,
    seed: u64,
}

impl Dataset for Shapes {
    fn len(&self) -> usize {
        self.count
    }

    fn get(&self, index: usize) -> unetr::data::Result<Sample> {
        let mut rng = sample_rng(self.seed, 0, index as u64);
        let mut photo = RgbImage::from_fn(SIZE, SIZE, |_, _| {
            Rgb([0; 3].map(|_: i32| rng.random_range(60..140)))
        });
        let mut mask = GrayImage::new(SIZE, SIZE);
        for _ in 0..3 {
            let [x, y] = [0; 2].map(|_: i32| rng.random_range(8..SIZE as i32 - 8));
            let radius = rng.random_range(6..12);
            let colour = Rgb([0; 3].map(|_: i32| rng.random_range(0..255)));
            if rng.random_bool(0.5) {
                draw_filled_circle_mut(&mut photo, (x, y), radius, colour);
                draw_filled_circle_mut(&mut mask, (x, y), radius, Luma([1]));
            } else {
                let corner = |dx: i32, dy: i32| Point::new(x + dx * radius, y + dy * radius);
                let corners = [corner(0, -1), corner(1, 1), corner(-1, 1)];
                draw_polygon_mut(&mut photo, &corners, colour);
                draw_polygon_mut(&mut mask, &corners, Luma([2]));
            }
        }
        Ok(Sample::new(self.name(index), photo, mask))
    }
}

/// Dilated convolutions; anything from images to class scores is a model.
struct Convolutions(Vec<Conv2d>);

impl Convolutions {
    fn new(vb: &VarBuilder<'_>) -> Result<Self> {
        let layer = |index: usize, [from, to]: [usize; 2], dilation| {
            let config = Conv2dConfig {
                padding: dilation,
                dilation,
                ..Conv2dConfig::default()
            };
            conv2d(from, to, 3, config, vb.pp(format!("conv{index}")))
        };
        let sizes = [([3, 16], 1), ([16, 16], 2), ([16, 16], 4), ([16, 3], 1)];
        let layers = sizes.into_iter().enumerate();
        let layers = layers.map(|(index, (channels, dilation))| layer(index, channels, dilation));
        Ok(Self(layers.collect::<candle_core::Result<_>>()?))
    }
}

impl SegmentationModel for Convolutions {
    fn forward(&self, images: &Tensor, _: Mode) -> candle_core::Result<Tensor> {
        let mut xs = images.clone();
        for (index, layer) in self.0.iter().enumerate() {
            xs = layer.forward(&xs)?;
            if index + 1 < self.0.len() {
                xs = xs.relu()?;
            }
        }
        Ok(xs)
    }
}

/// Trains a network of one's own on a data set of one's own.
#[derive(Debug, Parser)]
struct Flags {
    /// The folder for history, checkpoints and the report.
    #[arg(long, default_value = "runs/custom_dataset")]
    out: PathBuf,
    /// Passes over the training set.
    #[arg(long, default_value_t = 8)]
    epochs: u64,
}

fn main() -> Result<()> {
    let flags = Flags::parse();
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("warn")).init();
    let run = RunFolder::new(&flags.out);
    let parameters = Parameters::new(12, DType::F32, &Device::Cpu);
    let model = Convolutions::new(&parameters.var_builder())?;

    let plain = Compose::default().then(Normalize::default());
    let flipped = Compose::default()
        .then(HorizontalFlip::default())
        .then(Normalize::default());
    let train = Shapes {
        count: 256,
        seed: 1,
    };
    let train = DataLoader::new(train, flipped, DataLoaderConfig::train(8))?;
    let val = Shapes { count: 64, seed: 2 };
    let val = DataLoader::new(val, plain, DataLoaderConfig::evaluation(16))?;

    let recipe = Recipe {
        trainer: TrainerConfig {
            epochs: flags.epochs,
            ..TrainerConfig::default()
        },
        ..Recipe::small()
    };
    let mut trainer = recipe
        .trainer(&model, &parameters, train.batches_per_epoch())?
        .metrics(MetricSet::new(["background", "circle", "triangle"])?)
        .validation(&val)
        .checkpoints(Checkpoints::open(run.checkpoints(), Retention::default())?)
        .history_file(HistoryFile::open(run.history())?)
        .evaluation_file(run.evaluation())
        .callback(console_progress())
        .resume();
    trainer.fit(&train)?;
    Report::open(&[run.path()])?.write(run.report())?;
    println!("look at {}", run.report().display());
    Ok(())
}
