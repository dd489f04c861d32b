//! A network in a folder, with all that a photo needs on its way through it.
//!
//! ```text
//! model/
//!     config.json          UnetrConfig
//!     model.safetensors    the parameters, with MONAI's names
//!     preprocessing.json   how photos are resized and normalised
//!     classes.json         what the classes are called and drawn in
//!     README.md            the model card
//! ```
//!
//! The checkpoints of `unetr-train`'s examples have these files too, but for the last.

mod card;
mod load;
mod save;

pub use card::ModelCard;
pub use save::save_pretrained;

const CONFIG: &str = "config.json";
const WEIGHTS: &str = "model.safetensors";
const PREPROCESSING: &str = "preprocessing.json";
const CLASSES: &str = "classes.json";
const CARD: &str = "README.md";
