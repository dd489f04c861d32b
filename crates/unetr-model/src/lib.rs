//! The UNETR segmentation network and its Vision Transformer on Candle, with MONAI's parameter names.
