//! Instance normalisation of maps, with the sum and the leaky ReLU that follow it.

use candle_core::{CudaDevice, DType, Result};

use super::launch::{Arg, suffix, vectors};
use super::rows::parameter;
use super::{Array, Launch, Map, args, launch};
use crate::Affine;

/// `[4, batch, channels]`: mean, 1 / deviation, factor and summand of every channel of every image.
#[derive(Debug, Clone)]
pub(crate) struct Statistics(Array);

/// A map and the statistics that normalise it.
#[derive(Debug, Clone)]
pub(crate) struct Normed {
    pub(crate) map: Map,
    statistics: Statistics,
}

/// What is added before the activation.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Shortcut<'a> {
    None,
    Identity(&'a Map),
    Normed(&'a Normed),
}

/// The gradients of a normalisation.
#[derive(Debug)]
pub(crate) struct Gradients {
    pub(crate) input: Map,
    /// Of the shortcut: before its own normalisation, if it has one.
    pub(crate) shortcut: Option<Map>,
    /// Of what is added after the normalisation, and to a normalised shortcut too.
    pub(crate) summand: Array,
    pub(crate) factor: Array,
    /// Of a normalised shortcut.
    pub(crate) shortcut_factor: Array,
}

/// How the pixels of each image are divided among blocks: threads for every channel of some pixels.
struct Division {
    launch: Launch,
    chunks: usize,
    kernel: String,
}

impl Division {
    fn new(map: &Map, kernel: &str) -> Self {
        let (vector, suffix) = vectors(map.array.dtype(), map.channels);
        let lanes = (map.channels / vector).min(256);
        let rows = (256 / lanes).max(1);
        let groups = (map.channels / vector).div_ceil(lanes);
        let chunks = (2048 / map.batch)
            .clamp(1, 256)
            .min(map.pixels().div_ceil(4 * rows))
            .max(1);
        Self {
            launch: Launch {
                grid: [chunks, map.batch, groups],
                block: [lanes, rows, 1],
                shared: lanes * rows * vector * size_of::<f32>(),
            },
            chunks,
            kernel: format!("{kernel}_{suffix}"),
        }
    }

    fn run(&self, device: &CudaDevice, args: &[Arg]) -> Result<()> {
        launch(device, "channel_norm", &self.kernel, self.launch, args)
    }
}

impl Normed {
    /// Measures a map.
    pub(crate) fn new(map: Map, parameters: Option<Affine<'_>>, eps: f64) -> Result<Self> {
        let device = map.array.device().clone();
        let division = Division::new(&map, "norm_sums");
        let partial = Array::empty(
            &device,
            DType::F32,
            [map.batch, division.chunks, 2, map.channels],
        )?;
        let (pixels, channels) = (map.pixels(), map.channels);
        let arguments = args![&map.array, &partial, pixels, channels];
        division.run(&device, arguments)?;
        let (weight, bias) = match parameters {
            Some(Affine { weight, bias }) => (Some(parameter(weight)?), Some(parameter(bias)?)),
            None => (None, None),
        };
        let statistics = Array::empty(&device, DType::F32, [4, map.batch, channels])?;
        let arguments = args![
            &map.array,
            &partial,
            weight.as_ref(),
            bias.as_ref(),
            &statistics,
            map.batch,
            division.chunks,
            pixels,
            channels,
            eps
        ];
        let kernel = format!("norm_statistics_{}", suffix(map.array.dtype()));
        launch(
            &device,
            "channel_norm",
            &kernel,
            Launch::each(map.batch * channels),
            arguments,
        )?;
        Ok(Self {
            map,
            statistics: Statistics(statistics),
        })
    }

    /// `leaky(norm(x) + shortcut)`
    pub(crate) fn apply(&self, shortcut: Shortcut<'_>, slope: f64) -> Result<Map> {
        let map = &self.map;
        let result = map.like(map.channels)?;
        let (residual, residual_statistics) = shortcut.arrays();
        let arguments = args![
            &map.array,
            &self.statistics.0,
            residual,
            residual_statistics,
            &result.array,
            map.pixels(),
            map.channels,
            slope
        ];
        Division::new(map, "norm_apply").run(map.array.device(), arguments)?;
        Ok(result)
    }

    /// The gradients of [`Normed::apply`]; `result` is what it gave, or nothing without a shortcut.
    pub(crate) fn backward(
        &self,
        grads: &Map,
        result: Option<&Map>,
        shortcut: Shortcut<'_>,
        slope: f64,
    ) -> Result<Gradients> {
        let map = &self.map;
        let (device, channels) = (map.array.device(), map.channels);
        let division = Division::new(map, "norm_gradient_sums");
        let partial = Array::empty(
            device,
            DType::F32,
            [map.batch, division.chunks, 3, channels],
        )?;
        let result = result.map(|map| &map.array);
        let (residual, residual_statistics) = shortcut.arrays();
        let arguments = args![
            &grads.array,
            result,
            &map.array,
            &self.statistics.0,
            residual,
            residual_statistics,
            &partial,
            map.pixels(),
            channels,
            slope
        ];
        division.run(device, arguments)?;
        let totals = Array::empty(device, DType::F32, [map.batch, 3, channels])?;
        let arguments = args![&partial, &totals, map.batch, division.chunks, channels];
        let warps = Launch::rows(totals.count());
        launch(
            device,
            "channel_norm",
            "norm_gradient_totals",
            warps,
            arguments,
        )?;
        let vector = || Array::empty(device, DType::F32, [channels]);
        let (summand, factor, shortcut_factor) = (vector()?, vector()?, vector()?);
        let arguments = args![
            &totals,
            &summand,
            &factor,
            &shortcut_factor,
            map.batch,
            channels
        ];
        let warps = Launch::rows(3 * channels);
        launch(
            device,
            "channel_norm",
            "norm_gradient_parameters",
            warps,
            arguments,
        )?;

        let input = map.like(channels)?;
        let of_shortcut = match shortcut {
            Shortcut::None => None,
            Shortcut::Identity(_) | Shortcut::Normed(_) => Some(map.like(channels)?),
        };
        let arguments = args![
            &grads.array,
            result,
            &map.array,
            &self.statistics.0,
            residual,
            residual_statistics,
            &totals,
            &input.array,
            of_shortcut.as_ref().map(|map| &map.array),
            map.pixels(),
            channels,
            slope
        ];
        Division::new(map, "norm_gradient_apply").run(device, arguments)?;
        Ok(Gradients {
            input,
            shortcut: of_shortcut,
            summand,
            factor,
            shortcut_factor,
        })
    }
}

impl Shortcut<'_> {
    fn arrays(&self) -> (Option<&Array>, Option<&Array>) {
        match self {
            Self::None => (None, None),
            Self::Identity(map) => (Some(&map.array), None),
            Self::Normed(normed) => (Some(&normed.map.array), Some(&normed.statistics.0)),
        }
    }
}
