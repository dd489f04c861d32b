use candle_core::{DType, Result, Tensor};

use super::graph::{Gradient, Operation, Pass};
use super::launch::{Arg, suffix, vectors};
use super::rows::{column_totals, parameter};
use super::{Array, Launch, Map, args, launch};

/// The last layer of a network for segmentation: a 1×1 convolution from a map to a few planes of
/// scores in f32.
#[derive(Debug)]
pub(crate) struct Head {
    input: Map,
    /// `[classes, channels]`
    weight: Array,
    bias: Option<Array>,
    classes: usize,
}

impl Head {
    pub(crate) fn new(input: Map, weight: &Tensor, bias: Option<&Tensor>) -> Result<Self> {
        Ok(Self {
            classes: weight.dim(0)?,
            weight: parameter(weight)?,
            bias: bias.map(parameter).transpose()?,
            input,
        })
    }

    /// `[batch, classes, height, width]`
    pub(crate) fn forward(&self) -> Result<Array> {
        let map = &self.input;
        let dims = [map.batch, self.classes, map.height, map.width];
        let scores = Array::empty(map.array.device(), DType::F32, dims)?;
        let args = args![
            &map.array,
            &self.weight,
            self.bias.as_ref(),
            &scores,
            map.batch,
            map.pixels(),
            map.channels,
            self.classes
        ];
        self.for_pixels("head", args)?;
        Ok(scores)
    }

    /// Runs a kernel with a thread for each pixel, which reads vectors of its channels.
    fn for_pixels(&self, kernel: &str, args: &[Arg]) -> Result<()> {
        let Map {
            array, channels, ..
        } = &self.input;
        let kernel = format!("{kernel}_{}", vectors(array.dtype(), *channels).1);
        let threads = Launch::each(array.count() / channels);
        launch(array.device(), "maps", &kernel, threads, args)
    }

    /// The gradients of the matrix and, behind each of its rows, of the bias: `[classes, channels + 1]`.
    fn sums(&self, grads: &Array) -> Result<Array> {
        let map = &self.input;
        let (device, width) = (map.array.device(), map.channels + 1);
        let rows = (256 / width).max(1);
        let blocks = (map.batch * map.pixels())
            .div_ceil(rows * 64)
            .clamp(1, 1056);
        let partial = Array::empty(device, DType::F32, [blocks, self.classes * width])?;
        let args = args![
            grads,
            &map.array,
            &partial,
            map.batch,
            map.pixels(),
            map.channels,
            self.classes
        ];
        let size = Launch {
            grid: [blocks, 1, 1],
            block: [width, rows, 1],
            shared: width * rows * size_of::<f32>(),
        };
        let kernel = format!("head_weight_{}", suffix(map.array.dtype()));
        launch(device, "maps", &kernel, size, args)?;
        column_totals(&partial, None, blocks, self.classes * width)
    }
}

impl Operation for Head {
    fn backward(&self, pass: Pass<'_>) -> Result<Vec<Option<Gradient>>> {
        let map = &self.input;
        let grads = pass.grads.to_dtype(DType::F32)?;
        let of_input = match pass.wanted[0] {
            true => {
                let of_input = map.like(map.channels)?;
                let args = args![
                    &grads,
                    &self.weight,
                    &of_input.array,
                    map.batch,
                    map.pixels(),
                    map.channels,
                    self.classes
                ];
                self.for_pixels("head_gradient", args)?;
                Some(Gradient::Map(of_input.array))
            }
            false => None,
        };
        // Rows of the matrix, each with its number of the bias behind it.
        let rows = [1, 1, self.classes, map.channels + 1];
        let sums = Map::new(self.sums(&grads)?, rows);
        let dims = [self.classes, map.channels, 1, 1];
        let weight = sums.channels(0, map.channels)?.array.into_shape(dims);
        let mut gradients = vec![of_input, Some(Gradient::Rows(weight))];
        if self.bias.is_some() {
            let bias = sums.channels(map.channels, 1)?.array;
            gradients.push(Some(Gradient::Rows(bias.into_shape([self.classes]))));
        }
        Ok(gradients)
    }
}
