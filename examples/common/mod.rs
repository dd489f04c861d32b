//! What the examples that train share: from settings to a run folder.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use candle_core::{DType, Device};
use clap::{Args, ValueEnum};
use serde::Serialize;
use unetr::data::{
    Batch, Compose, DataLoader, DataLoaderConfig, Dataset, Image, Normalize, Resize, Sample, Split,
    Subset, Transform, sample_rng,
};
use unetr::metrics::MetricSet;
use unetr::model::{Parameters, Precision, Unetr, UnetrConfig};
use unetr::ops::keep_freed_memory;
use unetr::train::{
    Adam, AdamConfig, Checkpoints, External, HistoryFile, Objective, Optimizer, Outcome, Palette,
    PredictionSample, Retention, Schedule, StopSignal, SumLoss, Trainer, TrainerConfig,
    console_progress, draw_curves, draw_predictions, predict_labels,
};

#[derive(Debug, Clone, Copy, ValueEnum, Serialize)]
pub(crate) enum OptimizerKind {
    /// The tutorial's.
    Adam,
    /// Adam with decoupled weight decay 0.05 on matrices.
    Adamw,
    /// NAdam of candle-optimisers.
    Nadam,
    /// Stochastic gradient descent of candle-nn.
    Sgd,
}

#[derive(Debug, Clone, Copy, ValueEnum, Serialize)]
pub(crate) enum ScheduleKind {
    /// A straight line down to 0, the tutorial's.
    Linear,
    /// A warm-up, then half a cosine.
    WarmupCosine,
    /// Always the same.
    Constant,
}

/// In what numbers a network multiplies.
#[derive(Debug, Clone, Copy, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum PrecisionKind {
    F32,
    /// bfloat16 in products of matrices, f32 elsewhere.
    Bf16,
}

impl From<PrecisionKind> for Precision {
    fn from(kind: PrecisionKind) -> Self {
        match kind {
            PrecisionKind::F32 => Self::Full,
            PrecisionKind::Bf16 => Self::Bf16,
        }
    }
}

/// Flags of every training example.
#[derive(Debug, Clone, Args, Serialize)]
pub(crate) struct Settings {
    /// Passes over the training set.
    #[arg(long, default_value_t = 50)]
    pub(crate) epochs: u64,
    /// Ends the run after so many updates.
    #[arg(long)]
    pub(crate) max_steps: Option<u64>,
    /// Photos in a training batch; evaluation takes twice as many.
    #[arg(long, default_value_t = 72)]
    pub(crate) batch_size: usize,
    /// The highest learning rate.
    #[arg(long, default_value_t = 0.003)]
    pub(crate) lr: f64,
    /// How the learning rate changes.
    #[arg(long, value_enum, default_value = "linear")]
    pub(crate) schedule: ScheduleKind,
    #[arg(long, value_enum, default_value = "adam")]
    pub(crate) optimizer: OptimizerKind,
    /// What initial weights, the order of photos and augmentations derive from.
    #[arg(long, default_value_t = 12)]
    pub(crate) seed: u64,
    /// Threads that read and transform photos.
    #[arg(long, default_value_t = 2)]
    pub(crate) workers: usize,
    /// auto, cpu or cuda:N.
    #[arg(long, default_value = "auto")]
    pub(crate) device: String,
    /// bf16 is faster on processors with AVX512_BF16.
    #[arg(long, value_enum, default_value = "f32")]
    pub(crate) precision: PrecisionKind,
    /// Evaluates after the first epoch, after every so many more, and after the last.
    #[arg(long, default_value_t = 3)]
    pub(crate) eval_every: u64,
    /// The folder for configuration, history, checkpoints and pictures.
    #[arg(long)]
    pub(crate) out: PathBuf,
    /// Goes on from the last checkpoint in the folder.
    #[arg(long)]
    pub(crate) resume: bool,
}

impl Settings {
    /// For a small network on a few hundred photos.
    pub(crate) fn small(out: PathBuf) -> Self {
        Self {
            epochs: 30,
            max_steps: None,
            batch_size: 8,
            lr: 1e-3,
            schedule: ScheduleKind::WarmupCosine,
            optimizer: OptimizerKind::Adamw,
            seed: 12,
            workers: 2,
            device: "auto".into(),
            precision: PrecisionKind::F32,
            eval_every: 4,
            out,
            resume: false,
        }
    }
}

/// A network that two cores train in minutes.
pub(crate) fn small_network(classes: usize) -> UnetrConfig {
    UnetrConfig {
        classes,
        feature_size: 8,
        hidden_size: 128,
        mlp_size: 512,
        layers: 6,
        ..UnetrConfig::small()
    }
    .with_image_size([64, 64])
}

/// What is to be learnt, and from which photos.
pub(crate) struct Task {
    /// What the classes are called, in the order of their indices.
    classes: Vec<String>,
    train: Arc<dyn Dataset>,
    validation: Arc<dyn Dataset>,
    /// The transforms of training photos; validation photos are resized and normalised.
    augment: Compose,
}

impl Task {
    pub(crate) fn new<S: Into<String>>(
        dataset: impl Dataset + 'static,
        split: Split,
        classes: impl IntoIterator<Item = S>,
        augment: Compose,
    ) -> Result<Self> {
        let dataset = Arc::new(dataset);
        Ok(Self {
            classes: classes.into_iter().map(Into::into).collect(),
            train: Arc::new(Subset::new(Arc::clone(&dataset), split.train)?),
            validation: Arc::new(Subset::new(dataset, split.val)?),
            augment,
        })
    }
}

/// Makes this thread one of the so many that compute, 0 for one per core: operations then need not
/// wake another thread up and wait for it. Memory that a step frees stays for the next one.
pub(crate) fn compute_threads(count: usize) -> Result<()> {
    keep_freed_memory();
    rayon::ThreadPoolBuilder::new()
        .num_threads(count)
        .use_current_thread()
        .build_global()
        .context("the threads that compute are there already")
}

/// `auto` takes the first GPU if there is one that works and the CPU otherwise.
pub(crate) fn device(name: &str) -> Result<Device> {
    if name == "cpu" {
        return Ok(Device::Cpu);
    }
    if name == "auto" {
        if !candle_core::utils::cuda_is_available() {
            return Ok(Device::Cpu);
        }
        return Ok(Device::new_cuda(0).unwrap_or_else(|error| {
            eprintln!("no usable GPU, using the CPU: {error}");
            Device::Cpu
        }));
    }
    let Some(ordinal) = name.strip_prefix("cuda:").and_then(|n| n.parse().ok()) else {
        bail!("device {name:?} is unknown; expected auto, cpu or cuda:N");
    };
    Device::new_cuda(ordinal).with_context(|| {
        format!("device {name} cannot be used; build with --features cuda, or take --device cpu")
    })
}

fn optimizer(settings: &Settings, parameters: &Parameters) -> Result<Box<dyn Optimizer>> {
    let vars = || {
        parameters
            .trainable()
            .into_iter()
            .map(|(_, var)| var)
            .collect()
    };
    Ok(match settings.optimizer {
        OptimizerKind::Adam => Box::new(Adam::new(parameters.trainable(), AdamConfig::default())?),
        OptimizerKind::Adamw => {
            let config = AdamConfig {
                weight_decay: 0.05,
                ..Default::default()
            };
            Box::new(Adam::new(parameters.trainable(), config)?)
        }
        OptimizerKind::Nadam => {
            use candle_optimisers::nadam::{NAdam, ParamsNAdam};
            let nadam: NAdam = candle_nn::Optimizer::new(vars(), ParamsNAdam::default())?;
            Box::new(External::new("NAdam", nadam))
        }
        OptimizerKind::Sgd => {
            let sgd: candle_nn::SGD = candle_nn::Optimizer::new(vars(), settings.lr)?;
            Box::new(External::new("SGD", sgd))
        }
    })
}

fn schedule(settings: &Settings, steps: u64) -> Schedule {
    match settings.schedule {
        ScheduleKind::Linear => Schedule::Linear {
            from: settings.lr,
            to: 0.,
            steps,
        },
        ScheduleKind::WarmupCosine => Schedule::warmup_cosine(settings.lr, steps),
        ScheduleKind::Constant => Schedule::Constant { lr: settings.lr },
    }
}

/// Everything a run is made of, as `config.json` keeps it.
#[derive(Serialize)]
struct RunConfig<'a> {
    settings: &'a Settings,
    model: &'a UnetrConfig,
    classes: &'a [String],
    trainer: &'a TrainerConfig,
    schedule: &'a Schedule,
    train: &'a DataLoaderConfig,
    validation: &'a DataLoaderConfig,
    train_transforms: &'a Compose,
    validation_transforms: &'a Compose,
}

/// Trains, evaluates and writes everything into `settings.out`.
pub(crate) fn train(settings: &Settings, cfg: &UnetrConfig, task: &Task) -> Result<()> {
    let out = &settings.out;
    let history = out.join("history.jsonl");
    if !settings.resume && history.exists() {
        bail!(
            "{} already holds a run; go on with --resume, give another --out, or remove the folder",
            out.display()
        );
    }
    std::fs::create_dir_all(out).with_context(|| out.display().to_string())?;
    compute_threads(0)?;
    let device = device(&settings.device)?;
    let parameters = Parameters::new(settings.seed, DType::F32, &device);
    let model = Unetr::new(cfg, parameters.var_builder())?;

    let prepare = Compose::tutorial_val(cfg.image_size);
    let loader = DataLoaderConfig {
        seed: settings.seed,
        workers: settings.workers,
        ..DataLoaderConfig::train(settings.batch_size)
    };
    let evaluation = DataLoaderConfig {
        workers: settings.workers,
        ..DataLoaderConfig::evaluation(2 * settings.batch_size)
    };
    let train_loader = DataLoader::new(task.train.clone(), task.augment.clone(), loader.clone())?;
    let train_eval = DataLoader::new(task.train.clone(), prepare.clone(), evaluation.clone())?;
    let val_loader = DataLoader::new(task.validation.clone(), prepare.clone(), evaluation.clone())?;

    let config = TrainerConfig {
        epochs: settings.epochs,
        max_steps: settings.max_steps,
        eval_every: settings.eval_every,
        seed: settings.seed,
        log_every: if device.is_cpu() { 1 } else { 10 },
        precision: settings.precision.into(),
        ..TrainerConfig::default()
    };
    if !config.precision.is_supported() {
        eprintln!("this processor has no bf16 products (AVX512_BF16): computing in f32");
    }
    let steps = config.steps(train_loader.batches_per_epoch() as u64);
    let schedule = schedule(settings, steps);
    let run = RunConfig {
        settings,
        model: cfg,
        classes: &task.classes,
        trainer: &config,
        schedule: &schedule,
        train: &loader,
        validation: &evaluation,
        train_transforms: &task.augment,
        validation_transforms: &prepare,
    };
    std::fs::write(out.join("config.json"), serde_json::to_vec_pretty(&run)?)?;
    let optimizer = optimizer(settings, &parameters)?;
    println!("device       {device:?}");
    println!(
        "data         {} training and {} validation photos",
        task.train.len(),
        task.validation.len()
    );
    println!(
        "model        UNETR at {}x{}, hidden size {}, {} layers, {} parameters",
        cfg.image_size[0],
        cfg.image_size[1],
        cfg.hidden_size,
        cfg.layers,
        parameters.count()
    );
    println!("optimizer    {}, {schedule}", optimizer.describe());
    println!(
        "training     {} epochs, {steps} steps of {} photos",
        config.epochs, settings.batch_size
    );
    println!("augmentation {}", task.augment);
    println!("output       {}", out.display());

    let stop = StopSignal::default();
    let handle = stop.clone();
    ctrlc::set_handler(move || {
        if handle.is_raised() {
            std::process::exit(130); // asked for a second time
        }
        eprintln!("finishing the step and saving; --resume goes on from there");
        handle.raise();
    })?;
    let retention = Retention::best(2, "validation/mean_iou", Objective::Max);
    let mut trainer = Trainer::new(
        &model,
        &parameters,
        SumLoss::tutorial(),
        optimizer,
        schedule,
        config,
    )?
    .evaluation(MetricSet::new(&task.classes)?)
    .train_evaluation(&train_eval)
    .validation(&val_loader)
    .checkpoints(Checkpoints::open(out.join("checkpoints"), retention)?)
    .history_file(HistoryFile::open(history)?)
    .attach("config.json", cfg)?
    .attach("preprocessing.json", &prepare)?
    .callback(console_progress())
    .stop_signal(stop);
    if settings.resume {
        trainer = trainer.resume();
    }
    let outcome = trainer.fit(&train_loader)?;
    draw_curves(trainer.history()).save(out.join("curves.png"))?;
    let samples = predictions(&model, &*task.validation, cfg.image_size, &device)?;
    draw_predictions(&samples, &Palette::viridis(&task.classes))?
        .save(out.join("predictions.png"))?;
    match outcome {
        Outcome::Finished => println!(
            "finished; look at {}",
            out.join("predictions.png").display()
        ),
        Outcome::Stopped => println!("stopped; the same command with --resume goes on"),
    }
    if let Some(best) = trainer.saved().and_then(Checkpoints::best) {
        println!(
            "the best checkpoint, applied to other photos:\n    \
             cargo run --release --example predict -- --checkpoint {} photo.jpg",
            best.path().display()
        );
    }
    Ok(())
}

/// Predictions for a few photos spread over a data set.
fn predictions(
    model: &Unetr,
    dataset: &dyn Dataset,
    size: [usize; 2],
    device: &Device,
) -> Result<Vec<PredictionSample>> {
    let count = dataset.len().min(5);
    let mut samples = Vec::new();
    for n in 0..count {
        let index = n * dataset.len() / count;
        let sample = Resize::new(size).apply(dataset.get(index)?, &mut sample_rng(0, 0, 0))?;
        let Image::U8(image) = sample.image.clone() else {
            bail!("{}: expected 8-bit pixels", sample.name);
        };
        let mask = sample.mask.clone();
        let prediction = predict(model, sample, device)?;
        samples.push(PredictionSample {
            image,
            mask,
            prediction,
        });
    }
    Ok(samples)
}

/// The classes of one photo of the network's size.
pub(crate) fn predict(model: &Unetr, sample: Sample, device: &Device) -> Result<image::GrayImage> {
    let sample = Normalize::default().apply(sample, &mut sample_rng(0, 0, 0))?;
    let batch = Batch::collate([(0, sample)])?.to_device(device)?;
    let labels = predict_labels(model, &batch.images)?;
    let (_, height, width) = labels.dims3()?;
    let labels = labels.flatten_all()?.to_vec1::<u8>()?;
    image::GrayImage::from_raw(width as u32, height as u32, labels)
        .context("a prediction has not the size of its photo")
}
