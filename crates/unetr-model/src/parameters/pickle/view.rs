use std::borrow::Cow;

use candle_core::{DType, Device, Tensor};

use super::Result;

/// Where in a storage the numbers of a tensor are.
pub(in crate::parameters) struct View {
    key: String,
    dtype: DType,
    /// In elements, as the strides are.
    offset: usize,
    shape: Vec<usize>,
    /// 0 where the shape is 1.
    strides: Vec<usize>,
}

impl View {
    /// The most dimensions.
    pub(super) const RANK: usize = 16;

    pub(super) fn new(
        name: &str,
        key: String,
        dtype: DType,
        offset: usize,
        shape: Vec<usize>,
        mut strides: Vec<usize>,
    ) -> Result<Self> {
        if shape.len() > Self::RANK {
            let expected = Self::RANK;
            return Err(format!(
                "the tensor {name} has more dimensions than {expected}"
            ));
        }
        if shape.len() != strides.len() {
            return Err(format!(
                "the tensor {name} has the shape {shape:?} and the strides {strides:?}"
            ));
        }
        for (stride, size) in strides.iter_mut().zip(&shape) {
            // It is never taken, and may be any number.
            if *size == 1 {
                *stride = 0;
            }
        }
        Ok(Self {
            key,
            dtype,
            offset,
            shape,
            strides,
        })
    }

    /// The name of the storage.
    pub(super) fn key(&self) -> &str {
        &self.key
    }

    pub(super) fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The bytes that the tensor takes, if they can be counted.
    pub(super) fn bytes(&self) -> Option<u64> {
        u64::try_from(self.size()?).ok()
    }

    fn size(&self) -> Option<usize> {
        let elements = |count: usize, size: &usize| count.checked_mul(*size);
        let size = self.dtype.size_in_bytes();
        self.shape.iter().try_fold(size, elements)
    }

    /// The bytes of the storage up to the tensor's last one.
    fn end(&self) -> Option<usize> {
        let mut last = self.offset;
        for (size, stride) in self.shape.iter().zip(&self.strides) {
            last = last.checked_add(size.checked_sub(1)?.checked_mul(*stride)?)?;
        }
        last.checked_add(1)?.checked_mul(self.dtype.size_in_bytes())
    }

    /// The tensor, from the bytes of its storage.
    pub(super) fn tensor(&self, name: &str, storage: &[u8]) -> Result<Tensor> {
        let (key, held) = (&self.key, storage.len());
        let size = self.size();
        let bytes = match (size, self.end()) {
            (Some(0), _) => Cow::default(),
            (Some(size), Some(end)) if end <= held => {
                // As `expand` makes them, of any size.
                if size > held {
                    return Err(format!(
                        "the tensor {name} repeats the {held} bytes of storage {key} to {size}; save it `.contiguous()`"
                    ));
                }
                self.elements(storage, size)
            }
            (_, end) => {
                let needed =
                    end.map_or("more than can be counted".to_owned(), |end| end.to_string());
                return Err(format!(
                    "storage {key} holds {held} bytes, the tensor {name} needs {needed}"
                ));
            }
        };
        Tensor::from_raw_buffer(&bytes, self.dtype, &self.shape, &Device::Cpu)
            .map_err(|error| format!("the tensor {name}: {error}"))
    }

    /// The bytes of the elements, in the order of the tensor; `size` in all, and all within the storage.
    fn elements<'a>(&self, storage: &'a [u8], size: usize) -> Cow<'a, [u8]> {
        let width = self.dtype.size_in_bytes();
        let at = |place: usize, bytes| {
            let start = place * width;
            storage.get(start..start + bytes).unwrap_or_default()
        };
        if self.is_contiguous() {
            return Cow::Borrowed(at(self.offset, size));
        }
        let mut bytes = Vec::with_capacity(size);
        let mut index = vec![0; self.shape.len()];
        let mut place = self.offset;
        for _ in 0..size / width {
            bytes.extend_from_slice(at(place, width));
            // The last dimension first, and the one before it where that is through.
            let dimensions = index.iter_mut().zip(&self.shape).zip(&self.strides);
            for ((index, size), stride) in dimensions.rev() {
                *index += 1;
                place += stride;
                if *index < *size {
                    break;
                }
                *index = 0;
                place -= size * stride;
            }
        }
        Cow::Owned(bytes)
    }

    /// Whether the elements follow each other; the tensor's bytes can be counted.
    fn is_contiguous(&self) -> bool {
        let mut expected = 1;
        let mut dimensions = self.shape.iter().zip(&self.strides).rev();
        dimensions.all(|(size, stride)| {
            let follows = *size == 1 || *stride == expected;
            expected *= size;
            follows
        })
    }
}
