//! Measures updates, inference or the data pipeline and prints one line of JSON.
//!
//!     cargo run --release --example measure -- train-step --image-size 256 --hidden 768 --mlp 3072 --batch 2
//!     cargo run --release --example measure -- infer
//!     cargo run --release --example measure -- trainer
//!     cargo run --release --example measure -- pipeline --data data/oxford_pets --workers 2
//!     cargo run --release --example measure -- stages --data data/oxford_pets
//!
//! The line says what was measured and how: seconds of a step (of the pipeline: between two
//! batches), images per second in the steady state, the most memory that was held. What has no
//! meaning is null.

#[allow(dead_code, reason = "every example uses a part of it")]
mod common;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use candle_core::{DType, Device, Tensor};
use clap::{Args, Parser, Subcommand, ValueEnum};
use serde::Serialize;
use serde_json::json;
use unetr::data::{
    Affine, Compose, DataLoader, DataLoaderConfig, Dataset, ExifOrientation, HorizontalFlip,
    MemoryCache, Normalize, OxfordPets, PrepareConfig, PreparedDataset, Probability,
    RandomBrightnessContrast, RandomResizedCrop, Step, Subset, Transform, read_image, read_mask,
    sample_rng,
};
use unetr::model::{
    Keep, Mode, Parameters, Precision, Unetr, UnetrConfig, no_grad, with_precision,
};
use unetr::ops::peak_memory;
use unetr::train::{
    Adam, AdamConfig, Loss, MuonConfig, Optimizer, OptimizerConfig, ParameterGroups, Schedule,
    SumLoss, Trainer, TrainerConfig, console_progress,
};

use common::settings::PrecisionKind;

/// Steps that are not measured.
const WARM_UP: usize = 2;
/// How often a trainer and a bare loop take turns.
const TURNS: usize = 7;

/// Measures updates, inference or the data pipeline.
#[derive(Debug, Parser)]
struct Flags {
    #[command(subcommand)]
    bench: Bench,
}

#[derive(Debug, Subcommand)]
enum Bench {
    /// Updates: forward, loss, backward and optimiser.
    #[command(alias = "train")]
    TrainStep(Network),
    /// The forward pass in evaluation.
    Infer(Network),
    /// The updates of a trainer beside those of a bare loop over the same batches, in turn.
    Trainer(Network),
    /// Photos from the disk to batches.
    Pipeline(Pipeline),
    /// The parts of the pipeline one by one, in one thread.
    Stages(Stages),
}

#[derive(Debug, Args, Serialize)]
struct Network {
    #[arg(long, default_value_t = 128)]
    image_size: usize,
    #[arg(long, default_value_t = 192)]
    hidden: usize,
    #[arg(long, default_value_t = 768)]
    mlp: usize,
    #[arg(long, default_value_t = 4)]
    heads: usize,
    #[arg(long, default_value_t = 16)]
    feature: usize,
    #[arg(long, default_value_t = 12)]
    layers: usize,
    /// 8 in training and 1 in inference by default.
    #[arg(long)]
    batch: Option<usize>,
    /// Measured steps, after two that are not.
    #[arg(long, default_value_t = 15)]
    steps: usize,
    /// Waits for the device, and reads the loss, after every so many of them.
    #[arg(long, default_value_t = 1)]
    wait_every: usize,
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Probability of a sample to skip the last encoder block in training.
    #[arg(long, default_value_t = 0.)]
    stochastic_depth: f64,
    /// Learns factors of what the encoder blocks add, which start at this.
    #[arg(long)]
    layer_scale: Option<f64>,
    /// Computes the transformer's blocks again in the backward pass, for less memory.
    #[arg(long)]
    recompute: bool,
    /// Of training.
    #[arg(long, value_enum, default_value = "adam")]
    optimizer: OptimizerKind,
    #[arg(long, value_enum, default_value = "f32")]
    precision: PrecisionKind,
    /// auto, cpu or cuda:N.
    #[arg(long, default_value = "cpu")]
    device: String,
}

#[derive(Debug, Clone, Copy, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
enum OptimizerKind {
    Adam,
    Muon,
}

#[derive(Debug, Clone, Copy, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
enum Transforms {
    /// The tutorial's for training, with augmentation.
    Train,
    /// The tutorial's for validation.
    Val,
}

#[derive(Debug, Clone, Copy, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
enum Cache {
    /// Every photo is decoded each time.
    None,
    /// Decoded photos stay in memory.
    Memory,
    /// Decoded photos are in a file in the folder for temporary files.
    Prepared,
}

#[derive(Debug, Args, Serialize)]
struct Stages {
    /// As of `pipeline`.
    #[arg(long, default_value = SAMPLE)]
    data: PathBuf,
    #[arg(long, default_value_t = 256)]
    image_size: usize,
}

/// The sample in `assets/`.
const SAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/oxford_pets_sample");

#[derive(Debug, Args, Serialize)]
struct Pipeline {
    /// The folder with `images/` and `annotations/`; the sample in `assets/` by default.
    #[arg(long, default_value = SAMPLE)]
    data: PathBuf,
    /// Threads that read and transform; 0 for the one that waits for batches.
    #[arg(long, default_value_t = 0)]
    workers: usize,
    #[arg(long, default_value_t = 16)]
    batch: usize,
    /// Images in all; more than there are go through the data several times.
    #[arg(long, default_value_t = 1024)]
    #[serde(skip)]
    images: usize,
    #[arg(long, value_enum, default_value = "train")]
    pipeline: Transforms,
    #[arg(long, value_enum, default_value = "none")]
    cache: Cache,
    #[arg(long, default_value_t = 256)]
    image_size: usize,
    /// Leaves the normalisation for later: batches of bytes.
    #[arg(long)]
    bytes: bool,
}

/// What is printed: the same for every bench, and then the bench's own.
#[derive(Serialize)]
struct Line<'a, C> {
    bench: &'static str,
    #[serde(flatten)]
    seconds: Seconds,
    images_per_s: f64,
    /// From the start of the program to the end of the first step.
    first_call_s: Option<f64>,
    peak_rss_mb: u64,
    /// Of a GPU: what tensors were in, and what was held for that.
    #[serde(skip_serializing_if = "Option::is_none")]
    peak_device_mb: Option<[f64; 2]>,
    versions: Versions,
    params: Option<usize>,
    loss_first: Option<f32>,
    loss_last: Option<f32>,
    #[serde(flatten)]
    case: &'a C,
    #[serde(flatten)]
    pipeline: Option<PipelineLine>,
}

#[derive(Serialize)]
struct Versions {
    unetr: &'static str,
}

const VERSIONS: Versions = Versions {
    unetr: env!("CARGO_PKG_VERSION"),
};

impl<C: Serialize> Line<'_, C> {
    fn print(&self) -> Result<()> {
        println!("{}", serde_json::to_string(self)?);
        Ok(())
    }
}

/// Seconds of a step by the clock, and of all processors together.
#[derive(Serialize)]
struct Seconds {
    median_s: f64,
    min_s: f64,
    max_s: f64,
    cpu_s_median: f64,
}

fn main() -> Result<()> {
    let start = Instant::now();
    match Flags::parse().bench {
        Bench::TrainStep(network) => train(network, start),
        Bench::Infer(network) => infer(network, start),
        Bench::Trainer(network) => trainer(network),
        Bench::Pipeline(case) => pipeline(&case),
        Bench::Stages(case) => stages(&case),
    }
}

fn train(network: Network, start: Instant) -> Result<()> {
    let prepared = Prepared::new(Network {
        batch: network.batch.or(Some(8)),
        ..network
    })?;
    let Prepared {
        images,
        masks,
        parameters,
        ..
    } = &prepared;
    let optimizer = match prepared.case.optimizer {
        OptimizerKind::Adam => OptimizerConfig::Adam(AdamConfig::default()),
        OptimizerKind::Muon => OptimizerConfig::Muon(MuonConfig::default()),
    };
    let mut optimizer = optimizer.build(parameters.trainable(), &ParameterGroups::default())?;
    prepared.measure("train", start, |step| {
        let mode = Mode::Train { seed: step as u64 };
        let logits = with_precision(prepared.precision, || prepared.model.forward(images, mode))?;
        let loss = SumLoss::tutorial().compute(&logits, masks)?.total;
        optimizer.minimise(&loss, 0.003)?;
        Ok(Some(loss))
    })
}

fn infer(network: Network, start: Instant) -> Result<()> {
    let prepared = Prepared::new(Network {
        batch: network.batch.or(Some(1)),
        ..network
    })?;
    prepared.measure("infer", start, |_| {
        let forward = || prepared.model.forward(&prepared.images, Mode::Eval);
        no_grad(|| with_precision(prepared.precision, forward))?;
        Ok(None)
    })
}

fn trainer(network: Network) -> Result<()> {
    let prepared = Prepared::new(Network {
        batch: network.batch.or(Some(8)),
        ..network
    })?;
    let Prepared {
        case,
        precision,
        parameters,
        model,
        ..
    } = &prepared;
    let photos = MemoryCache::new(OxfordPets::open(SAMPLE)?, usize::MAX);
    let loader = DataLoaderConfig {
        workers: 1,
        ..DataLoaderConfig::train(case.batch.unwrap_or(1))
    };
    let transforms = Compose::tutorial_train([case.image_size; 2]);
    let device = prepared.images.device();
    let loader = common::device::loader_for(device, photos, transforms, loader)?;
    loader.epoch(0).try_for_each(|batch| batch.map(|_| ()))?; // fills the cache

    let steps = case.steps.min(loader.batches_per_epoch());
    let schedule = Schedule::Constant { lr: 1e-4 };
    let adam = || Adam::new(parameters.trainable(), AdamConfig::default());
    let (mut bare, mut trained) = (Vec::new(), Vec::new());
    for _ in 0..TURNS {
        let mut optimizer = adam()?;
        let start = Stamp::now()?;
        for batch in loader.epoch(0).take(steps) {
            let batch = batch?.to_device(device)?;
            let mode = Mode::Train { seed: 0 };
            let logits = with_precision(*precision, || model.forward(&batch.images, mode))?;
            let loss = SumLoss::tutorial().compute(&logits, &batch.masks)?.total;
            optimizer.minimise(&loss, schedule.lr(0))?;
        }
        bare.extend([start, Stamp::now()?]);

        let config = TrainerConfig {
            max_steps: Some(steps as u64),
            precision: *precision,
            ..TrainerConfig::default()
        };
        let loss = SumLoss::tutorial();
        let mut trainer = Trainer::new(model, parameters, loss, adam()?, schedule.clone(), config)?
            .callback(console_progress());
        let start = Stamp::now()?;
        trainer.fit(&loader)?;
        trained.extend([start, Stamp::now()?]);
    }
    let median = |stamps: &[Stamp]| {
        let turns = stamps.chunks_exact(2).map(Seconds::between);
        let mut seconds: Vec<f64> = turns.map(|seconds| seconds.median_s).collect();
        seconds.sort_by(f64::total_cmp);
        seconds[seconds.len() / 2] / steps as f64
    };
    let (bare, trained) = (median(&bare), median(&trained));
    let line = json!({
        "bench": "trainer",
        "bare_s": bare,
        "trainer_s": trained,
        "overhead": trained / bare - 1.,
        "versions": VERSIONS,
        "case": case,
    });
    println!("{line}");
    Ok(())
}

/// A network with the same made-up images and masks in every run.
struct Prepared {
    case: Network,
    precision: Precision,
    parameters: Parameters,
    model: Unetr,
    images: Tensor,
    masks: Tensor,
}

impl Prepared {
    fn new(case: Network) -> Result<Self> {
        common::device::compute_threads(case.threads)?;
        let device = common::device::device(&case.device)?;
        let cfg = UnetrConfig {
            hidden_size: case.hidden,
            mlp_size: case.mlp,
            heads: case.heads,
            feature_size: case.feature,
            layers: case.layers,
            stochastic_depth: case.stochastic_depth,
            layer_scale: case.layer_scale,
            ..UnetrConfig::tutorial()
        }
        .with_image_size([case.image_size; 2]);
        let parameters = Parameters::new(0, DType::F32, &device);
        let mut model = Unetr::new(&cfg, parameters.var_builder())?;
        if case.recompute {
            model.set_keep(Keep::Input);
        }
        let (images, masks) = batch(&case, &device)?;
        let precision = Precision::from(case.precision);
        if !precision.is_supported(&device) {
            bail!("this device does not compute in {precision}: measure with --precision f32");
        }
        Ok(Self {
            precision,
            case,
            parameters,
            model,
            images,
            masks,
        })
    }

    /// Measures a step, which may give its loss.
    fn measure(
        &self,
        bench: &'static str,
        start: Instant,
        mut step: impl FnMut(usize) -> Result<Option<Tensor>>,
    ) -> Result<()> {
        let mut losses = Vec::new();
        let mut stamps = Vec::new();
        let mut first_call_s = None;
        let device = self.images.device();
        for n in 0..self.case.steps.max(1) + WARM_UP {
            if n == WARM_UP {
                stamps.push(Stamp::now()?);
            }
            let mut loss = None;
            for _ in 0..self.case.wait_every {
                loss = step(n)?;
            }
            losses.push(loss.map(|loss| loss.to_scalar::<f32>()).transpose()?);
            device.synchronize()?;
            first_call_s.get_or_insert_with(|| start.elapsed().as_secs_f64());
            if n >= WARM_UP {
                stamps.push(Stamp::now()?);
            }
        }
        let seconds = Seconds::between(&stamps);
        Line {
            bench,
            images_per_s: (self.images.dim(0)? * self.case.wait_every) as f64 / seconds.median_s,
            seconds,
            first_call_s,
            peak_rss_mb: peak_rss_mb()?,
            peak_device_mb: peak_memory(device)?
                .map(|peak| [peak.used, peak.reserved].map(|bytes| bytes as f64 / 1e6)),
            versions: VERSIONS,
            params: Some(self.parameters.count()),
            loss_first: losses[0],
            loss_last: losses[losses.len() - 1],
            case: &self.case,
            pipeline: None,
        }
        .print()
    }
}

fn batch(case: &Network, device: &Device) -> Result<(Tensor, Tensor)> {
    let (count, size) = (case.batch.unwrap_or(1), case.image_size);
    let pixels = count * size * size;
    let hash = |i: usize| (i as u32).wrapping_mul(2_654_435_761) >> 8;
    let images: Vec<f32> = (0..3 * pixels)
        .map(|i| hash(i) as f32 / (1 << 23) as f32 - 1.)
        .collect();
    let masks: Vec<u8> = (0..pixels).map(|i| (hash(i) % 3) as u8).collect();
    let images = Tensor::from_vec(images, (count, 3, size, size), device)?;
    Ok((
        images,
        Tensor::from_vec(masks, (count, size, size), device)?,
    ))
}

/// What is measured of the pipeline alone.
#[derive(Serialize)]
struct PipelineLine {
    device: &'static str,
    images: usize,
    total_s: f64,
    images_per_s_total: f64,
    images_per_s_steady: f64,
    /// Until the first batch.
    startup_s: f64,
    shape: Vec<usize>,
}

/// One long epoch, so that the threads start once; the steady state is the second half of its batches.
fn pipeline(case: &Pipeline) -> Result<()> {
    let size = [case.image_size; 2];
    let transforms = match case.pipeline {
        Transforms::Train => Compose::tutorial_train(size),
        Transforms::Val => Compose::tutorial_val(size),
    };
    let cfg = DataLoaderConfig {
        workers: case.workers,
        ..DataLoaderConfig::train(case.batch)
    };
    let folder = tempfile::tempdir()?;
    let start = Stamp::now()?;
    let pets = OxfordPets::open(&case.data)?;
    let pets: Arc<dyn Dataset> = match case.cache {
        Cache::None => Arc::new(pets),
        Cache::Memory => Arc::new(MemoryCache::new(pets, usize::MAX)),
        Cache::Prepared => {
            let path = folder.path().join("pets");
            let config = PrepareConfig::default();
            Arc::new(PreparedDataset::open_or_create(path, &pets, &config)?)
        }
    };
    let repeated = (0..case.images).map(|n| n % pets.len()).collect();
    let photos = Subset::new(pets, repeated)?;
    let loader = match case.bytes {
        true => DataLoader::normalizing_later(photos, transforms, cfg)?,
        false => DataLoader::new(photos, transforms, cfg)?,
    };
    let (mut images, mut stamps, mut shape) = (0, Vec::new(), Vec::new());
    for batch in loader.epoch(0) {
        let batch = batch?;
        images += batch.len();
        shape = batch.images.dims().to_vec();
        stamps.push(Stamp::now()?);
    }
    let first = (stamps.len() / 2).max(1);
    let Some(steady @ [begin, .., end]) = stamps.get(first..) else {
        bail!(
            "{images} images are {} batches, expected at least 3; raise --images or lower --batch",
            stamps.len()
        );
    };
    let images_per_s = ((steady.len() - 1) * case.batch) as f64 / end.since(begin);
    let total_s = end.since(&start);
    Line {
        bench: "pipeline",
        seconds: Seconds::between(steady),
        images_per_s,
        first_call_s: None,
        peak_rss_mb: peak_rss_mb()?,
        peak_device_mb: None,
        versions: VERSIONS,
        params: None,
        loss_first: None,
        loss_last: None,
        case,
        pipeline: Some(PipelineLine {
            device: "cpu",
            images,
            total_s,
            images_per_s_total: images as f64 / total_s,
            images_per_s_steady: images_per_s,
            startup_s: stamps[0].since(&start),
            shape,
        }),
    }
    .print()
}

/// Milliseconds of each part for a photo of the data, on average.
fn stages(case: &Stages) -> Result<()> {
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

/// A moment, by the clock and by the processor time used so far.
struct Stamp {
    wall: Instant,
    cpu: f64,
}

impl Stamp {
    fn now() -> Result<Self> {
        let cpu = cpu_seconds()?;
        Ok(Self {
            wall: Instant::now(),
            cpu,
        })
    }

    fn since(&self, earlier: &Self) -> f64 {
        (self.wall - earlier.wall).as_secs_f64()
    }
}

impl Seconds {
    /// Of what lies between each two of at least two stamps.
    fn between(stamps: &[Stamp]) -> Self {
        let sorted = |seconds: fn(&[Stamp]) -> f64| {
            let mut all: Vec<f64> = stamps.windows(2).map(seconds).collect();
            all.sort_by(f64::total_cmp);
            all
        };
        let wall = sorted(|pair| pair[1].since(&pair[0]));
        let cpu = sorted(|pair| pair[1].cpu - pair[0].cpu);
        Self {
            median_s: wall[wall.len() / 2],
            min_s: wall[0],
            max_s: wall[wall.len() - 1],
            cpu_s_median: cpu[cpu.len() / 2],
        }
    }
}

/// Seconds of processor time this process has used, from Linux's `/proc`.
fn cpu_seconds() -> Result<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let after = stat.rsplit(')').next().context("/proc/self/stat")?;
    let fields: Vec<&str> = after.split_whitespace().collect();
    // User and system time in hundredths of a second.
    let ticks = fields[11].parse::<f64>()? + fields[12].parse::<f64>()?;
    Ok(ticks / 100.)
}

/// The most memory this process has held, from Linux's `/proc`.
fn peak_rss_mb() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .context("VmHWM")?;
    Ok(line.trim().trim_end_matches("kB").trim().parse::<u64>()? / 1024)
}
