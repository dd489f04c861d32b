use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use unetr_ops::Gelu;

use crate::parameters::write_tensors;
use crate::{BlockKind, Error, NormConfig, Parameters, PatchProjection, UnetrConfig, Upsampling};

const AUXILIARY: &str = "auxiliary_heads.";

/// The tensors of a network as MONAI's `state_dict`, on the CPU.
///
/// What MONAI 1.6 has besides is added with the values that it starts from and computes nothing with, norms of a
/// cross-attention that is not there and counters of batches. Auxiliary heads are left out: only training uses them.
///
/// # Errors
/// When MONAI's network cannot compute what this one does; all settings that differ are named. Dropout, stochastic
/// depth and the variance of the running statistics are free, since only training takes them.
pub fn state_dict(
    cfg: &UnetrConfig,
    parameters: &Parameters,
) -> Result<BTreeMap<String, Tensor>, Error> {
    check(cfg)?;
    let mut tensors = BTreeMap::new();
    for (name, var) in parameters.variables() {
        if name.starts_with(AUXILIARY) {
            continue;
        }
        if let Some(norm) = name.strip_suffix(".running_mean") {
            let batches = Tensor::new(0i64, &Device::Cpu)?;
            tensors.insert(format!("{norm}.num_batches_tracked"), batches);
        }
        tensors.insert(name, var.as_detached_tensor().to_device(&Device::Cpu)?);
    }
    for block in 0..cfg.layers {
        let norm = format!("vit.blocks.{block}.norm_cross_attn");
        let ones = Tensor::ones(cfg.hidden_size, DType::F32, &Device::Cpu)?;
        tensors.insert(format!("{norm}.bias"), ones.zeros_like()?);
        tensors.insert(format!("{norm}.weight"), ones);
    }
    Ok(tensors)
}

/// Writes a [`state_dict`] for MONAI to a safetensors file.
///
/// ```python
/// network = UNETR(...)  # what `constructor` says
/// network.load_state_dict(safetensors.torch.load_file("network.safetensors"))
/// ```
///
/// # Errors
/// As [`state_dict`], and when the file cannot be written.
pub fn save(
    cfg: &UnetrConfig,
    parameters: &Parameters,
    path: impl AsRef<Path>,
) -> Result<(), Error> {
    write_tensors(path.as_ref(), state_dict(cfg, parameters)?)
}

/// The expression in Python that builds MONAI's network of a configuration.
///
/// # Errors
/// As [`state_dict`].
///
/// # Examples
/// ```
/// use unetr_model::{UnetrConfig, monai};
///
/// let python = monai::constructor(&UnetrConfig::monai(1, 4, [96, 96]))?;
/// assert!(python.starts_with("UNETR(in_channels=1, out_channels=4, img_size=(96, 96), "));
/// let error = monai::constructor(&UnetrConfig::tutorial()).unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "MONAI's UNETR cannot have gelu Tanh (only Erf), layer_norm_eps 1e-6 (only 1e-5), transposed_bias true \
///      (only false); export a network that was trained from `UnetrConfig::monai`"
/// );
/// # Ok::<(), unetr_model::Error>(())
/// ```
pub fn constructor(cfg: &UnetrConfig) -> Result<String, Error> {
    check(cfg)?;
    let [height, width] = cfg.image_size;
    let projection = match cfg.patch_projection {
        PatchProjection::Convolution => "conv",
        PatchProjection::Perceptron => "perceptron",
    };
    let arguments = [
        ("in_channels", cfg.in_channels.to_string()),
        ("out_channels", cfg.classes.to_string()),
        ("img_size", format!("({height}, {width})")),
        ("feature_size", cfg.feature_size.to_string()),
        ("hidden_size", cfg.hidden_size.to_string()),
        ("mlp_dim", cfg.mlp_size.to_string()),
        ("num_heads", cfg.heads.to_string()),
        ("proj_type", format!("\"{projection}\"")),
        ("norm_name", norm(cfg.norm)),
        (
            "conv_block",
            python(cfg.upsampling == Upsampling::WithBlocks),
        ),
        ("res_block", python(cfg.block == BlockKind::Residual)),
        ("dropout_rate", format!("{:?}", cfg.dropout)),
        ("spatial_dims", "2".to_owned()),
        ("qkv_bias", python(cfg.qkv_bias)),
    ];
    let arguments = arguments.map(|(name, value)| format!("{name}={value}"));
    Ok(format!("UNETR({})", arguments.join(", ")))
}

fn norm(norm: NormConfig) -> String {
    match norm {
        NormConfig::Instance { affine, eps } => {
            let affine = python(affine);
            format!("(\"instance\", {{\"affine\": {affine}, \"eps\": {eps:?}}})")
        }
        NormConfig::Group { groups, eps } => {
            format!("(\"group\", {{\"num_groups\": {groups}, \"eps\": {eps:?}}})")
        }
        NormConfig::Batch { eps, momentum, .. } => {
            format!("(\"batch\", {{\"eps\": {eps:?}, \"momentum\": {momentum:?}}})")
        }
    }
}

fn python(value: bool) -> String {
    match value {
        true => "True".to_owned(),
        false => "False".to_owned(),
    }
}

/// That MONAI's network can compute what this one does.
fn check(cfg: &UnetrConfig) -> Result<(), Error> {
    cfg.validate()?;
    let monai = UnetrConfig::monai(cfg.in_channels, cfg.classes, cfg.image_size);
    let gelu = |gelu: Gelu| format!("{gelu:?}");
    let scale = |scale: Option<f64>| scale.map_or("none".to_owned(), |scale| format!("{scale:?}"));
    let number = |number: f64| format!("{number:?}");
    let settings: Vec<String> = [
        ("layers", cfg.layers.to_string(), monai.layers.to_string()),
        ("gelu", gelu(cfg.gelu), gelu(monai.gelu)),
        (
            "layer_norm_eps",
            number(cfg.layer_norm_eps),
            number(monai.layer_norm_eps),
        ),
        (
            "layer_scale",
            scale(cfg.layer_scale),
            scale(monai.layer_scale),
        ),
        (
            "leaky_slope",
            number(cfg.leaky_slope),
            number(monai.leaky_slope),
        ),
        (
            "transposed_bias",
            cfg.transposed_bias.to_string(),
            monai.transposed_bias.to_string(),
        ),
    ]
    .into_iter()
    .filter(|(_, found, possible)| found != possible)
    .map(|(name, found, possible)| format!("{name} {found} (only {possible})"))
    .collect();
    match settings.as_slice() {
        [] => Ok(()),
        settings => Err(Error::MonaiSettings {
            settings: settings.to_vec(),
        }),
    }
}
