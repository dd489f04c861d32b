use candle_core::cuda_backend::cudarc::cublas::{result, sys};
use candle_core::{DType, Error, Result, bail};

use super::Array;
use crate::Precision;

/// A factor of a matrix product, row by row.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Factor<'a> {
    pub(crate) array: &'a Array,
    /// Whether it is meant transposed.
    pub(crate) transposed: bool,
}

impl<'a> From<&'a Array> for Factor<'a> {
    fn from(array: &'a Array) -> Self {
        Self {
            array,
            transposed: false,
        }
    }
}

impl Array {
    /// This matrix, transposed.
    pub(crate) fn t(&self) -> Factor<'_> {
        Factor {
            array: self,
            transposed: true,
        }
    }
}

/// Matrices `[.., rows, columns]` without a gap, and the number of them.
fn sizes(factor: Factor<'_>) -> Result<(usize, usize, usize)> {
    let &[ref batch @ .., rows, columns] = factor.array.dims() else {
        bail!("a matrix product got {:?}", factor.array.dims());
    };
    let batch = batch.iter().product();
    Ok(match factor.transposed {
        true => (batch, columns, rows),
        false => (batch, rows, columns),
    })
}

/// `to = a · b`, or `to += a · b`, for every matrix of the batch; factors of one type, the result in
/// theirs or in f32, sums in f32.
pub(crate) fn gemm<'a>(
    a: impl Into<Factor<'a>>,
    b: impl Into<Factor<'a>>,
    to: &Array,
    accumulate: bool,
    precision: Precision,
) -> Result<()> {
    let (a, b) = (a.into(), b.into());
    let ((batch, m, k), (b_batch, b_k, n)) = (sizes(a)?, sizes(b)?);
    let (to_batch, to_m, to_n) = sizes(to.into())?;
    if (batch, k, batch, m, n) != (b_batch, b_k, to_batch, to_m, to_n)
        || a.array.dtype() != b.array.dtype()
    {
        bail!(
            "matrices {:?} and {:?} do not give {:?}",
            a.array,
            b.array,
            to.dims()
        );
    }
    let compute = match (a.array.dtype(), precision) {
        (DType::F32, Precision::Tf32) => sys::cublasComputeType_t::CUBLAS_COMPUTE_32F_FAST_TF32,
        _ => sys::cublasComputeType_t::CUBLAS_COMPUTE_32F,
    };
    let operation = |transposed| match transposed {
        true => sys::cublasOperation_t::CUBLAS_OP_T,
        false => sys::cublasOperation_t::CUBLAS_OP_N,
    };
    // cuBLAS goes down columns: what it takes for the transposed product is ours.
    let leading = |transposed, rows: usize, columns: usize| if transposed { rows } else { columns };
    let (alpha, beta) = (1f32, if accumulate { 1f32 } else { 0. });
    let device = a.array.device();
    let blas = device.cublas_handle();
    let pointer = |array: &Array| array.address() as *mut std::ffi::c_void;
    // SAFETY: sizes were checked above, arrays have no gaps, and the stream is that of all kernels.
    unsafe {
        result::gemm_strided_batched_ex(
            *blas.handle(),
            operation(b.transposed),
            operation(a.transposed),
            n as i32,
            m as i32,
            k as i32,
            (&raw const alpha).cast(),
            pointer(b.array).cast_const(),
            data_type(b.array.dtype())?,
            leading(b.transposed, k, n) as i32,
            (k * n) as i64,
            pointer(a.array).cast_const(),
            data_type(a.array.dtype())?,
            leading(a.transposed, m, k) as i32,
            (m * k) as i64,
            (&raw const beta).cast(),
            pointer(to),
            data_type(to.dtype())?,
            n as i32,
            (m * n) as i64,
            batch as i32,
            compute,
            sys::cublasGemmAlgo_t::CUBLAS_GEMM_DEFAULT_TENSOR_OP,
        )
    }
    .map_err(Error::wrap)
}

fn data_type(dtype: DType) -> Result<sys::cudaDataType> {
    Ok(match dtype {
        DType::F32 => sys::cudaDataType_t::CUDA_R_32F,
        DType::BF16 => sys::cudaDataType_t::CUDA_R_16BF,
        DType::F16 => sys::cudaDataType_t::CUDA_R_16F,
        other => bail!("no matrix product of {other:?}"),
    })
}
