//! A whole training step of a small network.

use std::time::Instant;

use anyhow::Result;
use candle_core::{DType, Device, Tensor};
use unetr::model::{Mode, Parameters, Unetr, UnetrConfig};
use unetr::ops::backward;
use unetr::train::{Adam, AdamConfig, Loss, Optimizer, SumLoss};

use crate::flops;
use crate::row::{Case, Work};
use crate::suite::{Suite, Timed};

const BATCH: usize = 8;
const SIZE: usize = 128;

/// Forward with the loss; backward with Adam.
pub(crate) fn training_step(suite: &mut Suite) -> Result<()> {
    let cfg = UnetrConfig {
        hidden_size: 192,
        mlp_size: 768,
        heads: 4,
        ..UnetrConfig::tutorial()
    }
    .with_image_size([SIZE; 2]);
    let case = Case {
        op: "training step",
        shape: &format!("[{BATCH},3,{SIZE},{SIZE}], hidden {}", cfg.hidden_size),
        work: Work::product(forward_flops(&cfg)),
        images: Some(BATCH),
    };
    if !suite.wants(&case) {
        return Ok(());
    }
    let device = Device::Cpu;
    let parameters = Parameters::new(0, DType::F32, &device);
    let model = Unetr::new(&cfg, parameters.var_builder())?;
    let mut adam = Adam::new(parameters.trainable(), AdamConfig::default())?;
    let images = Tensor::randn(0f32, 1f32, (BATCH, 3, SIZE, SIZE), &device)?;
    let masks: Vec<u8> = (0..BATCH * SIZE * SIZE)
        .map(|i| (i % cfg.classes) as u8)
        .collect();
    let masks = Tensor::from_vec(masks, (BATCH, SIZE, SIZE), &device)?;
    let objective = SumLoss::tutorial();
    suite.measure(&case, || {
        let start = Instant::now();
        let logits = model.forward(&images, Mode::Train { seed: 0 })?;
        let loss = objective
            .compute(&logits, &masks)
            .map_err(candle_core::Error::wrap)?
            .total;
        let forward = start.elapsed();
        let gradients = backward(&loss)?;
        adam.step(&gradients, 0.003)
            .map_err(candle_core::Error::wrap)?;
        drop((logits, loss, gradients));
        let backward = Some(start.elapsed() - forward);
        Ok(Timed { forward, backward })
    })?;
    Ok(())
}

/// Of the products alone, which are nearly all of it.
fn forward_flops(cfg: &UnetrConfig) -> usize {
    let (grid, hidden, feature) = (SIZE / 16, cfg.hidden_size, cfg.feature_size);
    let conv = |inputs, outputs, kernel, size| flops::conv(BATCH, inputs, outputs, kernel, size);
    // Doubles the size to that of its output: every pixel of it comes from one of the input.
    let up = |inputs, outputs, size| conv(inputs, outputs, 1, size);
    let residual = |inputs, outputs, size| flops::residual_block(BATCH, inputs, outputs, size);
    // Its shortcut is no convolution.
    let plain = |channels, size| 2 * conv(channels, channels, 3, size);

    let patches = conv(3, hidden, 16, grid);
    let transformer = cfg.layers * flops::encoder_block(BATCH, grid * grid, hidden, cfg.mlp_size);
    let [f2, f4, f8] = [2, 4, 8].map(|times| times * feature);
    let [s2, s4, s8, s16] = [2, 4, 8, 16].map(|times| times * grid);
    let encoders = residual(3, feature, s16)
        + (up(hidden, f2, s2) + up(f2, f2, s4) + plain(f2, s4) + up(f2, f2, s8) + plain(f2, s8))
        + (up(hidden, f4, s2) + up(f4, f4, s4) + plain(f4, s4))
        + up(hidden, f8, s2);
    let decoders = up(hidden, f8, s2)
        + residual(2 * f8, f8, s2)
        + up(f8, f4, s4)
        + residual(2 * f4, f4, s4)
        + up(f4, f2, s8)
        + residual(2 * f2, f2, s8)
        + up(f2, feature, s16)
        + residual(2 * feature, feature, s16);
    patches + transformer + encoders + decoders + conv(feature, cfg.classes, 1, s16)
}
