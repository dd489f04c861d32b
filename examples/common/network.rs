//! Flags of the network and of how it is trained.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::{Args, ValueEnum};
use unetr::data::Compose;
use unetr::model::UnetrConfig;
use unetr::train::Recipe;

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Preset {
    /// 256x256, hidden size 768, 12 layers.
    Tutorial,
    /// 128x128, hidden size 192, 12 layers.
    Small,
    /// 64x64, hidden size 32, 4 layers: to try things.
    Tiny,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum RecipeKind {
    /// The tutorial's recipe.
    Tutorial,
    /// Better for small networks from scratch: other losses, optimiser and batches.
    Small,
    /// For a transformer trained elsewhere, with `--encoder`.
    Finetune,
}

/// Which network is trained, and how.
#[derive(Debug, Args)]
pub(crate) struct NetworkFlags {
    #[arg(long, value_enum)]
    preset: Option<Preset>,
    /// How it is trained; `--config` takes its place but for transforms and auxiliary heads.
    #[arg(long, value_enum)]
    recipe: Option<RecipeKind>,
    /// Height and width that photos are resized to, a multiple of 16; the preset's by default.
    #[arg(long)]
    image_size: Option<usize>,
    /// Probability of a sample to skip the last encoder block in training; the preset's by default.
    #[arg(long)]
    stochastic_depth: Option<f64>,
    /// Learns factors of what the encoder blocks add, which start at this; none by default.
    #[arg(long)]
    layer_scale: Option<f64>,
    /// Heads that teach the transformer in training, see `UnetrConfig::auxiliary_heads`; of the other
    /// recipes than the tutorial's they are part.
    #[arg(long)]
    auxiliary_heads: bool,
    /// The training transforms, as `{"steps": [..]}` in a JSON file. By default crops and mirror images, with pets and
    /// another recipe than `small` the tutorial's.
    #[arg(long)]
    transforms: Option<PathBuf>,
}

impl NetworkFlags {
    /// The network for so many classes, its recipe and training transforms, where the flags leave the choice to
    /// these defaults: the transforms are for other recipes than `small`.
    pub(crate) fn choose(
        &self,
        classes: usize,
        (preset, recipe): (Preset, RecipeKind),
        transforms: fn([usize; 2]) -> Compose,
    ) -> Result<(UnetrConfig, Recipe, Compose)> {
        let recipe = self.recipe.unwrap_or(recipe);
        let cfg = match self.preset.unwrap_or(preset) {
            Preset::Tutorial => UnetrConfig::tutorial(),
            Preset::Small => UnetrConfig::small(),
            Preset::Tiny => UnetrConfig::tiny(),
        };
        let cfg = match self.image_size {
            Some(size) => cfg.with_image_size([size, size]),
            None => cfg,
        };
        let cfg = UnetrConfig {
            classes,
            stochastic_depth: self.stochastic_depth.unwrap_or(cfg.stochastic_depth),
            layer_scale: self.layer_scale.or(cfg.layer_scale),
            auxiliary_heads: self.auxiliary_heads || !matches!(recipe, RecipeKind::Tutorial),
            ..cfg
        };
        cfg.validate()?;
        let size = cfg.image_size;
        let transforms = match (&self.transforms, recipe) {
            (Some(path), _) => read_transforms(path)?,
            (None, RecipeKind::Small) => Compose::crop_and_flip(size),
            (None, _) => transforms(size),
        };
        let recipe = match recipe {
            RecipeKind::Tutorial => Recipe::tutorial(),
            RecipeKind::Small => Recipe::small(),
            RecipeKind::Finetune => Recipe::finetune(),
        };
        Ok((cfg, recipe, transforms))
    }
}

fn read_transforms(path: &Path) -> Result<Compose> {
    let named = || format!("the training transforms {}", path.display());
    let text = std::fs::read(path).with_context(named)?;
    serde_json::from_slice(&text).with_context(named)
}
