//! Convolutions of maps that keep their resolution: on the matrix units in 16-bit numbers and TF32
//! where the channels are multiples of 16, otherwise as products with patches.

use candle_core::{DType, Result, Tensor};

use super::launch::suffix;
use super::rows::{parameter, weight_gradient};
use super::{Array, Launch, Map, args, gemm, launch};
use crate::Precision;

/// What the kernels on the matrix units need the channels to be a multiple of.
pub(crate) const LANES: usize = 16;

/// Blocks that add up the gradient of a weight.
const BLOCKS: usize = 396;

/// Bytes that patches may take at a time.
const PATCH_BYTES: usize = 512 << 20;

/// A convolution with an odd, square kernel, padded so that the resolution stays.
#[derive(Debug, Clone)]
pub(crate) struct Conv {
    /// `[outputs, inputs, kernel, kernel]` in f32
    weight: Array,
    outputs: usize,
    inputs: usize,
    kernel: usize,
    precision: Precision,
}

impl Conv {
    pub(crate) fn new(weight: &Tensor, precision: Precision) -> Result<Self> {
        let (outputs, inputs, kernel, _) = weight.dims4()?;
        Ok(Self {
            weight: parameter(weight)?,
            outputs,
            inputs,
            kernel,
            precision,
        })
    }

    fn taps(&self) -> usize {
        self.kernel * self.kernel
    }

    /// Channels of the inputs, filled up to those of the maps, which may have more.
    fn padded(&self, inputs: &[&Map]) -> usize {
        inputs
            .iter()
            .map(|map| map.channels)
            .sum::<usize>()
            .max(self.inputs)
    }

    fn on_matrix_units(&self, inputs: &[&Map]) -> bool {
        let fits = |channels: usize| channels.is_multiple_of(LANES);
        self.precision != Precision::Full
            && matches!(self.kernel, 1 | 3)
            && inputs.len() <= 2
            && inputs.iter().all(|map| fits(map.channels))
            && fits(self.outputs)
    }

    /// The weight as `[taps, outputs, padded]`, or reversed as `[taps, padded, outputs]`.
    fn tap_weights(&self, dtype: DType, padded: usize, flip: bool) -> Result<Array> {
        let device = self.weight.device();
        let dims = match flip {
            true => [self.taps(), padded, self.outputs],
            false => [self.taps(), self.outputs, padded],
        };
        let taps = Array::empty(device, dtype, dims)?;
        let args = args![
            &self.weight,
            &taps,
            self.outputs,
            self.inputs,
            self.taps(),
            padded,
            flip
        ];
        let kernel = format!("weight_taps_{}", suffix(dtype));
        launch(device, "maps", &kernel, Launch::each(taps.count()), args)?;
        Ok(taps)
    }

    /// The convolution of maps, one after the other along the channels.
    pub(crate) fn forward(&self, inputs: &[&Map]) -> Result<Map> {
        let (first, padded) = (inputs[0], self.padded(inputs));
        let weight = self.tap_weights(first.array.dtype(), padded, false)?;
        let result = first.like(self.outputs)?;
        if self.on_matrix_units(inputs) {
            correlate(inputs, &weight, 0, padded, self.kernel, &result, false)?;
        } else {
            let all = Map::concatenate(&inputs.iter().copied().cloned().collect::<Vec<_>>())?;
            self.by_patches(&all, &weight, &result, false)?;
        }
        Ok(result)
    }

    /// The gradients of the inputs, of the sizes of these maps, added to what is there already.
    pub(crate) fn input_gradients(
        &self,
        grads: &Map,
        inputs: &[&Map],
        before: Option<Vec<Map>>,
    ) -> Result<Vec<Map>> {
        let padded = self.padded(inputs);
        let weight = self.tap_weights(grads.array.dtype(), padded, true)?;
        let accumulate = before.is_some();
        if self.on_matrix_units(inputs) {
            let results = match before {
                Some(before) => before,
                None => inputs
                    .iter()
                    .map(|map| grads.like(map.channels))
                    .collect::<Result<_>>()?,
            };
            let mut first = 0;
            for result in &results {
                correlate(
                    &[grads],
                    &weight,
                    first * self.outputs,
                    self.outputs,
                    self.kernel,
                    result,
                    accumulate,
                )?;
                first += result.channels;
            }
            return Ok(results);
        }
        let all = match &before {
            Some(before) => Map::concatenate(before)?,
            None => grads.like(padded)?,
        };
        self.by_patches(grads, &weight, &all, accumulate)?;
        if let [_] = inputs {
            return Ok(vec![all]);
        }
        let mut first = 0;
        let parts = inputs.iter().map(|map| {
            first += map.channels;
            all.channels(first - map.channels, map.channels)
        });
        parts.collect()
    }

    /// The gradient of the weight, `[outputs, inputs, kernel, kernel]` in f32.
    pub(crate) fn weight_gradient(&self, grads: &Map, inputs: &[&Map]) -> Result<Array> {
        let device = grads.array.device();
        let padded = self.padded(inputs);
        let (taps, part) = (self.taps(), [self.taps(), self.outputs, padded]);
        let (parts, partial) = if self.on_matrix_units(inputs) {
            weight_parts(grads, inputs, self.kernel)?
        } else {
            // [outputs, taps · padded], as the patches are.
            let all = Map::concatenate(&inputs.iter().copied().cloned().collect::<Vec<_>>())?;
            let sums = Array::empty(device, DType::F32, [self.outputs, taps * padded])?;
            let mut accumulate = false;
            for images in self.parts(&all) {
                let patches = self.patches(&all, images.clone())?;
                let grads = rows(grads, images);
                gemm(grads.t(), &patches, &sums, accumulate, self.precision)?;
                accumulate = true;
            }
            let partial = Array::empty(device, DType::F32, part)?;
            exchange(&sums, &partial, self.outputs, taps, padded)?;
            (1, partial)
        };
        let gradient = Array::empty(device, DType::F32, self.weight.dims())?;
        let args = args![
            &partial,
            &gradient,
            parts,
            self.outputs,
            self.inputs,
            taps,
            padded
        ];
        launch(
            device,
            "maps",
            "weight_totals",
            Launch::each(gradient.count()),
            args,
        )?;
        Ok(gradient)
    }

    /// Images whose patches are there at a time.
    fn parts(&self, map: &Map) -> Vec<std::ops::Range<usize>> {
        let image = map.pixels() * self.taps() * map.channels * map.array.dtype().size_in_bytes();
        let images = (PATCH_BYTES / image).clamp(1, map.batch);
        let starts = (0..map.batch).step_by(images);
        starts
            .map(|start| start..(start + images).min(map.batch))
            .collect()
    }

    /// `[pixels of the images, taps · channels]`
    fn patches(&self, map: &Map, images: std::ops::Range<usize>) -> Result<Array> {
        if self.kernel == 1 {
            return Ok(rows(map, images));
        }
        let width = self.taps() * map.channels;
        let dtype = map.array.dtype();
        let patches = Array::empty(
            map.array.device(),
            dtype,
            [images.len() * map.pixels(), width],
        )?;
        let from = map.array.at(images.start);
        let args = args![
            &from,
            &patches,
            images.len(),
            map.channels,
            map.height,
            map.width,
            map.height,
            map.width,
            self.kernel,
            1,
            self.kernel / 2
        ];
        let kernel = format!("patches_{}", suffix(dtype));
        launch(
            map.array.device(),
            "maps",
            &kernel,
            Launch::each(patches.count()),
            args,
        )?;
        Ok(patches)
    }

    /// The convolution with `weight`, `[taps, outputs, channels]`.
    fn by_patches(&self, map: &Map, weight: &Array, result: &Map, accumulate: bool) -> Result<()> {
        let &[taps, outputs, channels] = weight.dims() else {
            candle_core::bail!("a convolution's weight has shape {:?}", weight.dims());
        };
        let matrix = Array::empty(weight.device(), weight.dtype(), [outputs, taps * channels])?;
        exchange(weight, &matrix, taps, outputs, channels)?;
        for images in self.parts(map) {
            let patches = self.patches(map, images.clone())?;
            gemm(
                &patches,
                matrix.t(),
                &rows(result, images),
                accumulate,
                self.precision,
            )?;
        }
        Ok(())
    }
}

/// The pixels of some images as rows.
fn rows(map: &Map, images: std::ops::Range<usize>) -> Array {
    map.array
        .at(images.start)
        .reshape([images.len() * map.pixels(), map.channels])
}

/// `[rows, columns, width]` to `[columns, rows, width]`.
fn exchange(from: &Array, to: &Array, rows: usize, columns: usize, width: usize) -> Result<()> {
    let args = args![from, None::<&Array>, to, 1, rows, columns, 1, width, false];
    let kernel = format!("heads_{}", suffix(from.dtype()));
    launch(
        from.device(),
        "encoder",
        &kernel,
        Launch::each(from.count()),
        args,
    )
}

/// Parts of the gradient of a weight, `[parts, taps, outputs, inputs]`, from the matrix units.
fn weight_parts(grads: &Map, inputs: &[&Map], kernel: usize) -> Result<(usize, Array)> {
    let device = grads.array.device();
    let outputs = grads.channels;
    let channels: usize = inputs.iter().map(|map| map.channels).sum();
    let tiles = grads.batch * grads.height.div_ceil(8) * grads.width.div_ceil(16);
    let (across, down) = (outputs / LANES, channels / LANES);
    let parts = (BLOCKS / (across * down)).clamp(1, tiles);
    let dims = [parts, kernel * kernel, outputs, channels];
    let partial = Array::empty(device, DType::F32, dims)?;
    let second = inputs.get(1);
    let args = args![
        &grads.array,
        outputs,
        &inputs[0].array,
        inputs[0].channels,
        second.map(|map| &map.array),
        second.map_or(0, |map| map.channels),
        &partial,
        grads.batch,
        grads.height,
        grads.width
    ];
    let size = Launch {
        grid: [parts, across, down],
        block: [128, 1, 1],
        shared: 0,
    };
    let name = format!("conv2d_weight_{kernel}_{}", suffix(grads.array.dtype()));
    launch(device, "conv2d", &name, size, args)?;
    Ok((parts, partial))
}

/// Whether the matrix products at every pixel of large maps with few channels go to the kernels of
/// convolutions, which read such maps faster than cuBLAS does.
fn is_narrow(map: &Map, others: usize, precision: Precision) -> bool {
    let fits = |channels: usize| channels.is_multiple_of(LANES) && channels <= 256;
    precision != Precision::Full && fits(map.channels) && fits(others) && map.pixels() >= 1024
}

/// `[outputs, channels]` times every pixel of a map.
pub(crate) fn pointwise(map: &Map, weight: &Array, precision: Precision) -> Result<Map> {
    let outputs = weight.dims()[0];
    let result = map.like(outputs)?;
    if is_narrow(map, outputs, precision) {
        let weight = weight.reshape([1, outputs, map.channels]);
        correlate(&[map], &weight, 0, map.channels, 1, &result, false)?;
    } else {
        gemm(
            &map.matrix(),
            weight.t(),
            &result.matrix(),
            false,
            precision,
        )?;
    }
    Ok(result)
}

/// The gradient of [`pointwise`]'s weight in f32.
pub(crate) fn pointwise_weight(grads: &Map, map: &Map, precision: Precision) -> Result<Array> {
    if !is_narrow(map, grads.channels, precision) {
        return weight_gradient(&grads.matrix(), &map.matrix(), precision);
    }
    let (outputs, inputs) = (grads.channels, map.channels);
    let (parts, partial) = weight_parts(grads, &[map], 1)?;
    let gradient = Array::empty(partial.device(), DType::F32, [outputs, inputs])?;
    let args = args![&partial, &gradient, parts, outputs, inputs, 1, inputs];
    let threads = Launch::each(gradient.count());
    launch(partial.device(), "maps", "weight_totals", threads, args)?;
    Ok(gradient)
}

/// The kernel on the matrix units: `result` (+)= the convolution of the inputs with a weight `[taps, .., inputs]`
/// from element `offset` of each tap on, its outputs `inputs` elements apart.
fn correlate(
    inputs: &[&Map],
    weight: &Array,
    offset: usize,
    width: usize,
    kernel: usize,
    result: &Map,
    accumulate: bool,
) -> Result<()> {
    let outputs = result.channels;
    let block = [64, 32, 16]
        .into_iter()
        .find(|block| outputs.is_multiple_of(*block))
        .unwrap_or(LANES);
    let second = inputs.get(1);
    let dtype = result.array.dtype();
    let tap: usize = weight.dims()[1..].iter().product();
    let address = weight.address() + (offset * dtype.size_in_bytes()) as u64;
    let args = args![
        &inputs[0].array,
        inputs[0].channels,
        second.map(|map| &map.array),
        second.map_or(0, |map| map.channels),
        super::launch::Arg::Address(address),
        tap as i64,
        width,
        &result.array,
        result.height,
        result.width,
        outputs,
        accumulate
    ];
    let size = Launch {
        grid: [
            result.height.div_ceil(8) * result.width.div_ceil(16),
            result.batch,
            outputs / block,
        ],
        block: [128, 1, 1],
        shared: 0,
    };
    let kernel = format!("conv2d_{kernel}_{block}_{}", suffix(dtype));
    launch(result.array.device(), "conv2d", &kernel, size, args)
}
