//! The norm of many tensors together.

use candle_core::{DType, Result, Tensor};
use rayon::prelude::*;

use crate::cpu::{Real, for_real, runs_on_cpu, sum_of_squares, with_elements};

const CHUNK: usize = 16 * 1024;

/// The Euclidean norm of all elements of all tensors, such as the gradients of a network: what is
/// compared with a bound when they are clipped (Pascanu et al. 2013, section 3.2,
/// <https://arxiv.org/abs/1211.5063>).
///
/// It does not depend on the number of threads. It is NaN where an element is, and infinite where the square of one
/// is: on the CPU, squares are of the elements' type.
///
/// # Errors
/// When Candle cannot read a tensor.
///
/// # Examples
/// ```
/// use candle_core::{Device, Tensor};
///
/// let (a, b) = (Tensor::new(&[3f32, 0.], &Device::Cpu)?, Tensor::new(&[[4f32]], &Device::Cpu)?);
/// assert_eq!(unetr_ops::global_norm(&[&a, &b])?, 5.);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn global_norm(tensors: &[&Tensor]) -> Result<f64> {
    let (on_cpu, elsewhere): (Vec<&Tensor>, Vec<&Tensor>) =
        tensors.iter().partition(|tensor| runs_on_cpu(tensor));
    let squares: Vec<f64> = on_cpu
        .par_iter()
        .map(|tensor| {
            let tensor = tensor.contiguous()?;
            for_real!(tensor, T => with_elements(&tensor, |xs: &[T]| squares(xs)))
        })
        .collect::<Result<_>>()?;
    let mut total: f64 = squares.iter().sum();
    total += squares_elsewhere(&elsewhere)?;
    Ok(total.sqrt())
}

/// The sum of the squares of tensors that are not on the CPU.
fn squares_elsewhere(tensors: &[&Tensor]) -> Result<f64> {
    #[cfg(feature = "cuda")]
    if crate::cuda::optimizer::on_one_gpu(tensors.iter().copied()) {
        return crate::cuda::optimizer::sum_of_squares(tensors);
    }
    let Some((first, others)) = tensors.split_first() else {
        return Ok(0.);
    };
    let square = |tensor: &Tensor| tensor.detach().to_dtype(DType::F32)?.sqr()?.sum_all();
    let mut sum = square(first)?;
    for tensor in others {
        sum = (sum + square(tensor)?)?;
    }
    // host sync: reads the sum
    Ok(f64::from(sum.to_scalar::<f32>()?))
}

fn squares<T: Real>(xs: &[T]) -> f64 {
    let sums: Vec<f64> = xs.par_chunks(CHUNK).map(sum_of_squares).collect();
    sums.iter().sum()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::check::{random, values};

    #[test]
    fn it_is_the_root_of_the_sum_of_all_squares_whatever_the_number_of_threads() {
        let tensors = [
            random(1, &[3, 5]).t().unwrap(),
            random(2, &[70_001]),
            random(3, &[1]),
        ];
        let all: Vec<&Tensor> = tensors.iter().collect();
        let norm = global_norm(&all).unwrap();
        let expected: f64 = tensors.iter().flat_map(values).map(|x| x * x).sum();
        assert!(
            (norm - expected.sqrt()).abs() < 1e-9 * norm,
            "{norm} {expected}"
        );
        for threads in [1, 2, 3, 7] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
            assert_eq!(pool.unwrap().install(|| global_norm(&all).unwrap()), norm);
        }
        let single = tensors
            .each_ref()
            .map(|tensor| tensor.to_dtype(DType::F32).unwrap());
        let single: Vec<&Tensor> = single.iter().collect();
        assert!((global_norm(&single).unwrap() - norm).abs() < 1e-6 * norm);
        let broken = Tensor::new(f64::NAN, tensors[0].device()).unwrap();
        assert!(global_norm(&[&tensors[0], &broken]).unwrap().is_nan());
        assert_eq!(global_norm(&[]).unwrap(), 0.);
    }
}
