//! Operations on rows of tokens: layer normalisation, what surrounds matrix products, attention.

use candle_core::{DType, Result, Tensor, bail};

use super::launch::vectors;
use super::{Array, Launch, args, gemm, launch};
use crate::{Gelu, Precision};

/// A parameter in f32.
pub(crate) fn parameter(tensor: &Tensor) -> Result<Array> {
    Array::of(tensor)?.to_dtype(DType::F32)
}

/// Sizes of an array as rows of its last dimension.
fn shape(xs: &Array) -> (usize, usize) {
    let width = xs.dims().last().copied().unwrap_or(1);
    (xs.count() / width, width)
}

/// The dimensions of an array whose rows have another width.
fn with_width(xs: &Array, width: usize) -> Vec<usize> {
    let mut dims = xs.dims().to_vec();
    if let Some(last) = dims.last_mut() {
        *last = width;
    }
    dims
}

/// A layer normalisation that has been computed.
#[derive(Debug)]
pub(crate) struct LayerNorm {
    pub(crate) result: Array,
    /// `[rows, 2]`: mean and 1 / deviation.
    statistics: Array,
}

impl LayerNorm {
    pub(crate) fn new(xs: &Array, weight: &Array, bias: &Array, eps: f64) -> Result<Self> {
        let (rows, width) = shape(xs);
        let result = Array::empty(xs.device(), xs.dtype(), xs.dims())?;
        let statistics = Array::empty(xs.device(), DType::F32, [rows, 2])?;
        let args = args![xs, weight, bias, &result, &statistics, rows, width, eps];
        let kernel = format!("layer_norm_{}", vectors(xs.dtype(), width).1);
        launch(xs.device(), "encoder", &kernel, Launch::rows(rows), args)?;
        Ok(Self { result, statistics })
    }

    /// What the backward pass needs beside the arguments.
    pub(crate) fn statistics(&self) -> Array {
        self.statistics.clone()
    }
}

/// The gradient of a layer normalisation's input, plus one that comes around it, and those of weight
/// and bias.
pub(crate) fn layer_norm_backward(
    grads: &Array,
    xs: &Array,
    weight: &Array,
    statistics: &Array,
    around: Option<&Array>,
) -> Result<(Array, Array, Array)> {
    let (rows, width) = shape(xs);
    let x_grads = Array::empty(xs.device(), xs.dtype(), xs.dims())?;
    let args = args![grads, xs, weight, statistics, around, &x_grads, rows, width];
    let kernel = format!("layer_norm_gradient_{}", vectors(xs.dtype(), width).1);
    launch(xs.device(), "encoder", &kernel, Launch::rows(rows), args)?;
    let (of_bias, Some(of_weight)) = column_sums(grads, Some((xs, statistics)))? else {
        bail!("a layer normalisation without the gradient of its weight");
    };
    Ok((x_grads, of_weight, of_bias))
}

/// The sums of columns, the gradient of a bias; with a normalised input also those of its products with
/// the gradient.
fn column_sums(
    grads: &Array,
    normalised: Option<(&Array, &Array)>,
) -> Result<(Array, Option<Array>)> {
    let (rows, width) = shape(grads);
    let device = grads.device();
    let kinds = if normalised.is_some() { 2 } else { 1 };
    let (vector, suffix) = vectors(grads.dtype(), width);
    let across = width.div_ceil(32 * vector);
    let chunks = (1024 / across).clamp(1, rows.div_ceil(32));
    let partial = Array::empty(device, DType::F32, [chunks, kinds * width])?;
    let args = args![
        grads,
        normalised.map(|(xs, _)| xs),
        normalised.map(|(_, statistics)| statistics),
        &partial,
        rows,
        width
    ];
    let size = Launch {
        grid: [across, chunks, 1],
        block: [32, 8, 1],
        shared: 0,
    };
    launch(
        device,
        "encoder",
        &format!("column_sums_{suffix}"),
        size,
        args,
    )?;
    let second = match normalised {
        Some(_) => Some(Array::empty(device, DType::F32, [width])?),
        None => None,
    };
    Ok((
        column_totals(&partial, second.as_ref(), chunks, width)?,
        second,
    ))
}

/// The sums of chunks `[chunks, width]`; those of a second kind, which follows in each chunk, into
/// `second`.
pub(crate) fn column_totals(
    partial: &Array,
    second: Option<&Array>,
    chunks: usize,
    width: usize,
) -> Result<Array> {
    let first = Array::empty(partial.device(), DType::F32, [width])?;
    let columns = if second.is_some() { 2 * width } else { width };
    let args = args![partial, &first, second, chunks, width];
    launch(
        partial.device(),
        "encoder",
        "column_totals",
        Launch::rows(columns),
        args,
    )?;
    Ok(first)
}

/// A fully connected layer whose weight is in the numbers of its input.
#[derive(Debug, Clone)]
pub(crate) struct Layer {
    /// `[out, in]`
    weight: Array,
    bias: Option<Array>,
    precision: Precision,
}

impl Layer {
    pub(crate) fn new(
        weight: &Tensor,
        bias: Option<&Tensor>,
        numbers: (Precision, DType),
    ) -> Result<Self> {
        let (precision, dtype) = numbers;
        Ok(Self {
            weight: Array::of(weight)?.to_dtype(dtype)?,
            bias: bias.map(parameter).transpose()?,
            precision,
        })
    }

    pub(crate) fn bias(&self) -> Option<&Array> {
        self.bias.as_ref()
    }

    /// `x · Wᵀ`, without the bias.
    pub(crate) fn product(&self, xs: &Array) -> Result<Array> {
        let (rows, inputs) = shape(xs);
        let outputs = self.weight.dims()[0];
        let ys = Array::empty(xs.device(), xs.dtype(), [rows, outputs])?;
        gemm(
            &xs.reshape([rows, inputs]),
            self.weight.t(),
            &ys,
            false,
            self.precision,
        )?;
        Ok(ys.into_shape(with_width(xs, outputs)))
    }

    /// `x · Wᵀ + b + residual`
    pub(crate) fn forward(&self, xs: &Array, residual: Option<&Array>) -> Result<Array> {
        let ys = self.product(xs)?;
        match (&self.bias, residual) {
            (None, None) => Ok(ys),
            (bias, residual) => bias_residual(&ys, bias.as_ref(), residual),
        }
    }

    pub(crate) fn input_gradient(&self, grads: &Array) -> Result<Array> {
        let (rows, outputs) = shape(grads);
        let inputs = self.weight.dims()[1];
        let x_grads = Array::empty(grads.device(), grads.dtype(), [rows, inputs])?;
        gemm(
            &grads.reshape([rows, outputs]),
            &self.weight,
            &x_grads,
            false,
            self.precision,
        )?;
        Ok(x_grads.into_shape(with_width(grads, inputs)))
    }

    /// In f32.
    pub(crate) fn weight_gradient(&self, grads: &Array, xs: &Array) -> Result<Array> {
        weight_gradient(grads, xs, self.precision)
    }

    pub(crate) fn bias_gradient(&self, grads: &Array) -> Result<Option<Array>> {
        self.bias.as_ref().map(|_| bias_gradient(grads)).transpose()
    }
}

/// `gradsᵀ · xs` in f32, the gradient of a weight.
pub(crate) fn weight_gradient(grads: &Array, xs: &Array, precision: Precision) -> Result<Array> {
    let ((rows, outputs), (_, inputs)) = (shape(grads), shape(xs));
    let gradient = Array::empty(grads.device(), DType::F32, [outputs, inputs])?;
    let (grads, xs) = (grads.reshape([rows, outputs]), xs.reshape([rows, inputs]));
    gemm(grads.t(), &xs, &gradient, false, precision)?;
    Ok(gradient)
}

/// The sums of the columns in f32.
pub(crate) fn bias_gradient(grads: &Array) -> Result<Array> {
    Ok(column_sums(grads, None)?.0)
}

/// `x + bias` on every row.
pub(crate) fn add_bias(xs: &Array, bias: &Array) -> Result<Array> {
    bias_residual(xs, Some(bias), None)
}

fn bias_residual(xs: &Array, bias: Option<&Array>, residual: Option<&Array>) -> Result<Array> {
    let (rows, width) = shape(xs);
    let ys = Array::empty(xs.device(), xs.dtype(), xs.dims())?;
    let (vector, suffix) = vectors(xs.dtype(), width);
    let args = args![xs, bias, residual, &ys, rows, width];
    let threads = Launch::each(xs.count() / vector);
    launch(
        xs.device(),
        "encoder",
        &format!("bias_residual_{suffix}"),
        threads,
        args,
    )?;
    Ok(ys)
}

/// `gelu(x + bias)`
pub(crate) fn bias_gelu(xs: &Array, bias: Option<&Array>, gelu: Gelu) -> Result<Array> {
    let (rows, width) = shape(xs);
    let ys = Array::empty(xs.device(), xs.dtype(), xs.dims())?;
    let (vector, suffix) = vectors(xs.dtype(), width);
    let args = args![xs, bias, &ys, rows, width, gelu == Gelu::Tanh];
    let threads = Launch::each(xs.count() / vector);
    launch(
        xs.device(),
        "encoder",
        &format!("bias_gelu_{suffix}"),
        threads,
        args,
    )?;
    Ok(ys)
}

/// The gradient of [`bias_gelu`]'s input.
pub(crate) fn bias_gelu_backward(
    grads: &Array,
    xs: &Array,
    bias: Option<&Array>,
    gelu: Gelu,
) -> Result<Array> {
    let (rows, width) = shape(xs);
    let x_grads = Array::empty(xs.device(), xs.dtype(), xs.dims())?;
    let (vector, suffix) = vectors(xs.dtype(), width);
    let args = args![grads, xs, bias, &x_grads, rows, width, gelu == Gelu::Tanh];
    let threads = Launch::each(xs.count() / vector);
    launch(
        xs.device(),
        "encoder",
        &format!("bias_gelu_gradient_{suffix}"),
        threads,
        args,
    )?;
    Ok(x_grads)
}

/// Sizes of a multi-head attention.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Heads {
    pub(crate) batch: usize,
    pub(crate) tokens: usize,
    pub(crate) heads: usize,
    pub(crate) size: usize,
    pub(crate) precision: Precision,
}

impl Heads {
    fn scale(&self) -> f64 {
        1. / (self.size as f64).sqrt()
    }

    /// Between `[batch, tokens, kinds, heads, size]` and `[kinds, batch · heads, tokens, size]`.
    fn exchange(
        &self,
        xs: &Array,
        bias: Option<&Array>,
        kinds: usize,
        back: bool,
    ) -> Result<Array> {
        let dims = match back {
            true => vec![self.batch, self.tokens, kinds * self.heads * self.size],
            false => vec![kinds, self.batch * self.heads, self.tokens, self.size],
        };
        let ys = Array::empty(xs.device(), xs.dtype(), dims)?;
        let (vector, suffix) = vectors(xs.dtype(), self.size);
        let args = args![
            xs,
            bias,
            &ys,
            self.batch,
            self.tokens,
            kinds,
            self.heads,
            self.size,
            back
        ];
        let threads = Launch::each(xs.count() / vector);
        launch(
            xs.device(),
            "encoder",
            &format!("heads_{suffix}"),
            threads,
            args,
        )?;
        Ok(ys)
    }

    /// Queries, keys and values of every head, `[3, batch · heads, tokens, size]`, from the packed ones,
    /// to which the bias is still to be added.
    pub(crate) fn split(&self, packed: &Array, bias: Option<&Array>) -> Result<Array> {
        self.exchange(packed, bias, 3, false)
    }

    /// `[batch · heads, tokens, tokens]`
    fn weights(&self, qkv: &Array) -> Result<Array> {
        let count = self.batch * self.heads;
        let scores = Array::empty(qkv.device(), qkv.dtype(), [count, self.tokens, self.tokens])?;
        let (queries, keys) = (qkv.at(0), qkv.at(1));
        gemm(&queries, keys.t(), &scores, false, self.precision)?;
        let rows = count * self.tokens;
        let args = args![&scores, rows, self.tokens, self.scale()];
        let kernel = format!("softmax_{}", vectors(qkv.dtype(), self.tokens).1);
        launch(qkv.device(), "encoder", &kernel, Launch::rows(rows), args)?;
        Ok(scores)
    }

    /// What every head mixes, `[batch, tokens, heads · size]`.
    pub(crate) fn forward(&self, qkv: &Array) -> Result<Array> {
        let weights = self.weights(qkv)?;
        let values = qkv.at(2);
        let mixed = Array::empty(qkv.device(), qkv.dtype(), values.dims())?;
        gemm(&weights, &values, &mixed, false, self.precision)?;
        self.exchange(&mixed, None, 1, true)
    }

    /// The gradient of the packed queries, keys and values, `[batch, tokens, 3 · heads · size]`; the
    /// weights are computed again.
    pub(crate) fn backward(&self, grads: &Array, qkv: &Array) -> Result<Array> {
        let grads = self.exchange(grads, None, 1, false)?.at(0);
        let weights = self.weights(qkv)?;
        let (queries, keys, values) = (qkv.at(0), qkv.at(1), qkv.at(2));
        let result = Array::empty(qkv.device(), qkv.dtype(), qkv.dims())?;
        gemm(weights.t(), &grads, &result.at(2), false, self.precision)?;
        let scores = Array::empty(qkv.device(), qkv.dtype(), weights.dims())?;
        gemm(&grads, values.t(), &scores, false, self.precision)?;
        let rows = self.batch * self.heads * self.tokens;
        let args = args![&weights, &scores, rows, self.tokens, self.scale()];
        let kernel = format!("softmax_gradient_{}", vectors(qkv.dtype(), self.tokens).1);
        launch(qkv.device(), "encoder", &kernel, Launch::rows(rows), args)?;
        gemm(&scores, &keys, &result.at(0), false, self.precision)?;
        gemm(scores.t(), &queries, &result.at(1), false, self.precision)?;
        self.exchange(&result, None, 3, true)
    }
}
