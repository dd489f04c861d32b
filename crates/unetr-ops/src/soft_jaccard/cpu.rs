use candle_core::backend::BackendStorage as _;
use candle_core::{
    CpuStorage, CustomOp1, CustomOp2, Layout, Result, Shape, Tensor, WithDType as _,
};
use rayon::prelude::*;

use super::JaccardReduction;
use crate::cpu::{Real, elements, for_each_softmax, for_real};

/// Of logits `[batch, classes, ..]`, with the class of every pixel.
#[derive(Debug, Clone)]
pub(super) struct SoftJaccard {
    pub(super) labels: Vec<usize>,
    pub(super) reduction: JaccardReduction,
}

impl SoftJaccard {
    /// The intersection and the union of the whole batch.
    fn totals<T: Real>(&self, logits: &[T], batch: usize, classes: usize) -> (f64, f64) {
        let image = logits.len() / batch;
        let images = logits
            .par_chunks(image)
            .zip(self.labels.par_chunks(image / classes));
        let totals: Vec<(f64, f64)> = images
            .map(|(logits, labels)| {
                let (mut intersection, mut union) = (0., 0.);
                for_each_softmax(logits, classes, |pixel, probabilities, _| {
                    for (class, probability) in probabilities.iter().enumerate() {
                        let probability = probability.f64();
                        let hit = class == labels[pixel];
                        intersection += if hit { probability } else { 0. };
                        // p + y - p·y is 1 where y is 1 and p elsewhere.
                        union += 1e-8 + if hit { 1. } else { probability };
                    }
                });
                (intersection, union)
            })
            .collect();
        totals
            .iter()
            .fold((0., 0.), |sum, total| (sum.0 + total.0, sum.1 + total.1))
    }

    fn loss<T: Real>(&self, logits: &[T], batch: usize, classes: usize) -> T {
        let (intersection, union) = self.totals(logits, batch, classes);
        let count = match self.reduction {
            JaccardReduction::Mean => (batch * classes) as f64,
            JaccardReduction::Sum => 1.,
        };
        T::of(1. - (intersection / count) / (union / count))
    }

    /// With `y` the one-hot label and `p` the softmax, `∂loss/∂p` is `-1/union` where `y` is 1 and
    /// `intersection/union²` elsewhere; the softmax subtracts its mean under `p`.
    fn gradient<T: Real>(&self, logits: &[T], batch: usize, classes: usize, grad: T) -> Vec<T> {
        let (intersection, union) = self.totals(logits, batch, classes);
        let of_hit = T::of(-1. / union) * grad;
        let of_miss = T::of(intersection / (union * union)) * grad;
        let image = logits.len() / batch;
        let pixels = image / classes;
        let mut result = vec![T::zero(); logits.len()];
        let images = result.par_chunks_mut(image).zip(logits.par_chunks(image));
        images
            .zip(self.labels.par_chunks(pixels))
            .for_each(|((result, logits), labels)| {
                for_each_softmax(logits, classes, |pixel, probabilities, _| {
                    let hit = probabilities[labels[pixel]];
                    let mean = hit * of_hit + (T::one() - hit) * of_miss;
                    for (class, &probability) in probabilities.iter().enumerate() {
                        let of_class = if class == labels[pixel] {
                            of_hit
                        } else {
                            of_miss
                        };
                        result[class * pixels + pixel] = probability * (of_class - mean);
                    }
                });
            });
        result
    }
}

impl CustomOp1 for SoftJaccard {
    fn name(&self) -> &'static str {
        "soft-jaccard"
    }

    fn cpu_fwd(&self, logits: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (batch, classes) = (layout.dims()[0], layout.dims()[1]);
        for_real!(logits, T => {
            let loss = self.loss::<T>(elements(logits, layout)?, batch, classes);
            Ok((T::to_cpu_storage_owned(vec![loss]), Shape::from(())))
        })
    }

    fn bwd(&self, logits: &Tensor, _res: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        logits
            .detach()
            .apply_op2_no_bwd(grad, &Backward(self.clone()))
            .map(Some)
    }
}

struct Backward(SoftJaccard);

impl CustomOp2 for Backward {
    fn name(&self) -> &'static str {
        "soft-jaccard-backward"
    }

    fn cpu_fwd(
        &self,
        logits: &CpuStorage,
        layout: &Layout,
        grad: &CpuStorage,
        grad_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (batch, classes) = (layout.dims()[0], layout.dims()[1]);
        for_real!(logits, T => {
            let grad = elements::<T>(grad, grad_layout)?[0];
            let result = self.0.gradient(elements(logits, layout)?, batch, classes, grad);
            Ok((T::to_cpu_storage_owned(result), layout.shape().clone()))
        })
    }
}
