use candle_core::{Result, Tensor};

use super::OP;
use crate::Keep;
use crate::cpu::{Matrix, Real, Threads, add, column_sums, for_each_row, gemm_new};
use crate::many::{self, Backward, Operation};

pub(super) fn linear(xs: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    let layer = Layer::new(weight)?;
    let mut shape = xs.dims().to_vec();
    if let Some(last) = shape.last_mut() {
        *last = layer.outputs;
    }
    let arguments: Vec<&Tensor> = [xs, weight].into_iter().chain(bias).collect();
    many::apply(OP, &arguments, shape, layer)
}

/// The sizes of a layer; kernels on rows of numbers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Layer {
    pub(crate) outputs: usize,
    pub(crate) inputs: usize,
}

impl Layer {
    pub(crate) fn new(weight: &Tensor) -> Result<Self> {
        let (outputs, inputs) = weight.dims2()?;
        Ok(Self { outputs, inputs })
    }

    fn threads(self, rows: usize) -> Threads {
        Threads::for_product(rows * self.outputs * self.inputs)
    }

    fn rows(self, xs: &[impl Sized]) -> usize {
        xs.len() / self.inputs.max(1)
    }

    /// `xs · weightᵀ + bias`
    pub(crate) fn forward<T: Real>(self, xs: &[T], weight: &[T], bias: Option<&[T]>) -> Vec<T> {
        let rows = self.rows(xs);
        let xs = Matrix::new(xs, rows, self.inputs);
        let weight = Matrix::new(weight, self.outputs, self.inputs);
        let mut ys = gemm_new(xs, weight.t(), self.threads(rows));
        if let Some(bias) = bias {
            for_each_row(&mut ys, self.outputs, |row| add(row, bias));
        }
        ys
    }

    /// `grads · weight`
    pub(crate) fn input_gradient<T: Real>(self, grads: &[T], weight: &[T]) -> Vec<T> {
        let rows = grads.len() / self.outputs.max(1);
        let grads = Matrix::new(grads, rows, self.outputs);
        let weight = Matrix::new(weight, self.outputs, self.inputs);
        gemm_new(grads, weight, self.threads(rows))
    }

    /// `gradsᵀ · xs`
    pub(crate) fn weight_gradient<T: Real>(self, xs: &[T], grads: &[T]) -> Vec<T> {
        let rows = self.rows(xs);
        let grads = Matrix::new(grads, rows, self.outputs);
        let xs = Matrix::new(xs, rows, self.inputs);
        gemm_new(grads.t(), xs, self.threads(rows))
    }

    /// The sums of `grads` over the rows.
    pub(crate) fn bias_gradient<T: Real>(self, grads: &[T]) -> Vec<T> {
        column_sums(grads, self.outputs)
    }
}

impl Operation for Layer {
    type Kept<T: Real> = ();

    fn forward<T: Real>(&self, arguments: &[&[T]], _: Keep) -> (Vec<T>, ()) {
        let bias = arguments.get(2).copied();
        (Layer::forward(*self, arguments[0], arguments[1], bias), ())
    }

    fn backward<T: Real>(&self, pass: Backward<'_, T, ()>) -> Vec<Option<Vec<T>>> {
        pass.each(|argument| match argument {
            0 => self.input_gradient(pass.grads, pass.arguments[1]),
            1 => self.weight_gradient(pass.arguments[0], pass.grads),
            _ => self.bias_gradient(pass.grads),
        })
    }
}
