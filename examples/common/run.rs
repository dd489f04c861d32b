//! A training run, from settings to a folder.

use std::sync::Arc;

use anyhow::{Result, bail};
use candle_core::{DType, Device};
use serde::Serialize;
use unetr::data::{Classes, Compose, DataLoader, DataLoaderConfig, Dataset, Normalize};
use unetr::model::{
    EncoderWeights, Parameters, PixelStatistics, Unetr, UnetrConfig, with_precision,
};
use unetr::predict::Segmenter;
use unetr::train::{
    Callback, Checkpoints, Environment, HistoryFile, Loss, LrFinderConfig, Outcome, Plan, Recipe,
    Report, RunFolder, RunLock, StopSignal, TensorBoard, console_progress, draw_curves,
    draw_predictions, find_learning_rate,
};

use super::device::{compute_threads, device, loader_for};
use super::results::{gallery, predictions, share};
use super::settings::Settings;
use super::task::Task;

/// Trains, evaluates and writes everything into `settings.out`.
pub(crate) fn train(
    settings: &Settings,
    mut recipe: Recipe,
    cfg: &UnetrConfig,
    task: &Task,
) -> Result<()> {
    super::show_warnings();
    let (run, out) = (RunFolder::new(&settings.out), &settings.out);
    if !settings.resume && run.history().exists() {
        bail!(
            "{} already holds a run; go on with --resume, give another --out, or remove the folder",
            out.display()
        );
    }
    let _lock = RunLock::acquire(out)?;
    compute_threads(0)?;
    let device = device(&settings.device)?;
    if settings.config.is_none() && !device.is_cpu() {
        recipe.trainer.log_every = 10;
    }

    let network = Network::new(settings, &recipe, cfg, &device)?;
    let data = Data::open(settings, &recipe, task, &network, &device)?;
    describe(settings, &recipe, task, &network, &data);
    if settings.find_lr {
        return find_rate(settings, &recipe, &network, &data.train);
    }

    let Network {
        cfg,
        parameters,
        model,
        normalize,
    } = &network;
    let classes = Classes::viridis(task.metrics.class_names())?;
    let checkpoints = Checkpoints::open(run.checkpoints(), recipe.checkpoints.clone())?;
    let config = serde_json::to_value(RunConfig {
        settings,
        model: cfg,
        classes: task.metrics.class_names(),
        recipe: &recipe,
        train: &data.training,
        validation: &data.evaluation,
        train_transforms: &data.augment,
        validation_transforms: &data.prepare,
    })?;
    let mut trainer = recipe
        .trainer(model, parameters, data.train.batches_per_epoch())?
        .metrics(task.metrics.clone())
        .train_evaluation(&data.train_in_order)
        .validation(&data.validation)
        .checkpoints(checkpoints)
        .history_file(HistoryFile::open(run.history())?)
        .evaluation_file(run.evaluation())
        .attach("config.json", cfg)?
        .attach("preprocessing.json", &data.prepare)?
        .attach("classes.json", &classes)?
        .callback(WriteDown {
            run: run.clone(),
            config,
            device: format!("{device:?}"),
        })
        .callback(console_progress())
        .callback(TensorBoard::create(out.join("tensorboard"))?)
        .stop_signal(stop_on_interrupt()?);
    if settings.resume {
        trainer = trainer.resume();
    }
    let outcome = trainer.fit(&data.train)?;

    draw_curves(trainer.history()).save(out.join("curves.png"))?;
    let ended = match outcome {
        Outcome::Finished => "finished",
        Outcome::StoppedEarly => "stopped since evaluations got no better",
        Outcome::Stopped => {
            Report::open(&[out])?.write(run.report())?;
            println!("stopped; the same command with --resume goes on");
            return Ok(());
        }
    };
    let last = trainer.history().last();
    let (epoch, step) = last.map_or((0, 0), |record| (record.epoch, record.step));
    let segmenter =
        Segmenter::of_unetr(model.clone(), classes.clone(), normalize.clone(), &device)?;
    let (place, held_out) = ((epoch, step), &data.validation);
    let loss = recipe.loss.build()?;
    with_precision(recipe.trainer.precision, || {
        let judged = (model, &loss as &dyn Loss);
        gallery(&run, place, task, judged, &segmenter, held_out, &device)
    })?;
    let shown = (0..task.validation.len()).step_by(task.validation.len().div_ceil(5));
    let samples = predictions(&segmenter, &*task.validation, shown)?;
    draw_predictions(&samples, &classes)?.save(out.join("predictions.png"))?;
    Report::open(&[out])?.write(run.report())?;
    println!("{ended}; look at {}", run.report().display());
    if let Some(best) = trainer.saved().and_then(Checkpoints::best) {
        let folder = run.model();
        share(&folder, best, settings, &recipe, task, normalize, &classes)?;
        println!(
            "the best network, applied to other photos:\n    \
             cargo run --release --example predict -- --model {} photo.jpg",
            folder.display()
        );
    }
    Ok(())
}

/// A network to train, and what its photos are normalised by.
struct Network {
    cfg: UnetrConfig,
    parameters: Parameters,
    model: Unetr,
    normalize: Normalize,
}

impl Network {
    /// From scratch, or with the encoder of the settings, which decides its shape.
    fn new(
        settings: &Settings,
        recipe: &Recipe,
        cfg: &UnetrConfig,
        device: &Device,
    ) -> Result<Self> {
        let encoder = settings.encoder.as_deref();
        let encoder = encoder.map(EncoderWeights::from_pretrained).transpose()?;
        let cfg = match &encoder {
            Some(weights) => weights.config(cfg)?,
            None => cfg.clone(),
        };
        let parameters = Parameters::new(recipe.trainer.seed, DType::F32, device);
        let groups = recipe.groups.clone();
        parameters.freeze(move |name| groups.freezes(name));
        let model = Unetr::new(&cfg, parameters.var_builder())?;
        let mut normalize = Normalize::default();
        if let Some(weights) = &encoder {
            println!("encoder      {}", weights.assign_to(&parameters, &cfg)?);
            match weights.pixel_statistics() {
                Some(PixelStatistics { mean, std }) => normalize = Normalize { mean, std },
                None => eprintln!(
                    "how the encoder's photos were normalised is not known: as ImageNet's, unless its \
                     config.json (timm) or preprocessor_config.json (transformers) lies beside the file"
                ),
            }
        }
        Ok(Self {
            cfg,
            parameters,
            model,
            normalize,
        })
    }
}

/// Batches to train on and to evaluate on, and how they are made.
struct Data {
    augment: Compose,
    prepare: Compose,
    training: DataLoaderConfig,
    evaluation: DataLoaderConfig,
    train: DataLoader,
    train_in_order: DataLoader,
    validation: DataLoader,
}

impl Data {
    fn open(
        settings: &Settings,
        recipe: &Recipe,
        task: &Task,
        network: &Network,
        device: &Device,
    ) -> Result<Self> {
        let prepare = Compose::tutorial_val(network.cfg.image_size);
        let prepare = prepare.normalized_by(&network.normalize);
        let augment = task.augment.clone().normalized_by(&network.normalize);
        let training = DataLoaderConfig {
            seed: recipe.trainer.seed,
            workers: settings.workers,
            ..DataLoaderConfig::train(recipe.batch_size)
        };
        let evaluation = DataLoaderConfig {
            workers: settings.workers,
            ..DataLoaderConfig::evaluation(2 * recipe.batch_size)
        };
        let open = |dataset: &Arc<dyn Dataset>, transforms: &Compose, config: &DataLoaderConfig| {
            loader_for(device, dataset.clone(), transforms.clone(), config.clone())
        };
        Ok(Self {
            train: open(&task.train, &augment, &training)?,
            train_in_order: open(&task.train, &prepare, &evaluation)?,
            validation: open(&task.validation, &prepare, &evaluation)?,
            augment,
            prepare,
            training,
            evaluation,
        })
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

/// Writes down what a run is made of once it begins: one that is refused leaves what is there.
struct WriteDown {
    run: RunFolder,
    config: serde_json::Value,
    device: String,
}

impl Callback for WriteDown {
    fn on_start(&mut self, _: &Plan) {
        let config = self.run.write_config(&self.config);
        let environment = Environment::collect(&self.device);
        let written = config.and_then(|()| environment.write(self.run.environment()));
        if let Err(error) = written {
            eprintln!("{error}; the report will do without it");
        }
    }
}

/// Prints what is about to run.
fn describe(settings: &Settings, recipe: &Recipe, task: &Task, network: &Network, data: &Data) {
    let (cfg, device) = (&network.cfg, network.parameters.device());
    let (train, validation) = (task.train.len(), task.validation.len());
    let [height, width] = cfg.image_size;
    let (hidden, layers) = (cfg.hidden_size, cfg.layers);
    let count = network.parameters.count();
    let trainer = &recipe.trainer;
    let steps = trainer.steps(data.train.batches_per_epoch());
    println!("device       {device:?}");
    println!("data         {train} training and {validation} validation photos");
    println!(
        "model        UNETR at {height}x{width}, hidden size {hidden}, {layers} layers, {count} parameters"
    );
    println!("loss         {}", recipe.loss);
    println!("optimizer    {}, {}", recipe.optimizer, recipe.schedule);
    println!(
        "training     {} epochs, {steps} steps of {} photos",
        trainer.epochs, recipe.batch_size
    );
    println!("augmentation {}", data.augment);
    println!("output       {}", settings.out.display());
}

/// Says at which learning rate the loss falls most steeply.
fn find_rate(
    settings: &Settings,
    recipe: &Recipe,
    network: &Network,
    train: &DataLoader,
) -> Result<()> {
    let parameters = &network.parameters;
    let groups = &recipe.groups;
    let mut optimizer = recipe.optimizer.build(parameters.trainable(), groups)?;
    let defaults = LrFinderConfig::default();
    let config = LrFinderConfig {
        steps: settings.max_steps.unwrap_or(defaults.steps),
        seed: recipe.trainer.seed,
        auxiliary_weight: recipe.trainer.auxiliary_weight,
        precision: recipe.trainer.precision,
        ..defaults
    };
    let (model, loss) = (&network.model, recipe.loss.build()?);
    let sweep = find_learning_rate(model, parameters, &loss, &mut optimizer, train, &config)?;
    let file = settings.out.join("lr_sweep.json");
    std::fs::write(&file, serde_json::to_vec_pretty(&sweep)?)?;
    match sweep.suggestion() {
        Some(lr) => println!(
            "the loss falls most steeply at a learning rate of {lr:.1e}; a third to a tenth of it is often a good --lr"
        ),
        None => println!("the loss does not fall at any learning rate"),
    }
    println!("all losses are in {}", file.display());
    Ok(())
}

/// What stops a run after its step when the user interrupts it.
fn stop_on_interrupt() -> Result<StopSignal> {
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
    Ok(stop)
}
