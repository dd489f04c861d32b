//! Everything about training that does not depend on the data, as one value that a file can hold.

mod read;

use serde::{Deserialize, Serialize};
use unetr_model::{Parameters, SegmentationModel};

use crate::check::check;
use crate::{
    AdamWConfig, CrossEntropy, GroupRule, LossConfig, LossTerm, MuonConfig, OptimizerConfig,
    ParameterGroups, Region, Result, Retention, RunSpan, ScheduleConfig, Trainer, TrainerConfig,
    Tversky,
};

/// How a network is trained: loss, optimiser, learning rate, bounds, and what is kept.
///
/// As TOML, of which every part has a default:
///
/// ```toml
/// batch_size = 16
/// loss = [{ kind = "cross_entropy" }, { kind = "lovasz", weight = 0.5 }]
///
/// [optimizer]
/// kind = "adamw"
/// weight_decay = 0.05
///
/// [groups]
/// rules = [{ pattern = "vit.*", lr_factor = 0.1 }]
///
/// [schedule]
/// kind = "cosine"
/// peak = 0.001
///
/// [trainer]
/// epochs = 30
/// clip_norm = 1.0
/// ema = { decay = 0.998 }
///
/// [checkpoints]
/// best = 3
/// ```
///
/// # Examples
/// ```
/// use unetr_train::Recipe;
///
/// let recipe = Recipe::from_toml("batch_size = 16\n[trainer]\nepochs = 30")?;
/// assert_eq!((recipe.batch_size, recipe.trainer.epochs), (16, 30));
/// let error = Recipe::from_toml("[trainer.ema]\ndekay = 0.9").unwrap_err().to_string();
/// assert!(error.contains("trainer.ema") && error.contains("dekay"), "{error}");
/// # Ok::<(), unetr_train::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Recipe {
    /// Images in a training batch; 72 by default, the tutorial's.
    pub batch_size: usize,
    /// What is minimised; the tutorial's by default.
    pub loss: LossConfig,
    /// What moves the parameters; Adam by default.
    pub optimizer: OptimizerConfig,
    /// Which parameters move how far; all alike by default.
    pub groups: ParameterGroups,
    /// How the learning rate changes; from 0.003 to 0 in a straight line by default.
    pub schedule: ScheduleConfig,
    /// How long the run is, how gradients are treated, when it is evaluated and saved.
    pub trainer: TrainerConfig,
    /// Which checkpoints are kept.
    pub checkpoints: Retention,
}

impl Default for Recipe {
    fn default() -> Self {
        Self::tutorial()
    }
}

impl Recipe {
    /// The Flax tutorial's: Adam from 0.003 down to 0 in a straight line, batches of 72 images, 50
    /// epochs.
    ///
    /// Source: <https://flax.readthedocs.io/en/latest/examples/image_segmentation.html>
    pub fn tutorial() -> Self {
        Self {
            batch_size: 72,
            loss: LossConfig::tutorial(),
            optimizer: OptimizerConfig::default(),
            groups: ParameterGroups::default(),
            schedule: ScheduleConfig::Linear {
                peak: 0.003,
                warmup: RunSpan::Steps(0),
                end_factor: 0.,
            },
            trainer: TrainerConfig::default(),
            checkpoints: Retention::default(),
        }
    }

    /// For a network from scratch on some hundreds or thousands of photos: [`Muon`](crate::Muon) up to 0.001
    /// and down along a cosine, batches of 8, bounded gradients, and beside the cross entropy a soft
    /// Jaccard loss of each class, so that small classes count as much as large ones.
    ///
    /// It goes with [`UnetrConfig::auxiliary_heads`](unetr_model::UnetrConfig::auxiliary_heads) and
    /// `Compose::crop_and_flip` of `unetr-data`; the README says what it was measured to give beside the
    /// tutorial's recipe.
    pub fn small() -> Self {
        Self {
            batch_size: 8,
            loss: entropy_and_jaccard(),
            optimizer: OptimizerConfig::Muon(MuonConfig {
                weight_decay: 0.05,
                ..MuonConfig::default()
            }),
            schedule: ScheduleConfig::default(),
            trainer: TrainerConfig {
                epochs: 30,
                eval_every: 4,
                clip_norm: Some(1.),
                ..TrainerConfig::default()
            },
            ..Self::tutorial()
        }
    }

    /// For a network whose transformer was trained elsewhere ([`EncoderWeights`](unetr_model::EncoderWeights)):
    /// AdamW up to 0.001 and down along a cosine, a tenth of that for the transformer, batches of 16, 8
    /// epochs, bounded gradients, and the losses of [`small`](Self::small).
    pub fn finetune() -> Self {
        Self {
            batch_size: 16,
            loss: entropy_and_jaccard(),
            optimizer: OptimizerConfig::AdamW(AdamWConfig {
                weight_decay: 0.05,
                ..AdamWConfig::default()
            }),
            groups: ParameterGroups::default().rule(GroupRule::new("vit.*").lr_factor(0.1)),
            schedule: ScheduleConfig::default(),
            trainer: TrainerConfig {
                epochs: 8,
                eval_every: 2,
                clip_norm: Some(1.),
                ..TrainerConfig::default()
            },
            ..Self::tutorial()
        }
    }

    /// Checks what can be known without a network and data.
    ///
    /// # Errors
    /// When a setting is out of range.
    pub fn validate(&self) -> Result<()> {
        check(
            "batch_size",
            &self.batch_size,
            self.batch_size > 0,
            "at least 1",
        )?;
        self.loss.validate()?;
        self.optimizer.validate()?;
        self.groups.validate()?;
        self.schedule.validate()?;
        self.trainer.validate()?;
        self.checkpoints.validate()
    }

    /// A trainer that follows the recipe in epochs of so many batches; checkpoints, data to evaluate on
    /// and callbacks are still to be added.
    ///
    /// # Errors
    /// When a setting is out of range, or names parameters that are not there; when the [`groups`](Self::groups) freeze
    /// parameters that the network was built without [`Parameters::freeze`] for: their gradients would be computed for
    /// nothing, and be part of the norm that is bounded.
    pub fn trainer<'a>(
        &self,
        model: &'a dyn SegmentationModel,
        parameters: &'a Parameters,
        batches_per_epoch: usize,
    ) -> Result<Trainer<'a>> {
        self.validate()?;
        self.check_frozen(parameters)?;
        let steps = self.trainer.steps(batches_per_epoch);
        let optimizer = self.optimizer.build(parameters.trainable(), &self.groups)?;
        Trainer::new(
            model,
            parameters,
            self.loss.build()?,
            optimizer,
            self.schedule.schedule(steps)?,
            self.trainer.clone(),
        )
    }

    fn check_frozen(&self, parameters: &Parameters) -> Result<()> {
        let mut names = parameters.trainable().into_iter().map(|(name, _)| name);
        let found = names.find(|name| self.groups.freezes(name) && !parameters.is_frozen(name));
        check(
            "a parameter that the groups freeze and gradients lead to",
            &found.as_deref().unwrap_or_default(),
            found.is_none(),
            "none: call Parameters::freeze with ParameterGroups::freezes before the network is built, and build one that \
             was loaded again from its parameters",
        )
    }
}

/// Cross entropy, and a soft Jaccard loss of each class over the batch.
fn entropy_and_jaccard() -> LossConfig {
    let jaccard = Tversky {
        alpha: 1.,
        beta: 1.,
        region: Region::Batch,
        ..Tversky::default()
    };
    LossConfig {
        terms: vec![
            LossTerm::new(1., CrossEntropy::default()),
            LossTerm::new(1., jaccard),
        ],
    }
}
