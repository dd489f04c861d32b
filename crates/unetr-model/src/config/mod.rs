//! Configurations: plain data, read from and written to JSON, checked once by `validate`.

mod presets;
mod tensors;
mod unetr;
mod validate;
mod vit;

pub(crate) use tensors::{check_held, layers};
pub use unetr::{BlockKind, DecoderConfig, NormConfig, RunningVariance, UnetrConfig, Upsampling};
pub use vit::{PatchProjection, VitConfig};
