//! Segmentation metrics: confusion matrix, IoU, Dice, accuracy and running averages, on Candle tensors.
