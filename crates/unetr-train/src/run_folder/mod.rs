//! What a training run leaves in its folder.

mod environment;
mod evaluation;
mod folder;

pub use environment::{BuildProfile, Environment};
pub use evaluation::Evaluation;
pub use folder::RunFolder;
