//! Steps of a network on made-up images.

use std::time::Instant;

use anyhow::{Result, bail};
use candle_core::{DType, Device, Tensor};
use clap::{Args, ValueEnum};
use serde::Serialize;
use unetr::model::{
    Keep, Mode, Parameters, Precision, Unetr, UnetrConfig, no_grad, with_precision,
};
use unetr::ops::peak_memory;
use unetr::train::{AdamConfig, Loss, MuonConfig, OptimizerConfig, ParameterGroups, SumLoss};

use crate::common;
use crate::common::settings::PrecisionKind;
use crate::line::{Line, VERSIONS};
use crate::time::{Seconds, Stamp, peak_rss_mb};

/// Steps that are not measured.
const WARM_UP: usize = 2;

#[derive(Debug, Args, Serialize)]
pub(crate) struct Network {
    #[arg(long, default_value_t = 128)]
    pub(crate) image_size: usize,
    #[arg(long, default_value_t = 192)]
    pub(crate) hidden: usize,
    #[arg(long, default_value_t = 768)]
    pub(crate) mlp: usize,
    #[arg(long, default_value_t = 4)]
    pub(crate) heads: usize,
    #[arg(long, default_value_t = 16)]
    pub(crate) feature: usize,
    #[arg(long, default_value_t = 12)]
    pub(crate) layers: usize,
    /// 8 in training and 1 in inference by default.
    #[arg(long)]
    pub(crate) batch: Option<usize>,
    /// Measured steps, after two that are not.
    #[arg(long, default_value_t = 15)]
    pub(crate) steps: usize,
    /// Waits for the device, and reads the loss, after every so many of them.
    #[arg(long, default_value_t = 1)]
    pub(crate) wait_every: usize,
    #[arg(long, default_value_t = 2)]
    pub(crate) threads: usize,
    /// Probability of a sample to skip the last encoder block in training.
    #[arg(long, default_value_t = 0.)]
    pub(crate) stochastic_depth: f64,
    /// Learns factors of what the encoder blocks add, which start at this.
    #[arg(long)]
    pub(crate) layer_scale: Option<f64>,
    /// Computes the transformer's blocks again in the backward pass, for less memory.
    #[arg(long)]
    pub(crate) recompute: bool,
    /// Of training.
    #[arg(long, value_enum, default_value = "adam")]
    pub(crate) optimizer: OptimizerKind,
    #[arg(long, value_enum, default_value = "f32")]
    pub(crate) precision: PrecisionKind,
    /// auto, cpu or cuda:N.
    #[arg(long, default_value = "cpu")]
    pub(crate) device: String,
}

#[derive(Debug, Clone, Copy, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum OptimizerKind {
    Adam,
    Muon,
}

pub(crate) fn train(network: Network, start: Instant) -> Result<()> {
    let prepared = Prepared::new(Network {
        batch: network.batch.or(Some(8)),
        ..network
    })?;
    let Prepared {
        images,
        masks,
        parameters,
        ..
    } = &prepared;
    let optimizer = match prepared.case.optimizer {
        OptimizerKind::Adam => OptimizerConfig::Adam(AdamConfig::default()),
        OptimizerKind::Muon => OptimizerConfig::Muon(MuonConfig::default()),
    };
    let mut optimizer = optimizer.build(parameters.trainable(), &ParameterGroups::default())?;
    prepared.measure("train", start, |step| {
        let mode = Mode::Train { seed: step as u64 };
        let logits = with_precision(prepared.precision, || prepared.model.forward(images, mode))?;
        let loss = SumLoss::tutorial().compute(&logits, masks)?.total;
        optimizer.minimise(&loss, 0.003)?;
        Ok(Some(loss))
    })
}

pub(crate) fn infer(network: Network, start: Instant) -> Result<()> {
    let prepared = Prepared::new(Network {
        batch: network.batch.or(Some(1)),
        ..network
    })?;
    prepared.measure("infer", start, |_| {
        let forward = || prepared.model.forward(&prepared.images, Mode::Eval);
        no_grad(|| with_precision(prepared.precision, forward))?;
        Ok(None)
    })
}

/// A network with the same made-up images and masks in every run.
pub(crate) struct Prepared {
    pub(crate) case: Network,
    pub(crate) precision: Precision,
    pub(crate) parameters: Parameters,
    pub(crate) model: Unetr,
    pub(crate) images: Tensor,
    pub(crate) masks: Tensor,
}

impl Prepared {
    pub(crate) fn new(case: Network) -> Result<Self> {
        common::device::compute_threads(case.threads)?;
        let device = common::device::device(&case.device)?;
        let cfg = UnetrConfig {
            hidden_size: case.hidden,
            mlp_size: case.mlp,
            heads: case.heads,
            feature_size: case.feature,
            layers: case.layers,
            stochastic_depth: case.stochastic_depth,
            layer_scale: case.layer_scale,
            ..UnetrConfig::tutorial()
        }
        .with_image_size([case.image_size; 2]);
        let parameters = Parameters::new(0, DType::F32, &device);
        let mut model = Unetr::new(&cfg, parameters.var_builder())?;
        if case.recompute {
            model.set_keep(Keep::Input);
        }
        let (images, masks) = batch(&case, &device)?;
        let precision = Precision::from(case.precision);
        if !precision.is_supported(&device) {
            bail!("this device does not compute in {precision}: measure with --precision f32");
        }
        Ok(Self {
            precision,
            case,
            parameters,
            model,
            images,
            masks,
        })
    }

    /// Measures a step, which may give its loss.
    fn measure(
        &self,
        bench: &'static str,
        start: Instant,
        mut step: impl FnMut(usize) -> Result<Option<Tensor>>,
    ) -> Result<()> {
        let mut losses = Vec::new();
        let mut stamps = Vec::new();
        let mut first_call_s = None;
        let device = self.images.device();
        for n in 0..self.case.steps.max(1) + WARM_UP {
            if n == WARM_UP {
                stamps.push(Stamp::now()?);
            }
            let mut loss = None;
            for _ in 0..self.case.wait_every {
                loss = step(n)?;
            }
            losses.push(loss.map(|loss| loss.to_scalar::<f32>()).transpose()?);
            device.synchronize()?;
            first_call_s.get_or_insert_with(|| start.elapsed().as_secs_f64());
            if n >= WARM_UP {
                stamps.push(Stamp::now()?);
            }
        }
        let seconds = Seconds::between(&stamps);
        Line {
            bench,
            images_per_s: (self.images.dim(0)? * self.case.wait_every) as f64 / seconds.median_s,
            seconds,
            first_call_s,
            peak_rss_mb: peak_rss_mb()?,
            peak_device_mb: peak_memory(device)?
                .map(|peak| [peak.used, peak.reserved].map(|bytes| bytes as f64 / 1e6)),
            versions: VERSIONS,
            params: Some(self.parameters.count()),
            loss_first: losses[0],
            loss_last: losses[losses.len() - 1],
            case: &self.case,
            pipeline: None,
        }
        .print()
    }
}

fn batch(case: &Network, device: &Device) -> Result<(Tensor, Tensor)> {
    let (count, size) = (case.batch.unwrap_or(1), case.image_size);
    let pixels = count * size * size;
    let hash = |i: usize| (i as u32).wrapping_mul(2_654_435_761) >> 8;
    let images: Vec<f32> = (0..3 * pixels)
        .map(|i| hash(i) as f32 / (1 << 23) as f32 - 1.)
        .collect();
    let masks: Vec<u8> = (0..pixels).map(|i| (hash(i) % 3) as u8).collect();
    let images = Tensor::from_vec(images, (count, 3, size, size), device)?;
    Ok((
        images,
        Tensor::from_vec(masks, (count, size, size), device)?,
    ))
}
