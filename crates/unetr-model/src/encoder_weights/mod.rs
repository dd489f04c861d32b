//! Weights of Vision Transformers from elsewhere.

mod names;
mod positions;
mod report;
mod statistics;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use candle_core::Tensor;
use unetr_ops::Gelu;

use crate::config::{check_held, layers};
use crate::hub::Hub;
use crate::{Error, Parameters, PatchProjection, UnetrConfig};
use names::{Place, Scheme};
use positions::Table;
pub use report::EncoderReport;
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
/// has none. A last norm that the file lacks, as those of networks that average their tokens, keeps its start. Position
/// embeddings are resampled to the grid of the network's image size.
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
    positions: Table,
    left_out: Vec<String>,
    statistics: Option<PixelStatistics>,
}

impl EncoderWeights {
    /// Reads a file, or the weights in a folder (`model.safetensors` or `pytorch_model.bin`), or those of a repository
    /// of the Hugging Face hub, `owner/name` or `owner/name@revision`, which are downloaded into its cache with the
    /// feature `hub`. The files that say how photos were normalised come along.
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
    /// When the file cannot be read or is not that of a Vision Transformer.
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
        let (mut tensors, mut thirds) = (HashMap::new(), HashMap::<_, [Option<Tensor>; 3]>::new());
        let (mut positions, mut prefix, mut left_out) = (None, 0, Vec::new());
        for (name, tensor) in file {
            match scheme.place(&name) {
                Place::Parameter(own) => {
                    tensors.insert(own, tensor);
                }
                Place::Third(own, part) => {
                    thirds.entry(own).or_default()[part] = Some(tensor);
                }
                Place::Positions => positions = Some(tensor),
                Place::Tokens => {
                    let tokens = tensor.dims().iter().rev().nth(1).copied();
                    prefix = tokens.unwrap_or(1).saturating_add(prefix);
                    left_out.push(name);
                }
                Place::Nowhere => left_out.push(name),
            }
        }
        for (name, parts) in thirds {
            let [Some(query), Some(key), Some(value)] = parts else {
                return Err(Error::MissingParameter { name });
            };
            tensors.insert(name, Tensor::cat(&[query, key, value], 0)?);
        }
        left_out.sort_unstable();
        Ok(Self {
            path: path.to_owned(),
            scheme,
            tensors,
            positions: Table::new(positions, prefix)?,
            left_out,
            statistics: statistics::of_file(path),
        })
    }

    /// What the encoder's photos were normalised by, where that is known: from `preprocessor_config.json` or
    /// `config.json` beside the file, as `transformers` and timm write them, or else from the model's name in that
    /// of the file or its folder, such as `vit_tiny_patch16_224.augreg_in21k.safetensors`.
    pub fn pixel_statistics(&self) -> Option<PixelStatistics> {
        self.statistics
    }

    /// The configuration `base` with an encoder of this shape: hidden size, MLP size, depth, biases and layer
    /// scale are the file's, the GELU is the exact one and the epsilon of layer norms that of the library the
    /// file is from. A head has 64 channels, as in all common ones, or there are as many as in `base` where that
    /// is not possible.
    ///
    /// # Errors
    /// When the network cannot have such an encoder: its decoder needs patches of 16×16 pixels and four blocks.
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
        let &[hidden, channels, patch_size, _] = patches.as_slice() else {
            return Err(Error::Encoder(format!(
                "patch embedding of shape {patches:?}, expected [hidden, channels, patch, patch]"
            )));
        };
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
            heads: match hidden % 64 {
                0 => hidden / 64,
                _ => base.heads,
            },
            layers: layers(&self.tensors),
            patch_size,
            layer_scale: has("vit.blocks.0.ls1.gamma").then_some(1.),
            gelu: Gelu::Erf,
            layer_norm_eps: match (self.scheme, has("vit.blocks.0.ls1.gamma")) {
                // Of its DINOv2 too, which has a layer scale.
                (Scheme::Timm, _) | (_, true) => 1e-6,
                (Scheme::Transformers, false) => 1e-12,
            },
            qkv_bias: has("vit.blocks.0.attn.qkv.bias"),
            patch_projection: PatchProjection::Convolution,
            ..base.clone()
        })
    }

    /// Sets the encoder of a network that was built from `cfg` with these parameters.
    ///
    /// # Errors
    /// When the file lacks a parameter of the encoder other than the last norm or has one of another shape; [`config`](Self::config) gives a
    /// configuration that fits. Nothing has been set then.
    pub fn assign_to(
        &self,
        parameters: &Parameters,
        cfg: &UnetrConfig,
    ) -> Result<EncoderReport, Error> {
        let in_file = |error: Error| error.in_file(&self.path);
        let grid = cfg.vit().grid();
        let positions = self.positions.resampled(grid).map_err(in_file)?;
        let mut tensors = self.tensors.clone();
        tensors.insert(POSITIONS.to_owned(), positions);
        let (mut loaded, mut kept) = (0, Vec::new());
        for (name, var) in parameters.variables() {
            if !name.starts_with("vit.") {
                continue;
            }
            let Some(tensor) = tensors.get(&name) else {
                if name.starts_with(LAST_NORM) {
                    kept.push(name);
                    continue;
                }
                return Err(in_file(Error::MissingParameter { name }));
            };
            if tensor.shape() != var.shape() {
                let (found, expected) = (tensor.dims().to_vec(), var.dims().to_vec());
                return Err(in_file(Error::ParameterShape {
                    name,
                    found,
                    expected,
                }));
            }
            loaded += 1;
        }
        parameters.assign(&tensors)?;
        Ok(EncoderReport {
            loaded,
            kept,
            left_out: self.left_out.clone(),
            side: self.positions.side(),
            grid,
        })
    }
}
