use candle_core::{Result, Shape, Tensor, WithDType as _};

use super::OP;
use crate::cpu::{
    Locked, Matrix, Real, Threads, add, column_sums, for_each_row, for_real, gemm_new,
};
use crate::many;

pub(super) fn linear(xs: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    let arguments: Vec<Tensor> = [Some(xs), Some(weight), bias]
        .into_iter()
        .flatten()
        .map(Tensor::contiguous)
        .collect::<Result<_>>()?;
    let layer = Layer::new(weight)?;
    let mut dims = xs.dims().to_vec();
    if let Some(last) = dims.last_mut() {
        *last = layer.outputs;
    }
    let locked = Locked::new(&arguments);
    for_real!(xs, T => {
        let slices = locked.elements::<T>()?;
        let ys = layer.forward(slices[0], slices[1], slices.get(2).copied());
        drop(locked);
        let result = (T::to_cpu_storage_owned(ys), Shape::from(dims));
        many::node(OP, &arguments, result, layer)
    })
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

impl many::Backward for Layer {
    fn backward(
        &self,
        arguments: &[Tensor],
        wanted: &[bool],
        _result: &Tensor,
        grad: &Tensor,
    ) -> Result<Vec<Option<Tensor>>> {
        let grads = [grad.clone()];
        let (locked, locked_grads) = (Locked::new(arguments), Locked::new(&grads));
        for_real!(grad, T => {
            let (slices, grads) = (locked.elements::<T>()?, locked_grads.elements()?[0]);
            let mut result = Vec::with_capacity(arguments.len());
            for (n, (argument, wanted)) in arguments.iter().zip(wanted).enumerate() {
                let gradient = match (n, wanted) {
                    (_, false) => None,
                    (0, true) => Some(self.input_gradient(grads, slices[1])),
                    (1, true) => Some(self.weight_gradient(slices[0], grads)),
                    (_, true) => Some(self.bias_gradient(grads)),
                };
                let tensor = |values| Tensor::from_vec(values, argument.shape(), grad.device());
                result.push(gradient.map(tensor).transpose()?);
            }
            Ok(result)
        })
    }
}
