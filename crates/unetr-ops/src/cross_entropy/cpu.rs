use candle_core::backend::BackendStorage as _;
use candle_core::{
    CpuStorage, CustomOp1, CustomOp2, Layout, Result, Shape, Tensor, WithDType as _,
};
use rayon::prelude::*;

use crate::cpu::{Real, elements, for_each_softmax, for_real};

/// Of logits `[batch, classes, ..]`, with the class of every pixel.
#[derive(Debug, Clone)]
pub(super) struct CrossEntropy {
    pub(super) labels: Vec<usize>,
}

impl CrossEntropy {
    fn loss<T: Real>(&self, logits: &[T], batch: usize, classes: usize) -> T {
        let image = logits.len() / batch;
        let pixels = image / classes;
        let images = logits.par_chunks(image).zip(self.labels.par_chunks(pixels));
        let losses: Vec<f64> = images
            .map(|(logits, labels)| {
                let mut loss = 0.;
                for_each_softmax(logits, classes, |pixel, _, log_sum| {
                    loss += (log_sum - logits[labels[pixel] * pixels + pixel]).f64();
                });
                loss
            })
            .collect();
        T::of(losses.iter().sum::<f64>() / self.labels.len() as f64)
    }

    fn gradient<T: Real>(&self, logits: &[T], batch: usize, classes: usize, grad: T) -> Vec<T> {
        let image = logits.len() / batch;
        let pixels = image / classes;
        let scale = grad / T::of(self.labels.len() as f64);
        let mut result = vec![T::zero(); logits.len()];
        let images = result.par_chunks_mut(image).zip(logits.par_chunks(image));
        images
            .zip(self.labels.par_chunks(pixels))
            .for_each(|((result, logits), labels)| {
                for_each_softmax(logits, classes, |pixel, probabilities, _| {
                    for (class, &probability) in probabilities.iter().enumerate() {
                        let one_hot = if class == labels[pixel] {
                            T::one()
                        } else {
                            T::zero()
                        };
                        result[class * pixels + pixel] = (probability - one_hot) * scale;
                    }
                });
            });
        result
    }
}

impl CustomOp1 for CrossEntropy {
    fn name(&self) -> &'static str {
        "cross-entropy"
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

struct Backward(CrossEntropy);

impl CustomOp2 for Backward {
    fn name(&self) -> &'static str {
        "cross-entropy-backward"
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
