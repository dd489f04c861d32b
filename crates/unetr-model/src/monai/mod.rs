//! Networks of MONAI, in both directions.
//!
//! Parameters have MONAI's names, so that its `state_dict` loads as it is; what a file does not tell is the
//! configuration. [`config`] reads from the shapes what they tell. [`save`] writes a `state_dict` that MONAI 1.6 loads
//! with `strict=True`, and [`constructor`] says which network that is in Python.
//!
//! Loaded files may be of older versions too. What no version computes with is passed over and listed in
//! [`LoadReport::ignored`](crate::LoadReport::ignored):
//!
//! | name | in files of MONAI |
//! | --- | --- |
//! | `vit.patch_embedding.cls_token` | up to 0.8 |
//! | `encoder*.blocks.*.1.conv3`, `….norm3` | up to 0.8 |
//! | `vit.blocks.*.cross_attn` | 1.4 and 1.5 |
//! | `vit.blocks.*.norm_cross_attn` | from 1.4 on |
//! | `num_batches_tracked` | all, with batch normalisation |
//!
//! `scripts/check_monai.py` compares the logits of MONAI's own network in both directions, option by option.
//!
//! Source: <https://docs.monai.io/en/stable/networks.html#unetr>
//!
//! # Examples
//! A checkpoint of MONAI becomes a folder that holds everything:
//! ```no_run
//! use candle_core::{DType, Device};
//! use unetr_model::{Parameters, Unetr, monai};
//!
//! let cfg = monai::config("model.pth", [256, 256], 12)?;
//! let parameters = Parameters::new(0, DType::F32, &Device::Cpu);
//! let model = Unetr::new(&cfg, parameters.var_builder())?;
//! parameters.load_strict("model.pth")?;
//! model.save(&parameters, "model")?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod export;
mod shapes;

pub use export::{constructor, save, state_dict};
pub use shapes::{config, config_of};
