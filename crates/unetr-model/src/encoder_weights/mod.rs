//! Weights of Vision Transformers from elsewhere.

mod bicubic;
mod found;
mod names;
mod patches;
mod positions;
mod report;
mod settings;
mod statistics;

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use candle_core::Tensor;
use unetr_ops::Gelu;

use crate::config::{check_held, layers};
use crate::hub::Hub;
use crate::{Error, LoadReport, Parameters, PatchProjection, ShapeMismatch, UnetrConfig};
use found::Found;
use names::Scheme;
use positions::Table;
pub use report::EncoderReport;
use settings::{Settings, config_beside};
pub use statistics::PixelStatistics;

const POSITIONS: &str = "vit.patch_embedding.position_embeddings";
const LAST_NORM: &str = "vit.norm.";
const PATCHES: &str = "vit.patch_embedding.patch_embeddings.weight";

/// The weights of a plain Vision Transformer from another library, for the encoder of a
/// [`Unetr`](crate::Unetr).
///
/// Read are files of timm and of `transformers`: ViT, DeiT with or without a distillation token, DINO, DINOv2,
/// MAE and others with their names, of any depth and width, as safetensors or as PyTorch's pickles. Queries,
/// keys and values may be apart or together. Class and register tokens, heads and decoders are left out: this network
/// has none; of a student and a teacher in one file, the teacher is taken. A last norm that the file lacks, as those of
/// networks that average their tokens, keeps its start. Position embeddings are resampled to the grid of the network's
/// image size, and kernels of a patch embedding for patches of another size, as DINOv2's 14×14, to the network's.
///
/// # Examples
/// ```no_run
/// use candle_core::{DType, Device};
/// use unetr_model::{EncoderWeights, Parameters, Unetr, UnetrConfig};
///
/// let weights = EncoderWeights::open("vit_tiny_patch16_224.safetensors")?;
/// let cfg = weights.config(&UnetrConfig { classes: 3, ..UnetrConfig::small() })?;
/// let parameters = Parameters::new(42, DType::F32, &Device::Cpu);
/// let model = Unetr::new(&cfg, parameters.var_builder())?;
/// println!("{}", weights.assign_to(&parameters, &cfg)?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct EncoderWeights {
    path: PathBuf,
    scheme: Scheme,
    /// By this crate's names.
    tensors: HashMap<String, Tensor>,
    patch_side: usize,
    positions: Table,
    left_out: Vec<String>,
    settings: Settings,
    statistics: Option<PixelStatistics>,
}

impl EncoderWeights {
    /// Reads a file, or the weights in a folder (`model.safetensors` or `pytorch_model.bin`), or those of a repository
    /// of the Hugging Face hub, `owner/name` or `owner/name@revision`, which are downloaded into its cache with the
    /// feature `hub`. The files that tell heads, GELU, epsilon and how
    /// photos were normalised come along.
    ///
    /// # Errors
    /// As [`open`](Self::open) and [`locate`](crate::hub::locate): without the feature or a network, the error says what
    /// to download by hand.
    ///
    /// # Examples
    /// ```no_run
    /// use unetr_model::{EncoderWeights, UnetrConfig};
    ///
    /// let weights = EncoderWeights::from_pretrained("timm/vit_tiny_patch16_224.augreg_in21k_ft_in1k")?;
    /// let cfg = weights.config(&UnetrConfig::small())?;
    /// # Ok::<(), unetr_model::Error>(())
    /// ```
    pub fn from_pretrained(source: &str) -> Result<Self, Error> {
        Hub::from_env().load_encoder(source)
    }

    /// Reads a file.
    ///
    /// # Errors
    /// When the file cannot be read or is not that of a Vision Transformer that this network can have: norms of queries
    /// and keys, for instance, or a `config.json` beside it with an activation other than a GELU.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        Self::of(crate::parameters::read_tensors(path)?, path).map_err(|error| error.in_file(path))
    }

    fn of(file: HashMap<String, Tensor>, path: &Path) -> Result<Self, Error> {
        let Some(scheme) = Scheme::of(file.keys().map(String::as_str)) else {
            return Err(Error::Encoder(
                "no patch embedding of a Vision Transformer, expected `patch_embed.proj.weight` (timm) or \
                 `embeddings.patch_embeddings.projection.weight` (transformers)"
                    .to_owned(),
            ));
        };
        let found = Found::new(file, scheme)?;
        let config = config_beside(path)?;
        Ok(Self {
            path: path.to_owned(),
            scheme,
            patch_side: patch_side(&found.tensors)?,
            positions: Table::new(found.positions, found.prefix)?,
            tensors: found.tensors,
            left_out: found.left_out,
            settings: Settings::of_json(&config)?,
            statistics: statistics::of_file(path, &config),
        })
    }

    /// What the encoder's photos were normalised by, where that is known: from `preprocessor_config.json` or
    /// `config.json` beside the file, as `transformers` and timm write them, or else from the model's name in that
    /// of the file or its folder, such as `vit_tiny_patch16_224.augreg_in21k.safetensors`.
    pub fn pixel_statistics(&self) -> Option<PixelStatistics> {
        self.statistics
    }

    /// The configuration `base` with an encoder of this shape: hidden size, MLP size, depth, biases and layer
    /// scale are the file's.
    ///
    /// Heads, GELU and the epsilon of layer norms are those of `config.json` beside the file, as `transformers` and timm
    /// write it. Without one, or where it does not tell: a head has 64 channels, there are 16 heads for the hidden sizes
    /// 1152, 1280, 1408 and 1664, as in ViT-H and its like, and as many as in `base` where neither is possible; the GELU is
    /// the exact one and the epsilon that of the library the file is from. Where you know better, change the fields:
    /// many networks of SigLIP have the other GELU, which timm's file does not tell.
    ///
    /// # Errors
    /// When the network cannot have such an encoder, as its decoder needs four blocks, or when `config.json` is for another
    /// hidden size.
    pub fn config(&self, base: &UnetrConfig) -> Result<UnetrConfig, Error> {
        let cfg = self.shaped(base).and_then(|cfg| {
            cfg.validate()?;
            check_held(&cfg, &self.tensors).map_err(Error::Encoder)?;
            Ok(cfg)
        });
        cfg.map_err(|error| error.in_file(&self.path))
    }

    fn shaped(&self, base: &UnetrConfig) -> Result<UnetrConfig, Error> {
        let shape = |name: &str| {
            self.tensors
                .get(name)
                .map(|tensor| tensor.dims().to_vec())
                .ok_or_else(|| Error::MissingParameter {
                    name: name.to_owned(),
                })
        };
        let patches = shape(PATCHES)?;
        let (hidden, channels) = (patches[0], patches[1]);
        if let Some(of_file) = self.settings.hidden.filter(|&found| found != hidden) {
            return Err(Error::Encoder(format!(
                "config.json beside it is for a hidden size of {of_file}, the weights have {hidden}; move the weights \
                 elsewhere if that file is about others"
            )));
        }
        let mlp = shape("vit.blocks.0.mlp.linear1.weight")?;
        let &[mlp_size, _] = mlp.as_slice() else {
            return Err(Error::Encoder(format!(
                "first layer of the MLP of shape {mlp:?}, expected [mlp, hidden]"
            )));
        };
        let has = |name: &str| self.tensors.contains_key(name);
        Ok(UnetrConfig {
            in_channels: channels,
            hidden_size: hidden,
            mlp_size,
            heads: self.settings.heads.unwrap_or(match hidden {
                1152 | 1280 | 1408 | 1664 => 16,
                _ if hidden.is_multiple_of(64) => hidden / 64,
                _ => base.heads,
            }),
            layers: layers(&self.tensors),
            layer_scale: has("vit.blocks.0.ls1.gamma").then_some(1.),
            gelu: self.settings.gelu.unwrap_or(Gelu::Erf),
            layer_norm_eps: self.settings.layer_norm_eps.unwrap_or(
                match (self.scheme, has("vit.blocks.0.ls1.gamma")) {
                    // DINOv2, which has a layer scale, has it in transformers too.
                    (Scheme::Timm, _) | (_, true) => 1e-6,
                    (Scheme::Transformers, false) => 1e-12,
                },
            ),
            qkv_bias: has("vit.blocks.0.attn.qkv.bias"),
            patch_projection: PatchProjection::Convolution,
            ..base.clone()
        })
    }

    /// Sets the encoder of a network that was built from `cfg` with these parameters.
    ///
    /// # Errors
    /// When the file lacks a parameter of the encoder other than the last norm, has one of another shape, or has one in a
    /// block that the network's block has not; [`config`](Self::config) gives a configuration that fits. Nothing has been
    /// set then.
    pub fn assign_to(
        &self,
        parameters: &Parameters,
        cfg: &UnetrConfig,
    ) -> Result<EncoderReport, Error> {
        self.assign(parameters, cfg, Fit::Whole)
            .map_err(|error| error.in_file(&self.path))
    }

    /// [`assign_to`](Self::assign_to) of what fits: parameters that the file lacks or has in another shape keep their
    /// values, and the report names them.
    ///
    /// # Errors
    /// When embeddings cannot be resampled or a tensor cannot be copied.
    pub fn assign_matching(
        &self,
        parameters: &Parameters,
        cfg: &UnetrConfig,
    ) -> Result<EncoderReport, Error> {
        self.assign(parameters, cfg, Fit::Matching)
            .map_err(|error| error.in_file(&self.path))
    }

    fn assign(
        &self,
        parameters: &Parameters,
        cfg: &UnetrConfig,
        fit: Fit,
    ) -> Result<EncoderReport, Error> {
        let grid = cfg.vit().grid();
        let mut tensors = self.tensors.clone();
        tensors.insert(POSITIONS.to_owned(), self.positions.resampled(grid)?);
        if self.patch_side != cfg.patch_size {
            let kernels = patches::resample(&self.tensors[PATCHES], cfg.patch_size)?;
            tensors.insert(PATCHES.to_owned(), kernels);
        }
        let mut encoder = parameters.variables();
        encoder.retain(|(name, _)| name.starts_with("vit."));
        let mut report = LoadReport::compare(&encoder, &tensors);
        if fit == Fit::Whole {
            self.check_whole(&report, parameters)?;
        }
        parameters.assign(&tensors)?;
        let mismatched = report.mismatched.into_iter();
        let mut kept = report.missing;
        kept.extend(mismatched.map(|parameter| parameter.name));
        kept.sort_unstable();
        report.unexpected.extend_from_slice(&self.left_out);
        report.unexpected.sort_unstable();
        Ok(EncoderReport {
            loaded: report.loaded,
            kept,
            left_out: report.unexpected,
            side: self.positions.side(),
            grid,
            patch_side: self.patch_side,
            patch_size: cfg.patch_size,
        })
    }

    /// Checks that the file has an encoder whole, and nothing that the network's blocks lack.
    fn check_whole(&self, report: &LoadReport, parameters: &Parameters) -> Result<(), Error> {
        let mut missing = report.missing.iter();
        if let Some(name) = missing.find(|name| !name.starts_with(LAST_NORM)) {
            let name = name.clone();
            return Err(Error::MissingParameter { name });
        }
        if let Some(ShapeMismatch {
            name,
            found,
            expected,
        }) = report.mismatched.first().cloned()
        {
            return Err(Error::ParameterShape {
                name,
                found,
                expected,
            });
        }
        match self.misplaced(parameters) {
            Some(name) => Err(Error::Encoder(format!(
                "the network has no {name}, which changes what its block computes; `config` gives a network that fits"
            ))),
            None => Ok(()),
        }
    }

    /// A parameter of the file's in a block or norm that the network has, which has no such parameter there.
    fn misplaced(&self, parameters: &Parameters) -> Option<&String> {
        let names: HashSet<String> = parameters.names().into_iter().collect();
        let part = |name: &str| name.splitn(4, '.').take(3).collect::<Vec<_>>().join(".");
        let parts: HashSet<String> = names.iter().map(|name| part(name)).collect();
        let is_misplaced = |name: &&String| !names.contains(*name) && parts.contains(&part(name));
        self.tensors.keys().filter(is_misplaced).min()
    }
}

/// The side of the patches that kernels `[hidden, channels, side, side]` embed.
fn patch_side(tensors: &HashMap<String, Tensor>) -> Result<usize, Error> {
    let kernels = tensors.get(PATCHES);
    let kernels = kernels.ok_or_else(|| Error::MissingParameter {
        name: PATCHES.to_owned(),
    })?;
    match *kernels.dims() {
        [_, _, side, width] if side == width && kernels.elem_count() > 0 => Ok(side),
        ref found => Err(Error::Encoder(format!(
            "patch embedding of shape {found:?}, expected [hidden, channels, patch, patch]"
        ))),
    }
}

/// How much of an encoder a file must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fit {
    Whole,
    Matching,
}
