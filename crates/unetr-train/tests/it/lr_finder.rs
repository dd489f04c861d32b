//! The search for a learning rate, on photos of Oxford Pets.

use candle_core::{DType, Device, Tensor};
use unetr_data::{Compose, DataLoader, DataLoaderConfig, OxfordPets};
use unetr_model::{Mode, Parameters, Precision, Unetr, UnetrConfig};
use unetr_train::{
    Adam, AdamConfig, Error, Loss, LossValue, LrFinderConfig, LrSweep, Optimizer, SumLoss,
    SweepEnd, find_learning_rate,
};

struct Setup {
    model: Unetr,
    parameters: Parameters,
    adam: Adam,
    train: DataLoader,
}

impl Setup {
    fn new() -> Self {
        let cfg = UnetrConfig {
            dropout: 0.1,
            ..UnetrConfig::tiny().with_image_size([32, 32])
        };
        let parameters = Parameters::new(5, DType::F32, &Device::Cpu);
        let model = Unetr::new(&cfg, parameters.var_builder()).unwrap();
        let root = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../assets/oxford_pets_sample"
        );
        let pets = OxfordPets::open(root).unwrap();
        let config = DataLoaderConfig {
            workers: 1,
            ..DataLoaderConfig::train(4)
        };
        let augment = Compose::tutorial_train(cfg.image_size);
        let mut setup = Self {
            model,
            adam: Adam::new(parameters.trainable(), AdamConfig::default()).unwrap(),
            parameters,
            train: DataLoader::new(pets, augment, config).unwrap(),
        };
        // Moments that are not 0, so that they could be lost.
        setup.update(7, 1e-3);
        setup
    }

    /// An update on the first batch of an epoch; gives its loss.
    fn update(&mut self, epoch: u64, lr: f64) -> f64 {
        let batch = self.train.epoch(epoch).next().unwrap().unwrap();
        let logits = self
            .model
            .forward(&batch.images, Mode::Train { seed: epoch })
            .unwrap();
        let value = SumLoss::tutorial().compute(&logits, &batch.masks).unwrap();
        self.adam.minimise(&value.total, lr).unwrap();
        f64::from(value.total.to_scalar::<f32>().unwrap())
    }

    fn find(&mut self, loss: &dyn Loss, config: &LrFinderConfig) -> unetr_train::Result<LrSweep> {
        let Self {
            model,
            parameters,
            adam,
            train,
        } = self;
        find_learning_rate(model, parameters, loss, adam, train, config)
    }

    /// The bits of parameters and optimiser.
    fn bits(&self) -> Vec<(String, Vec<u32>)> {
        let bits = |tensor: &Tensor| -> Vec<u32> {
            let values = tensor.to_dtype(DType::F32).unwrap().flatten_all().unwrap();
            let values = values.to_vec1::<f32>().unwrap();
            values.into_iter().map(f32::to_bits).collect()
        };
        let variables = self.parameters.variables().into_iter();
        let variables = variables.map(|(name, var)| (name, bits(&var)));
        let state = self.adam.state().unwrap().unwrap();
        let state = state
            .iter()
            .map(|(name, tensor)| (name.clone(), bits(tensor)));
        variables.chain(state).collect()
    }
}

fn config() -> LrFinderConfig {
    LrFinderConfig {
        from: 1e-6,
        to: 1000.,
        steps: 60,
        smoothing: 0.8,
        ..LrFinderConfig::default()
    }
}

#[test]
fn a_search_finds_a_rate_and_leaves_everything_as_it_was() {
    let mut setup = Setup::new();
    let before = setup.bits();
    let sweep = setup.find(&SumLoss::tutorial(), &config()).unwrap();
    assert!(before == setup.bits(), "something has changed");
    let points = &sweep.points;
    let (first, lowest) = (points[0].smoothed, |points: &[unetr_train::LrPoint]| {
        let losses = points.iter().map(|point| point.smoothed);
        losses.fold(f64::INFINITY, f64::min)
    });
    assert_eq!(points[0].lr, 1e-6);
    let ratio = points[1].lr / points[0].lr;
    assert!((ratio - 1e9f64.powf(1. / 59.)).abs() < 1e-12, "{ratio}");
    // Far too low a rate learns nothing, a good one does, and far too high a one destroys.
    assert!(lowest(points) < 0.95 * first, "{points:?}");
    let last = points.last().unwrap();
    assert!(last.smoothed > 1.2 * lowest(points), "{points:?}");
    let suggestion = sweep.suggestion().unwrap();
    assert!((1e-5..1.).contains(&suggestion), "{suggestion}");
    // The same search again gives the same losses.
    assert_eq!(setup.find(&SumLoss::tutorial(), &config()).unwrap(), sweep);
    let json = serde_json::to_string(&sweep).unwrap();
    assert_eq!(serde_json::from_str::<LrSweep>(&json).unwrap(), sweep);
    // With a rate of the suggestion's size the network learns faster than with the lowest one.
    let rest = |lr: f64| {
        let mut setup = Setup::new();
        let losses: Vec<f64> = (0..20).map(|epoch| setup.update(epoch, lr)).collect();
        losses[10..].iter().sum::<f64>()
    };
    assert!(rest(suggestion / 3.) < rest(1e-6));
}

#[test]
fn a_search_stops_when_the_loss_diverges() {
    let mut setup = Setup::new();
    let config = LrFinderConfig {
        to: 1e6,
        divergence: 2.,
        smoothing: 0.,
        ..config()
    };
    let before = setup.bits();
    let sweep = setup.find(&SumLoss::tutorial(), &config).unwrap();
    assert_eq!(sweep.end, SweepEnd::Diverged);
    assert!(sweep.points.len() < 60);
    assert!(before == setup.bits());
}

#[test]
fn an_error_leaves_everything_as_it_was() {
    /// Fails at the fourth batch.
    #[derive(Debug)]
    struct Fails(std::sync::atomic::AtomicU64);
    impl Loss for Fails {
        fn compute(&self, logits: &Tensor, masks: &Tensor) -> candle_core::Result<LossValue> {
            if self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == 3 {
                candle_core::bail!("no loss");
            }
            SumLoss::tutorial().compute(logits, masks)
        }
    }
    let mut setup = Setup::new();
    let config = LrFinderConfig {
        from: 1e-3,
        ..config()
    };
    let before = setup.bits();
    let error = setup.find(&Fails(0.into()), &config).unwrap_err();
    assert!(error.to_string().contains("no loss"), "{error}");
    assert!(before == setup.bits());
}

#[test]
fn ranges_that_make_no_sense_are_refused() {
    let mut setup = Setup::new();
    for (wrong, message) in [
        (
            LrFinderConfig {
                from: 1.,
                to: 0.1,
                ..config()
            },
            "the range of learning rates is 1e0 to 1e-1, expected two finite numbers above 0",
        ),
        (
            LrFinderConfig {
                steps: 1,
                ..config()
            },
            "the number of learning rates is 1, expected at least 2",
        ),
        (
            LrFinderConfig {
                smoothing: 1.,
                ..config()
            },
            "the smoothing of the loss is 1,",
        ),
        (
            LrFinderConfig {
                divergence: f64::NAN,
                ..config()
            },
            "the divergence of the loss is NaN, expected more than 1",
        ),
        (
            LrFinderConfig {
                precision: Precision::F16,
                ..config()
            },
            "the precision of the search for a learning rate is f16, expected one without",
        ),
    ] {
        let error = setup.find(&SumLoss::tutorial(), &wrong).unwrap_err();
        assert!(matches!(error, Error::Setting { .. }));
        assert!(error.to_string().starts_with(message), "{error}");
    }
}
