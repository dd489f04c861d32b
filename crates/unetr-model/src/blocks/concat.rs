use candle_core::{DType, Result, Tensor};

/// Maps one after the other along the channels. Where their types differ they become f32: on a GPU in 16 bits some
/// layers give these and others, such as batch normalisation, f32.
pub(super) fn concat(maps: &[&Tensor]) -> Result<Tensor> {
    let mut types = maps.iter().map(|map| map.dtype());
    let first = types.next();
    if types.all(|dtype| Some(dtype) == first) {
        return Tensor::cat(maps, 1);
    }
    let wide = maps.iter().map(|map| map.to_dtype(DType::F32));
    Tensor::cat(&wide.collect::<Result<Vec<_>>>()?, 1)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use candle_core::Device;

    use super::*;

    #[test]
    fn maps_of_two_types_become_f32() {
        let map = |dtype| Tensor::ones((1, 2, 3, 3), dtype, &Device::Cpu).unwrap();
        for (second, expected) in [(DType::BF16, DType::BF16), (DType::F32, DType::F32)] {
            let both = concat(&[&map(DType::BF16), &map(second)]).unwrap();
            assert_eq!((both.dtype(), both.dims()), (expected, &[1, 4, 3, 3][..]));
        }
    }
}
