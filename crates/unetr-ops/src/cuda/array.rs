use std::sync::Arc;

use candle_core::backend::BackendStorage as _;
use candle_core::cuda_backend::{CudaStorageSlice, cudarc::driver::DevicePtr as _};
use candle_core::op::BackpropOp;
use candle_core::{CudaDevice, CudaStorage, DType, Error, Result, Shape, Storage, Tensor, bail};

use crate::OpError;

/// Contiguous numbers on a GPU, without a gradient. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Array {
    owner: Arc<Owner>,
    address: u64,
    dims: Vec<usize>,
    dtype: DType,
    device: CudaDevice,
}

/// What the kernels that read vectors need addresses to be a multiple of; the driver's are.
const ALIGNMENT: usize = 32;

/// What keeps the memory alive.
#[derive(Debug)]
enum Owner {
    Storage(CudaStorage),
    Tensor(#[expect(dead_code, reason = "kept for its memory")] Tensor),
}

impl Array {
    /// Numbers yet to be written.
    pub(crate) fn empty(
        device: &CudaDevice,
        dtype: DType,
        dims: impl Into<Vec<usize>>,
    ) -> Result<Self> {
        let dims = dims.into();
        let count = dims.iter().product::<usize>().max(1);
        if i32::try_from(count).is_err() {
            bail!(
                "the CUDA kernels write fewer than 2^31 numbers at a time, not {count}: use a smaller batch"
            );
        }
        super::memory::keep_freed(device)?;
        let slice = allocate(device, dtype, count).map_err(|error| named(error, dtype, &dims))?;
        let storage = CudaStorage {
            slice,
            device: device.clone(),
        };
        Ok(Self {
            address: address(&storage)?,
            owner: Arc::new(Owner::Storage(storage)),
            dims,
            dtype,
            device: device.clone(),
        })
    }

    /// The numbers of a contiguous tensor.
    pub(crate) fn of(tensor: &Tensor) -> Result<Self> {
        let mut tensor = tensor.detach().contiguous()?;
        let offset = tensor.layout().start_offset() * tensor.dtype().size_in_bytes();
        if !offset.is_multiple_of(ALIGNMENT) {
            // Not `copy`, which keeps the offset.
            tensor = tensor.force_contiguous()?;
        }
        let (storage, layout) = tensor.storage_and_layout();
        let Storage::Cuda(cuda) = &*storage else {
            bail!("a CUDA kernel got a tensor on {:?}", tensor.device());
        };
        let offset = layout.start_offset() * tensor.dtype().size_in_bytes();
        let (address, device) = (address(cuda)? + offset as u64, cuda.device().clone());
        let (dims, dtype) = (tensor.dims().to_vec(), tensor.dtype());
        drop(storage);
        Ok(Self {
            owner: Arc::new(Owner::Tensor(tensor)),
            address,
            dims,
            dtype,
            device,
        })
    }

    pub(crate) fn device(&self) -> &CudaDevice {
        &self.device
    }

    pub(crate) fn dtype(&self) -> DType {
        self.dtype
    }

    pub(crate) fn dims(&self) -> &[usize] {
        &self.dims
    }

    pub(crate) fn count(&self) -> usize {
        self.dims.iter().product()
    }

    /// Where the numbers begin in the GPU's memory.
    pub(crate) fn address(&self) -> u64 {
        self.address
    }

    /// The same numbers in another shape.
    pub(crate) fn reshape(&self, dims: impl Into<Vec<usize>>) -> Self {
        self.clone().into_shape(dims)
    }

    /// These numbers in another shape.
    pub(crate) fn into_shape(mut self, dims: impl Into<Vec<usize>>) -> Self {
        self.dims = dims.into();
        self
    }

    /// The entry `index` of the first dimension.
    pub(crate) fn at(&self, index: usize) -> Self {
        let dims = self.dims[1..].to_vec();
        let bytes = dims.iter().product::<usize>() * self.dtype.size_in_bytes();
        Self {
            address: self.address + (index * bytes) as u64,
            dims,
            ..self.clone()
        }
    }

    /// The numbers as a tensor outside of any graph.
    pub(crate) fn into_tensor(self) -> Result<Tensor> {
        let (dims, dtype) = (self.dims.clone(), self.dtype);
        let (storage, shape) = self.into_storage()?;
        debug_assert_eq!((shape.dims(), storage.dtype()), (dims.as_slice(), dtype));
        let storage = Storage::Cuda(storage);
        Ok(Tensor::from_storage(
            storage,
            shape,
            BackpropOp::none(),
            false,
        ))
    }

    /// The numbers as the result of an operation; copied where others share them.
    pub(crate) fn into_storage(self) -> Result<(CudaStorage, Shape)> {
        let whole = match &*self.owner {
            Owner::Storage(storage) => address(storage)? == self.address,
            Owner::Tensor(_) => false,
        };
        if whole && Arc::strong_count(&self.owner) == 1 {
            let Self { owner, dims, .. } = self;
            if let Some(Owner::Storage(storage)) = Arc::into_inner(owner) {
                return Ok((storage, dims.into()));
            }
            bail!("an array was shared while it was taken");
        }
        let copy = super::cast(&self, self.dtype)?;
        copy.into_storage()
    }
}

fn allocate(device: &CudaDevice, dtype: DType, count: usize) -> Result<CudaStorageSlice> {
    // SAFETY: every kernel that gets an empty array writes all its elements.
    unsafe {
        Ok(match dtype {
            DType::F32 => CudaStorageSlice::F32(device.alloc(count)?),
            DType::F64 => CudaStorageSlice::F64(device.alloc(count)?),
            DType::BF16 => CudaStorageSlice::BF16(device.alloc(count)?),
            DType::F16 => CudaStorageSlice::F16(device.alloc(count)?),
            DType::U32 => CudaStorageSlice::U32(device.alloc(count)?),
            DType::I64 => CudaStorageSlice::I64(device.alloc(count)?),
            DType::U8 => CudaStorageSlice::U8(device.alloc(count)?),
            other => bail!("the CUDA kernels write no {other:?}"),
        })
    }
}

/// What a full memory is about.
fn named(error: Error, dtype: DType, shape: &[usize]) -> Error {
    if !error.to_string().contains("OUT_OF_MEMORY") {
        return error;
    }
    let bytes = shape.iter().product::<usize>() * dtype.size_in_bytes();
    OpError::OutOfMemory {
        megabytes: bytes as f64 / 1e6,
        shape: shape.to_vec(),
        dtype,
    }
    .into()
}

fn address(storage: &CudaStorage) -> Result<u64> {
    let stream = storage.device.cuda_stream();
    // Candle's devices have one stream, on which everything here is launched too: nothing to wait for.
    Ok(match &storage.slice {
        CudaStorageSlice::F32(slice) => slice.device_ptr(&stream).0,
        CudaStorageSlice::F64(slice) => slice.device_ptr(&stream).0,
        CudaStorageSlice::BF16(slice) => slice.device_ptr(&stream).0,
        CudaStorageSlice::F16(slice) => slice.device_ptr(&stream).0,
        CudaStorageSlice::U8(slice) => slice.device_ptr(&stream).0,
        CudaStorageSlice::U32(slice) => slice.device_ptr(&stream).0,
        CudaStorageSlice::I64(slice) => slice.device_ptr(&stream).0,
        _ => bail!("the CUDA kernels read no {:?}", storage.dtype()),
    })
}
