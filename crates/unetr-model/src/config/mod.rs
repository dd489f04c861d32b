//! Configurations: plain data, read from and written to JSON, checked once by `validate`.

mod presets;
mod unetr;
mod validate;
mod vit;

pub use unetr::{BlockKind, DecoderConfig, NormConfig, RunningVariance, UnetrConfig, Upsampling};
pub(crate) use validate::check_held;
pub use vit::{PatchProjection, VitConfig};
