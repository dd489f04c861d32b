//! What the examples that train share: from settings to a run folder.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use candle_core::{DType, Device};
use clap::{Args, ValueEnum};
use serde::Serialize;
use serde_json::json;
use unetr::data::{
    Classes, Compose, DataLoader, DataLoaderConfig, Dataset, Image, Normalize, Resize, Split,
    Subset, Transform, sample_rng,
};
use unetr::metrics::MetricSet;
use unetr::model::{EncoderWeights, Parameters, PixelStatistics, Precision, Unetr, UnetrConfig};
use unetr::ops::keep_freed_memory;
use unetr::predict::{ModelCard, Segmenter, save_pretrained};
use unetr::train::{
    Checkpoint, Checkpoints, Environment, Gallery, HistoryFile, ImageScore, Outcome,
    PredictionSample, Recipe, Report, RunFolder, RunLock, ScoredSample, StopSignal, SumLoss,
    TensorBoard, console_progress, draw_curves, draw_predictions, evaluate_images,
};

/// In what numbers a network multiplies.
#[derive(Debug, Clone, Copy, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum PrecisionKind {
    F32,
    /// On a GPU: f32 rounded to TF32 in products of matrices.
    Tf32,
    /// bfloat16 in products of matrices, on a GPU also between operations; f32 elsewhere.
    Bf16,
    /// The same with f16, on a GPU.
    F16,
}

impl From<PrecisionKind> for Precision {
    fn from(kind: PrecisionKind) -> Self {
        match kind {
            PrecisionKind::F32 => Self::Full,
            PrecisionKind::Tf32 => Self::Tf32,
            PrecisionKind::Bf16 => Self::Bf16,
            PrecisionKind::F16 => Self::F16,
        }
    }
}

/// Flags of every training example.
#[derive(Debug, Clone, Args, Serialize)]
pub(crate) struct Settings {
    /// A recipe in TOML or JSON; the flags below come on top of it.
    #[arg(long)]
    pub(crate) config: Option<PathBuf>,
    /// Passes over the training set.
    #[arg(long)]
    pub(crate) epochs: Option<u64>,
    /// Ends the run after so many updates.
    #[arg(long)]
    pub(crate) max_steps: Option<u64>,
    /// Photos in a training batch; evaluation takes twice as many.
    #[arg(long)]
    pub(crate) batch_size: Option<usize>,
    /// The highest learning rate.
    #[arg(long)]
    pub(crate) lr: Option<f64>,
    /// How the learning rate changes: constant, linear, cosine, polynomial, one_cycle.
    #[arg(long)]
    pub(crate) schedule: Option<String>,
    /// Any optimiser by name: adam, adamw, sgd, nadam, radam, rmsprop and others.
    #[arg(long)]
    pub(crate) optimizer: Option<String>,
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
    #[arg(long, value_enum)]
    pub(crate) precision: Option<PrecisionKind>,
    /// Evaluates after the first epoch, after every so many more, and after the last.
    #[arg(long)]
    pub(crate) eval_every: Option<u64>,
    /// The folder for configuration, history, checkpoints and pictures.
    #[arg(long, default_value = concat!("runs/", env!("CARGO_BIN_NAME")))]
    pub(crate) out: PathBuf,
    /// Weights of a Vision Transformer of timm or transformers to begin with, which also set the encoder's shape:
    /// safetensors or `.pth`, or a repository of the Hugging Face hub (needs --features hub).
    #[arg(long)]
    pub(crate) encoder: Option<String>,
    /// Goes on from the last checkpoint in the folder.
    #[arg(long)]
    pub(crate) resume: bool,
}

impl Settings {
    /// What an example without many flags has.
    pub(crate) fn new(out: PathBuf, seed: u64) -> Self {
        Self {
            config: None,
            epochs: None,
            max_steps: None,
            batch_size: None,
            lr: None,
            schedule: None,
            optimizer: None,
            seed,
            workers: 2,
            device: "auto".into(),
            precision: None,
            eval_every: None,
            encoder: None,
            out,
            resume: false,
        }
    }

    /// The recipe of the file, or else this one, and the flags on top of it.
    fn recipe(&self, otherwise: &Recipe) -> Result<Recipe> {
        let mut recipe = match &self.config {
            Some(path) => Recipe::read(path)?,
            None => otherwise.clone(),
        };
        if let Some(kind) = &self.schedule {
            recipe.schedule = serde_json::from_value(json!({ "kind": kind }))
                .with_context(|| format!("--schedule {kind}"))?;
        }
        if let Some(kind) = &self.optimizer {
            recipe.optimizer = serde_json::from_value(json!({ "kind": kind }))
                .with_context(|| format!("--optimizer {kind}"))?;
        }
        if let Some(lr) = self.lr {
            recipe.schedule = recipe.schedule.with_peak(lr);
        }
        recipe.batch_size = self.batch_size.unwrap_or(recipe.batch_size);
        let trainer = &mut recipe.trainer;
        trainer.epochs = self.epochs.unwrap_or(trainer.epochs);
        trainer.max_steps = self.max_steps.or(trainer.max_steps);
        trainer.eval_every = self.eval_every.unwrap_or(trainer.eval_every);
        trainer.precision = self.precision.map_or(trainer.precision, Into::into);
        trainer.seed = self.seed;
        Ok(recipe)
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
        auxiliary_heads: true,
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

/// Batches for a device: bytes for a GPU, which normalises them, and floats for others.
pub(crate) fn loader_for(
    device: &Device,
    dataset: impl Dataset + 'static,
    transforms: Compose,
    config: DataLoaderConfig,
) -> unetr::data::Result<DataLoader> {
    match device.is_cuda() {
        true => DataLoader::normalizing_later(dataset, transforms, config),
        false => DataLoader::new(dataset, transforms, config),
    }
}

/// Everything a run is made of, as `config.json` keeps it.
#[derive(Serialize)]
struct RunConfig<'a> {
    settings: &'a Settings,
    model: &'a UnetrConfig,
    classes: &'a [String],
    recipe: &'a Recipe,
    train: &'a DataLoaderConfig,
    validation: &'a DataLoaderConfig,
    train_transforms: &'a Compose,
    validation_transforms: &'a Compose,
}

/// Trains, evaluates and writes everything into `settings.out`.
pub(crate) fn train(
    settings: &Settings,
    recipe: &Recipe,
    cfg: &UnetrConfig,
    task: &Task,
) -> Result<()> {
    let run = RunFolder::new(&settings.out);
    let out = &settings.out;
    if !settings.resume && run.history().exists() {
        bail!(
            "{} already holds a run; go on with --resume, give another --out, or remove the folder",
            out.display()
        );
    }
    let mut recipe = settings.recipe(recipe)?;
    recipe.validate()?;
    let _lock = RunLock::acquire(out)?;
    compute_threads(0)?;
    let device = device(&settings.device)?;
    recipe.trainer.log_every = if device.is_cpu() { 1 } else { 10 };
    let encoder = settings.encoder.as_deref();
    let encoder = encoder.map(EncoderWeights::from_pretrained).transpose()?;
    let cfg = &match &encoder {
        Some(weights) => weights.config(cfg)?,
        None => cfg.clone(),
    };
    let parameters = Parameters::new(settings.seed, DType::F32, &device);
    let groups = recipe.groups.clone();
    parameters.freeze(move |name| groups.freezes(name));
    let model = Unetr::new(cfg, parameters.var_builder())?;
    let mut normalize = Normalize::default();
    if let Some(weights) = &encoder {
        println!("encoder      {}", weights.assign_to(&parameters, cfg)?);
        match weights.pixel_statistics() {
            Some(PixelStatistics { mean, std }) => normalize = Normalize { mean, std },
            None => eprintln!(
                "how the encoder's photos were normalised is not known: as ImageNet's, unless its \
                 config.json (timm) or preprocessor_config.json (transformers) lies beside the file"
            ),
        }
    }

    let prepare = Compose::tutorial_val(cfg.image_size).normalized_by(&normalize);
    let augment = task.augment.clone().normalized_by(&normalize);
    let loader = DataLoaderConfig {
        seed: settings.seed,
        workers: settings.workers,
        ..DataLoaderConfig::train(recipe.batch_size)
    };
    let evaluation = DataLoaderConfig {
        workers: settings.workers,
        ..DataLoaderConfig::evaluation(2 * recipe.batch_size)
    };
    let open = |dataset: &Arc<dyn Dataset>, transforms: &Compose, config: &DataLoaderConfig| {
        loader_for(&device, dataset.clone(), transforms.clone(), config.clone())
    };
    let train_loader = open(&task.train, &augment, &loader)?;
    let train_eval = open(&task.train, &prepare, &evaluation)?;
    let val_loader = open(&task.validation, &prepare, &evaluation)?;

    let precision = recipe.trainer.precision;
    if !precision.is_supported(&device) {
        eprintln!("this device does not compute in {precision}: computing in f32");
    }
    let config = RunConfig {
        settings,
        model: cfg,
        classes: &task.classes,
        recipe: &recipe,
        train: &loader,
        validation: &evaluation,
        train_transforms: &augment,
        validation_transforms: &prepare,
    };
    std::fs::write(run.config(), serde_json::to_vec_pretty(&config)?)?;
    Environment::collect(format!("{device:?}")).write(run.environment())?;
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
    println!("loss         {}", recipe.loss);
    println!("optimizer    {}, {}", recipe.optimizer, recipe.schedule);
    println!(
        "training     {} epochs, {} steps of {} photos",
        recipe.trainer.epochs,
        recipe.trainer.steps(train_loader.batches_per_epoch()),
        recipe.batch_size
    );
    println!("augmentation {augment}");
    println!("output       {}", out.display());

    let stop = StopSignal::default();
    let handle = stop.clone();
    ctrlc::set_handler(move || {
        if handle.is_raised() {
            // Asked for a second time. What runs at a usual exit would not get on with the other threads.
            signal_hook::low_level::exit(130);
        }
        eprintln!("finishing the step and saving; --resume goes on from there");
        handle.raise();
    })?;
    let classes = Classes::viridis(&task.classes)?;
    let checkpoints = Checkpoints::open(run.checkpoints(), recipe.checkpoints.clone())?;
    let mut trainer = recipe
        .trainer(&model, &parameters, train_loader.batches_per_epoch())?
        .metrics(MetricSet::new(&task.classes)?)
        .train_evaluation(&train_eval)
        .validation(&val_loader)
        .checkpoints(checkpoints)
        .history_file(HistoryFile::open(run.history())?)
        .evaluation_file(run.evaluation())
        .attach("config.json", cfg)?
        .attach("preprocessing.json", &prepare)?
        .attach("classes.json", &classes)?
        .callback(console_progress())
        .callback(TensorBoard::create(out.join("tensorboard"))?)
        .stop_signal(stop);
    if settings.resume {
        trainer = trainer.resume();
    }
    let outcome = trainer.fit(&train_loader)?;
    draw_curves(trainer.history()).save(out.join("curves.png"))?;
    let step = trainer.history().last().map_or(0, |record| record.step);
    let segmenter =
        Segmenter::of_unetr(model.clone(), classes.clone(), normalize.clone(), &device)?;
    gallery(&run, step, task, &model, &segmenter, &val_loader, &device)?;
    let shown = (0..task.validation.len()).step_by(task.validation.len().div_ceil(5));
    let samples = predictions(&segmenter, &*task.validation, shown)?;
    draw_predictions(&samples, &classes)?.save(out.join("predictions.png"))?;
    Report::open(&[out])?.write(run.report())?;
    match outcome {
        Outcome::Finished => println!("finished; look at {}", run.report().display()),
        Outcome::StoppedEarly => println!(
            "stopped since evaluations got no better; look at {}",
            run.report().display()
        ),
        Outcome::Stopped => println!("stopped; the same command with --resume goes on"),
    }
    if let Some(best) = trainer.saved().and_then(Checkpoints::best) {
        let folder = run.model();
        share(&folder, best, &recipe, task, &normalize, &classes)?;
        println!(
            "the best network, applied to other photos:\n    \
             cargo run --release --example predict -- --model {} photo.jpg",
            folder.display()
        );
    }
    Ok(())
}

/// The best, median and worst predictions of the validation set, for the report.
fn gallery(
    run: &RunFolder,
    step: u64,
    task: &Task,
    model: &Unetr,
    segmenter: &Segmenter,
    loader: &DataLoader,
    device: &Device,
) -> Result<()> {
    let (loss, mut metrics) = (SumLoss::tutorial(), MetricSet::new(&task.classes)?);
    let images = evaluate_images(model, &loss, loader, &mut metrics, device, || {})?.images;
    let score = |image: &ImageScore| image.mean_iou.unwrap_or(f64::NAN);
    let scores: Vec<f64> = images.iter().map(score).collect();
    let chosen = Gallery::choose(&scores, 4);
    let indices = chosen.iter().map(|&(_, place)| images[place].index);
    let pictures = predictions(segmenter, &*task.validation, indices.clone())?;
    let samples = chosen.iter().zip(indices).zip(pictures);
    let samples: Vec<ScoredSample> = samples
        .map(|((&(_, place), index), pictures)| ScoredSample {
            name: task.validation.name(index),
            score: scores[place],
            pictures,
        })
        .collect();
    Gallery::write(run.gallery(), step, &samples, 4, segmenter.classes())?;
    Ok(())
}

/// Predictions for some photos of a data set, at the network's size.
fn predictions(
    segmenter: &Segmenter,
    dataset: &dyn Dataset,
    indices: impl Iterator<Item = usize>,
) -> Result<Vec<PredictionSample>> {
    let mut samples = Vec::new();
    for index in indices {
        let resize = Resize::new(segmenter.size());
        let sample = resize.apply(dataset.get(index)?, &mut sample_rng(0, 0, 0))?;
        let Image::U8(image) = sample.image else {
            bail!("{}: expected 8-bit pixels", sample.name);
        };
        samples.push(PredictionSample {
            prediction: segmenter.segment(&image)?.labels,
            image,
            mask: sample.mask,
        });
    }
    Ok(samples)
}

/// Writes the network of a checkpoint for others to use.
fn share(
    folder: &Path,
    checkpoint: &Checkpoint,
    recipe: &Recipe,
    task: &Task,
    normalize: &Normalize,
    classes: &Classes,
) -> Result<()> {
    let (model, parameters) = Unetr::load(checkpoint.path(), &Device::Cpu)?;
    let (training, validation) = (task.train.len(), task.validation.len());
    let card = ModelCard {
        name: "UNETR".into(),
        data: format!("{training} photos for training, {validation} for validation."),
        training: format!(
            "{} updates of {} photos: {}; {}, {}.",
            checkpoint.step(),
            recipe.batch_size,
            recipe.loss,
            recipe.optimizer,
            recipe.schedule
        ),
        metrics: checkpoint.metrics().clone(),
        ..ModelCard::default()
    };
    save_pretrained(folder, &model, &parameters, normalize, classes, &card)?;
    Ok(())
}
