//! Differentiable operations for segmentation networks on Candle, each with a gradient of its own.
