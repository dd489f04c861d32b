//! Training segmentation networks on Candle: losses, optimisers, schedules, trainer, checkpoints and reports.
