//! Optimisers as data.

mod adadelta;
mod adagrad;
mod adamax;
mod candle;
mod decay;
mod nadam;
mod optimizer_config;
mod radam;
mod rmsprop;
mod setting;
mod sgd;

pub use adadelta::AdadeltaConfig;
pub use adagrad::AdagradConfig;
pub use adamax::AdamaxConfig;
pub use candle::{CandleAdamConfig, CandleAdamWConfig};
pub use decay::DecayKind;
pub use nadam::NAdamConfig;
pub use optimizer_config::OptimizerConfig;
pub use radam::RAdamConfig;
pub use rmsprop::RmsPropConfig;
pub use sgd::SgdConfig;
