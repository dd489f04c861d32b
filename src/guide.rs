//! How to do what: a page for each task, beside the reference of every type and function.

#[doc = include_str!("../docs/data.md")]
pub mod data {}

#[doc = include_str!("../docs/model.md")]
pub mod model {}

#[doc = include_str!("../docs/training.md")]
pub mod training {}

#[doc = include_str!("../docs/checkpoints.md")]
pub mod checkpoints {}

#[doc = include_str!("../docs/prediction.md")]
pub mod prediction {}

#[doc = include_str!("../docs/gpu.md")]
pub mod gpu {}

#[doc = include_str!("../docs/performance.md")]
pub mod performance {}

#[doc = include_str!("../docs/extending.md")]
pub mod extending {}

#[doc = include_str!("../docs/numbers.md")]
pub mod numbers {}

#[doc = include_str!("../docs/from-the-tutorial.md")]
pub mod from_the_tutorial {}

#[doc = include_str!("../docs/from-pytorch-and-monai.md")]
pub mod from_pytorch_and_monai {}
