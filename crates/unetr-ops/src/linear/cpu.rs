use candle_core::backend::BackendStorage as _;
use candle_core::{
    CpuStorage, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor, WithDType as _,
};

use crate::cpu::{Matrix, MatrixMut, Real, Threads, elements, for_real, gemm};

pub(super) fn linear(xs: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    let (xs, weight) = (xs.contiguous()?, weight.contiguous()?);
    match bias {
        Some(bias) => xs.apply_op3(&weight, &bias.contiguous()?, Linear),
        None => xs.apply_op2(&weight, Linear),
    }
}

struct Linear;

/// `xs · weightᵀ + bias`
fn forward<T: Real>(xs: &[T], weight: &[T], bias: Option<&[T]>, shape: (usize, usize)) -> Vec<T> {
    let (outputs, inputs) = shape;
    let rows = xs.len() / inputs.max(1);
    let mut ys = vec![T::zero(); rows * outputs];
    if let Some(bias) = bias {
        for row in ys.chunks_exact_mut(outputs.max(1)) {
            row.copy_from_slice(bias);
        }
    }
    let mut out = MatrixMut {
        data: &mut ys,
        rows,
        columns: outputs,
        row_stride: outputs,
    };
    let (xs, weight) = (
        Matrix::new(xs, rows, inputs),
        Matrix::new(weight, outputs, inputs),
    );
    gemm(&mut out, bias.is_some(), xs, weight.t(), Threads::All);
    ys
}

fn output_shape(xs: &Layout, weight: &Layout) -> Result<((usize, usize), Shape)> {
    let (outputs, inputs) = weight.shape().dims2()?;
    let mut dims = xs.dims().to_vec();
    if let Some(last) = dims.last_mut() {
        *last = outputs;
    }
    Ok(((outputs, inputs), Shape::from(dims)))
}

/// The gradients of the input and of the weight.
fn backward(
    xs: &Tensor,
    weight: &Tensor,
    grad: &Tensor,
) -> Result<(Option<Tensor>, Option<Tensor>)> {
    let (outputs, inputs) = weight.dims2()?;
    let rows = grad.elem_count() / outputs;
    let grad = grad.reshape((rows, outputs))?;
    let of_xs = match xs.track_op() {
        true => Some(grad.matmul(&weight.detach())?.reshape(xs.shape())?),
        false => None,
    };
    let of_weight = match weight.track_op() {
        true => Some(grad.t()?.matmul(&xs.detach().reshape((rows, inputs))?)?),
        false => None,
    };
    Ok((of_xs, of_weight))
}

impl CustomOp2 for Linear {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn cpu_fwd(
        &self,
        xs: &CpuStorage,
        xs_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (size, shape) = output_shape(xs_layout, weight_layout)?;
        for_real!(xs, T => {
            let xs: &[T] = elements(xs, xs_layout)?;
            let ys = forward(xs, elements(weight, weight_layout)?, None, size);
            Ok((T::to_cpu_storage_owned(ys), shape))
        })
    }

    fn bwd(
        &self,
        xs: &Tensor,
        weight: &Tensor,
        _res: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        backward(xs, weight, &grad.contiguous()?)
    }
}

impl CustomOp3 for Linear {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn cpu_fwd(
        &self,
        xs: &CpuStorage,
        xs_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
        bias: &CpuStorage,
        bias_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (size, shape) = output_shape(xs_layout, weight_layout)?;
        for_real!(xs, T => {
            let xs: &[T] = elements(xs, xs_layout)?;
            let weight = elements(weight, weight_layout)?;
            let ys = forward(xs, weight, Some(elements(bias, bias_layout)?), size);
            Ok((T::to_cpu_storage_owned(ys), shape))
        })
    }

    fn bwd(
        &self,
        xs: &Tensor,
        weight: &Tensor,
        bias: &Tensor,
        _res: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let grad = grad.contiguous()?;
        let (of_xs, of_weight) = backward(xs, weight, &grad)?;
        let of_bias = match bias.track_op() {
            true => Some(grad.reshape(((), bias.elem_count()))?.sum(0)?),
            false => None,
        };
        Ok((of_xs, of_weight, of_bias))
    }
}
