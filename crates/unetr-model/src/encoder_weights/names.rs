//! What other libraries call the parameters of a Vision Transformer.

/// Where a tensor belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// The parameter of this name.
    Parameter(String),
    /// The first, second or third part of the parameter of this name, along its first dimension.
    Third(String, usize),
    /// Embeddings of class token and patches.
    Positions,
    /// Nowhere: class, distillation and register tokens, which come before the patches and may have position
    /// embeddings.
    Tokens,
    /// Nowhere: heads, decoders of pretraining.
    Nowhere,
    /// Nowhere, though what the blocks compute depends on it.
    Foreign,
}

/// Which library's names a file has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scheme {
    /// timm's, and those of DeiT, DINO, DINOv2 and MAE.
    Timm,
    /// Those of `transformers`.
    Transformers,
}

/// What checkpoints put before the names of an encoder.
const WRAPPERS: [&str; 12] = [
    "module.",
    "model.",
    "base_model.",
    "backbone.",
    "teacher.",
    "student.",
    "vit.",
    "deit.",
    "dinov2.",
    "trunk.",
    "visual.",
    "image_encoder.",
];

/// What comes before the patches, in all schemes.
const TOKENS: [&str; 5] = [
    "cls_token",
    "dist_token",
    "distillation_token",
    "reg_token",
    "register_tokens",
];

impl Scheme {
    /// The scheme of a file with these names, if it is one of an encoder.
    pub(super) fn of<'a>(mut names: impl Iterator<Item = &'a str>) -> Option<Self> {
        names.find_map(|name| {
            let patches = unwrapped(name).strip_suffix("weight")?;
            let schemes = [Self::Timm, Self::Transformers];
            schemes
                .into_iter()
                .find(|scheme| scheme.around()[1] == patches)
        })
    }

    /// The name of the position embeddings, and what comes before the names of the patch embedding and of
    /// the last norm.
    fn around(self) -> [&'static str; 3] {
        match self {
            Self::Timm => ["pos_embed", "patch_embed.proj.", "norm."],
            Self::Transformers => [
                "embeddings.position_embeddings",
                "embeddings.patch_embeddings.projection.",
                "layernorm.",
            ],
        }
    }

    pub(super) fn place(self, name: &str) -> Place {
        let name = unwrapped(name);
        let [positions, patches, norm] = self.around();
        if name == positions {
            return Place::Positions;
        }
        if let Some(leaf) = name.strip_prefix(patches) {
            return Place::Parameter(format!("vit.patch_embedding.patch_embeddings.{leaf}"));
        }
        if let Some(leaf) = name.strip_prefix(norm) {
            return Place::Parameter(format!("vit.norm.{leaf}"));
        }
        let token = name.strip_prefix("embeddings.").unwrap_or(name);
        if TOKENS.contains(&token) {
            return Place::Tokens;
        }
        let (in_block, computed) = match self {
            Self::Timm => (timm(name), ["blocks.", "patch_embed.", "norm_pre."]),
            Self::Transformers => (
                transformers(name),
                [
                    "encoder.",
                    "embeddings.patch_embeddings.",
                    "embeddings.norm.",
                ],
            ),
        };
        let is_computed = computed.iter().any(|prefix| name.starts_with(prefix));
        in_block.unwrap_or(match is_computed {
            true => Place::Foreign,
            false => Place::Nowhere,
        })
    }
}

fn unwrapped(mut name: &str) -> &str {
    while let Some(rest) = WRAPPERS.iter().find_map(|prefix| name.strip_prefix(prefix)) {
        name = rest;
    }
    name
}

/// A parameter of a block.
fn timm(name: &str) -> Option<Place> {
    let (block, rest) = name.strip_prefix("blocks.")?.split_once('.')?;
    let rest = match rest.rsplit_once('.')? {
        ("attn.proj", leaf) => format!("attn.out_proj.{leaf}"),
        ("mlp.fc1", leaf) => format!("mlp.linear1.{leaf}"),
        ("mlp.fc2", leaf) => format!("mlp.linear2.{leaf}"),
        ("norm1" | "norm2" | "attn.qkv" | "ls1" | "ls2", _) => rest.to_owned(),
        _ => return None,
    };
    Some(Place::Parameter(format!("vit.blocks.{block}.{rest}")))
}

/// A parameter of a block.
fn transformers(name: &str) -> Option<Place> {
    let (block, rest) = name.strip_prefix("encoder.layer.")?.split_once('.')?;
    let (layer, leaf) = rest.rsplit_once('.')?;
    let third = |part| Place::Third(format!("vit.blocks.{block}.attn.qkv.{leaf}"), part);
    let layer = match layer {
        "attention.attention.query" => return Some(third(0)),
        "attention.attention.key" => return Some(third(1)),
        "attention.attention.value" => return Some(third(2)),
        "attention.output.dense" => "attn.out_proj",
        "layernorm_before" | "norm1" => "norm1",
        "layernorm_after" | "norm2" => "norm2",
        "intermediate.dense" | "mlp.fc1" => "mlp.linear1",
        "output.dense" | "mlp.fc2" => "mlp.linear2",
        "layer_scale1" => return Some(Place::Parameter(format!("vit.blocks.{block}.ls1.gamma"))),
        "layer_scale2" => return Some(Place::Parameter(format!("vit.blocks.{block}.ls2.gamma"))),
        _ => return None,
    };
    Some(Place::Parameter(format!(
        "vit.blocks.{block}.{layer}.{leaf}"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameter(name: &str) -> Place {
        Place::Parameter(name.to_owned())
    }

    #[test]
    fn names_are_found_below_wrappers() {
        for (name, place) in [
            ("pos_embed", Place::Positions),
            (
                "module.backbone.blocks.11.attn.proj.bias",
                parameter("vit.blocks.11.attn.out_proj.bias"),
            ),
            (
                "model.blocks.0.ls2.gamma",
                parameter("vit.blocks.0.ls2.gamma"),
            ),
            ("fc_norm.weight", Place::Nowhere),
            ("head.weight", Place::Nowhere),
            ("decoder_blocks.0.norm1.weight", Place::Nowhere),
            ("cls_token", Place::Tokens),
            ("reg_token", Place::Tokens),
            ("mask_token", Place::Nowhere),
            ("blocks.0.attn.q_norm.weight", Place::Foreign),
            ("norm_pre.weight", Place::Foreign),
            ("patch_embed.backbone.stem.conv.weight", Place::Foreign),
        ] {
            assert_eq!(Scheme::Timm.place(name), place, "{name}");
        }
        for (name, place) in [
            ("vit.embeddings.position_embeddings", Place::Positions),
            (
                "deit.encoder.layer.3.attention.attention.value.bias",
                Place::Third("vit.blocks.3.attn.qkv.bias".to_owned(), 2),
            ),
            (
                "vit.encoder.layer.3.output.dense.bias",
                parameter("vit.blocks.3.mlp.linear2.bias"),
            ),
            (
                "vit.encoder.layer.3.attention.output.dense.bias",
                parameter("vit.blocks.3.attn.out_proj.bias"),
            ),
            (
                "encoder.layer.3.layer_scale1.lambda1",
                parameter("vit.blocks.3.ls1.gamma"),
            ),
            (
                "decoder.decoder_encoder.layer.0.layernorm_before.bias",
                Place::Nowhere,
            ),
            ("pooler.dense.weight", Place::Nowhere),
            ("encoder.layer.0.mlp.weights_in.weight", Place::Foreign),
            ("encoder.mid_position_embeddings", Place::Foreign),
            ("dinov2.embeddings.register_tokens", Place::Tokens),
        ] {
            assert_eq!(Scheme::Transformers.place(name), place, "{name}");
        }
    }

    #[test]
    fn a_scheme_is_known_by_its_patch_embedding() {
        let of = |name: &str| Scheme::of([name].into_iter());
        assert_eq!(of("model.patch_embed.proj.weight"), Some(Scheme::Timm));
        assert_eq!(
            of("vit.embeddings.patch_embeddings.projection.weight"),
            Some(Scheme::Transformers)
        );
        assert_eq!(of("layer1.0.conv1.weight"), None);
    }
}
