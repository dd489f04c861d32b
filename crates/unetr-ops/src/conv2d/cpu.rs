//! Convolution, its two gradients, and by exchange of roles the transposed convolution.

use candle_core::backend::BackendStorage as _;
use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor, WithDType as _};

use super::geometry::Geometry;
use super::{matrix, same};
use crate::cpu::{elements, for_real};

/// One of the three products of a convolution.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Product {
    /// Of the input and the weight: the output.
    Output,
    /// Of the output and the weight: the input, as a transposed convolution computes it.
    Input,
    /// Of the input and the output: the weight.
    Weight,
}

/// A product of a convolution as an operation; the other two are its gradients.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Convolution {
    pub(crate) geometry: Geometry,
    pub(crate) product: Product,
}

impl Convolution {
    /// The product of two tensors, differentiable.
    pub(crate) fn apply(self, lhs: &Tensor, rhs: &Tensor) -> Result<Tensor> {
        lhs.contiguous()?.apply_op2(&rhs.contiguous()?, self)
    }

    fn compute(self, product: Product, lhs: &Tensor, rhs: &Tensor) -> Result<Tensor> {
        let convolution = Self { product, ..self };
        lhs.detach()
            .contiguous()?
            .apply_op2_no_bwd(&rhs.detach().contiguous()?, &convolution)
    }
}

impl CustomOp2 for Convolution {
    fn name(&self) -> &'static str {
        "convolution"
    }

    fn cpu_fwd(
        &self,
        lhs: &CpuStorage,
        lhs_layout: &Layout,
        rhs: &CpuStorage,
        rhs_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let g = &self.geometry;
        for_real!(lhs, T => {
            let lhs: &[T] = elements(lhs, lhs_layout)?;
            let rhs: &[T] = elements(rhs, rhs_layout)?;
            let shape = match self.product {
                Product::Output => g.output_shape(),
                Product::Input => g.input_shape(),
                Product::Weight => g.weight_shape(),
            };
            let result = match (self.product, g.frame()) {
                (Product::Output, Some(frame)) => same::forward(g, frame, lhs, rhs),
                (Product::Input, Some(frame)) => same::input_gradient(g, frame, lhs, rhs),
                (Product::Weight, Some(frame)) => same::weight_gradient(g, frame, lhs, rhs),
                (Product::Output, None) => matrix::forward(g, lhs, rhs),
                (Product::Input, None) => matrix::input_gradient(g, lhs, rhs),
                (Product::Weight, None) => matrix::weight_gradient(g, lhs, rhs),
            };
            Ok((T::to_cpu_storage_owned(result), Shape::from(shape)))
        })
    }

    fn bwd(
        &self,
        lhs: &Tensor,
        rhs: &Tensor,
        _res: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let compute = |wanted: &Tensor, product, a: &Tensor, b: &Tensor| match wanted.track_op() {
            true => self.compute(product, a, b).map(Some),
            false => Ok(None),
        };
        match self.product {
            // (input, weight)
            Product::Output => Ok((
                compute(lhs, Product::Input, grad, rhs)?,
                compute(rhs, Product::Weight, lhs, grad)?,
            )),
            // (output, weight)
            Product::Input => Ok((
                compute(lhs, Product::Output, grad, rhs)?,
                compute(rhs, Product::Weight, grad, lhs)?,
            )),
            // (input, output)
            Product::Weight => Ok((
                compute(lhs, Product::Input, rhs, grad)?,
                compute(rhs, Product::Output, lhs, grad)?,
            )),
        }
    }
}
