use std::collections::HashMap;
use std::path::Path;

use candle_core::Tensor;

use crate::config::{check_held, layers};
use crate::parameters::read_tensors;
use crate::{BlockKind, Error, NormConfig, PatchProjection, UnetrConfig, Upsampling};

/// [`config_of`] of a file, safetensors or a checkpoint of PyTorch.
///
/// # Errors
/// As [`config_of`], and when the file cannot be read.
pub fn config(
    weights: impl AsRef<Path>,
    image_size: [usize; 2],
    heads: usize,
) -> Result<UnetrConfig, Error> {
    let path = weights.as_ref();
    config_of(&read_tensors(path)?, image_size, heads).map_err(|error| error.in_file(path))
}

/// The configuration of MONAI's UNETR with these tensors.
///
/// Their shapes tell channels, classes, sizes, biases and the kinds of blocks and of normalisation, but not the height
/// and width of the images and the number of heads. Not known either, and taken as MONAI's default, is what was given
/// to `norm_name` besides `affine`: set [`UnetrConfig::norm`] where it was another epsilon or groups, which look like
/// an affine instance normalisation.
///
/// # Errors
/// When these are no weights of a MONAI UNETR in two dimensions, or not those of one for this image size or number of
/// heads.
pub fn config_of(
    tensors: &HashMap<String, Tensor>,
    image_size: [usize; 2],
    heads: usize,
) -> Result<UnetrConfig, Error> {
    const CONVOLUTION: &str = "vit.patch_embedding.patch_embeddings.weight";
    let has = |name: &str| tensors.contains_key(name);
    let [feature_size, in_channels, ..] = shape::<4>(tensors, "encoder1.layer.conv1.conv.weight")?;
    let [classes, ..] = shape::<4>(tensors, "out.conv.conv.weight")?;
    let [_, patches, hidden_size] = shape::<3>(tensors, "vit.patch_embedding.position_embeddings")?;
    let [mlp_size, _] = shape::<2>(tensors, "vit.blocks.0.mlp.linear1.weight")?;
    let patch_projection = match has(CONVOLUTION) {
        true => PatchProjection::Convolution,
        false => PatchProjection::Perceptron,
    };
    // A block whose channels change, so that a residual one has a third convolution.
    let norm = |leaf: &str| has(&format!("decoder5.conv_block.norm1.{leaf}"));
    let norm = match norm("running_mean") {
        true => NormConfig::BATCH_PYTORCH,
        false => NormConfig::Instance {
            affine: norm("weight"),
            // PyTorch's default.
            eps: 1e-5,
        },
    };
    let cfg = UnetrConfig {
        feature_size,
        hidden_size,
        mlp_size,
        heads,
        layers: layers(tensors),
        patch_projection,
        norm,
        qkv_bias: has("vit.blocks.0.attn.qkv.bias"),
        block: match has("decoder5.conv_block.conv3.conv.weight") {
            true => BlockKind::Residual,
            false => BlockKind::Basic,
        },
        upsampling: match has("encoder2.blocks.0.0.conv.weight") {
            true => Upsampling::WithBlocks,
            false => Upsampling::TransposedOnly,
        },
        ..UnetrConfig::monai(in_channels, classes, image_size)
    };
    cfg.validate()?;
    check_held(&cfg, tensors).map_err(Error::MonaiWeights)?;
    let expected = cfg.vit().tokens();
    if patches != expected {
        let [height, width] = image_size;
        return Err(Error::MonaiWeights(format!(
            "position embeddings of {patches} patches, expected {expected} for images of {height}x{width} pixels; give \
             the image size of the training"
        )));
    }
    Ok(cfg)
}

fn shape<const RANK: usize>(
    tensors: &HashMap<String, Tensor>,
    name: &str,
) -> Result<[usize; RANK], Error> {
    let found = tensors.get(name).map(Tensor::dims);
    found.and_then(|dims| dims.try_into().ok()).ok_or_else(|| {
        let found = found.map_or("is missing".to_owned(), |dims| format!("has shape {dims:?}"));
        Error::MonaiWeights(format!(
            "`{name}` {found}, expected {RANK} dimensions as in the `state_dict` of a UNETR of MONAI with \
             `spatial_dims=2`"
        ))
    })
}
