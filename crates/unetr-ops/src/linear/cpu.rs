use candle_core::{Result, Tensor};

use super::OP;
use crate::cpu::{Matrix, MatrixMut, Product, Real, Threads, Write, column_sums, gemm, gemm_new};
use crate::many::{self, Backward, Operation};
use crate::precision;
use crate::{Keep, Precision};

pub(super) fn linear(xs: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    let layer = Layer::new(weight)?;
    let mut shape = xs.dims().to_vec();
    if let Some(last) = shape.last_mut() {
        *last = layer.outputs;
    }
    let arguments: Vec<&Tensor> = [xs, weight].into_iter().chain(bias).collect();
    many::apply(OP, &arguments, shape, layer)
}

/// The sizes of a layer, and how it multiplies; kernels on rows of numbers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Layer {
    pub(crate) outputs: usize,
    pub(crate) inputs: usize,
    precision: Precision,
}

impl Layer {
    pub(crate) fn new(weight: &Tensor) -> Result<Self> {
        let (outputs, inputs) = weight.dims2()?;
        Ok(Self {
            outputs,
            inputs,
            precision: precision::current(),
        })
    }

    fn rows(self, xs: &[impl Sized]) -> usize {
        xs.len() / self.inputs.max(1)
    }

    /// How to multiply so many rows.
    fn product<T>(self, rows: usize) -> Product<'static, T> {
        self.product_on(Threads::for_product(rows * self.outputs * self.inputs))
    }

    fn product_on<'a, T>(self, threads: Threads) -> Product<'a, T> {
        Product {
            precision: self.precision,
            ..threads.into()
        }
    }

    fn weight<T>(self, weight: &[T]) -> Matrix<'_, T> {
        Matrix::new(weight, self.outputs, self.inputs)
    }

    /// `xs · weightᵀ + bias`
    fn forward<T: Real>(self, xs: &[T], weight: &[T], bias: Option<&[T]>) -> Vec<T> {
        let rows = self.rows(xs);
        let xs = Matrix::new(xs, rows, self.inputs);
        let how = Product {
            bias,
            ..self.product(rows)
        };
        gemm_new(xs, self.weight(weight).t(), how)
    }

    /// `xs · weightᵀ + bias`, written to `ys` or added to it.
    pub(crate) fn forward_to<T: Real>(
        self,
        xs: &[T],
        (weight, bias): (&[T], Option<&[T]>),
        ys: &mut [T],
        write: Write,
        threads: Threads,
    ) {
        let rows = self.rows(xs);
        let how = Product {
            bias,
            ..self.product_on(threads)
        };
        let mut out = MatrixMut::new(ys, rows, self.outputs);
        let xs = Matrix::new(xs, rows, self.inputs);
        gemm(&mut out, write, xs, self.weight(weight).t(), how);
    }

    /// `grads · weight`
    fn input_gradient<T: Real>(self, grads: &[T], weight: &[T]) -> Vec<T> {
        let rows = grads.len() / self.outputs.max(1);
        let grads = Matrix::new(grads, rows, self.outputs);
        gemm_new(grads, self.weight(weight), self.product(rows))
    }

    /// `grads · weight`, written to `of_xs`.
    pub(crate) fn input_gradient_to<T: Real>(
        self,
        grads: &[T],
        weight: &[T],
        of_xs: &mut [T],
        threads: Threads,
    ) {
        let rows = grads.len() / self.outputs.max(1);
        let mut out = MatrixMut::new(of_xs, rows, self.inputs);
        let grads = Matrix::new(grads, rows, self.outputs);
        let how = self.product_on(threads);
        gemm(&mut out, Write::Replace, grads, self.weight(weight), how);
    }

    /// `gradsᵀ · xs`
    pub(crate) fn weight_gradient<T: Real>(self, xs: &[T], grads: &[T]) -> Vec<T> {
        let rows = self.rows(xs);
        let grads = Matrix::new(grads, rows, self.outputs);
        let xs = Matrix::new(xs, rows, self.inputs);
        gemm_new(grads.t(), xs, self.product(rows))
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
