use candle_core::{DType, Device, Result, Tensor};

use crate::OpError;
use crate::error::{shape_error, value_error};

const OP: &str = "normalize_images";

/// Images of bytes as floats on a device, `(v - 255 mean) / (255 std)` for each channel.
///
/// Computed as `(v - mean * 255) * (1 / (std * 255))` in f32, as albumentations does, so that the floats are
/// the same bit for bit on every device. On an NVIDIA GPU the bytes of the CPU go there as in
/// [`upload`](crate::upload()), and are read by the kernel that normalises: the copy is a quarter of the floats'.
///
/// # Shapes
/// - `images`: `[batch, 3, height, width]`, u8, on the CPU or a device
/// - `mean`, `std`: of red, green and blue on a scale of 0 to 1
/// - returns: `[batch, 3, height, width]`, f32, on `device`, outside of any graph
///
/// # Errors
/// When the images have another shape or type, or no pixel, when a mean is not finite or a deviation is not
/// a number above 0, and when the device fails.
///
/// # Examples
/// ```
/// use candle_core::{Device, Tensor};
/// use unetr_ops::normalize_images;
///
/// let images = Tensor::new(&[[[[0u8, 255]], [[0, 255]], [[0, 255]]]], &Device::Cpu)?;
/// let floats = normalize_images(&images, [0.5; 3], [0.5; 3], &Device::Cpu)?;
/// assert_eq!(floats.flatten_all()?.to_vec1::<f32>()?, [-1., 1., -1., 1., -1., 1.]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn normalize_images(
    images: &Tensor,
    mean: [f32; 3],
    std: [f32; 3],
    device: &Device,
) -> Result<Tensor> {
    check(images, mean, std)?;
    let shift = mean.map(|mean| mean * 255.);
    let scale = std.map(|std| 1. / (std * 255.));
    match device {
        #[cfg(feature = "cuda")]
        Device::Cuda(gpu) => crate::cuda::images::normalize(images, shift, scale, gpu),
        _ => composed(&images.to_device(device)?, shift, scale),
    }
}

fn check(images: &Tensor, mean: [f32; 3], std: [f32; 3]) -> Result<()> {
    if images.dtype() != DType::U8 {
        return Err(OpError::Type {
            op: OP,
            argument: "the images",
            found: images.dtype(),
            expected: "u8",
        }
        .into());
    }
    if images.rank() != 4 || images.dim(1)? != 3 || images.elem_count() == 0 {
        let expected = "[batch, 3, height, width] with at least one pixel";
        return Err(shape_error(OP, "the images", images, expected));
    }
    if let Some(mean) = mean.iter().find(|mean| !mean.is_finite()) {
        return Err(value_error(OP, "a mean", mean, "a finite number"));
    }
    if let Some(std) = std.iter().find(|&&std| !(std.is_finite() && std > 0.)) {
        let expected = "a finite number above 0";
        return Err(value_error(OP, "a standard deviation", std, expected));
    }
    Ok(())
}

/// The same from Candle's operations.
fn composed(images: &Tensor, shift: [f32; 3], scale: [f32; 3]) -> Result<Tensor> {
    let channels = |values: [f32; 3]| Tensor::new(&values, images.device())?.reshape((1, 3, 1, 1));
    let floats = images.to_dtype(DType::F32)?;
    floats
        .broadcast_sub(&channels(shift)?)?
        .broadcast_mul(&channels(scale)?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const MEAN: [f32; 3] = [0.485, 0.456, 0.406];
    const STD: [f32; 3] = [0.229, 0.224, 0.225];

    #[test]
    fn every_value_of_every_channel() {
        let bytes: Vec<u8> = (0..2 * 3 * 256).map(|i| (i % 256) as u8).collect();
        let images = Tensor::from_vec(bytes, (2, 3, 8, 32), &Device::Cpu).unwrap();
        let floats = normalize_images(&images, MEAN, STD, &Device::Cpu).unwrap();
        assert_eq!(floats.dims(), [2, 3, 8, 32]);
        let floats: Vec<f32> = floats.flatten_all().unwrap().to_vec1().unwrap();
        for (i, float) in floats.into_iter().enumerate() {
            let (channel, value) = (i / 256 % 3, (i % 256) as f32);
            let expected = (value - MEAN[channel] * 255.) * (1. / (STD[channel] * 255.));
            assert_eq!(float, expected, "{value} in channel {channel}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let images = Tensor::zeros((1, 3, 2, 2), DType::U8, &Device::Cpu).unwrap();
        let refused = |images: &Tensor, mean, std| {
            let result = normalize_images(images, mean, std, &Device::Cpu);
            result.unwrap_err().to_string()
        };
        assert_eq!(
            refused(&images.to_dtype(DType::F32).unwrap(), MEAN, STD),
            "normalize_images: the images is of type F32, expected u8"
        );
        assert_eq!(
            refused(&images.narrow(1, 0, 2).unwrap(), MEAN, STD),
            "normalize_images: the images has shape [1, 2, 2, 2], expected [batch, 3, height, width] with at \
             least one pixel"
        );
        assert_eq!(
            refused(&images, [f32::NAN; 3], STD),
            "normalize_images: a mean is NaN, expected a finite number"
        );
        assert_eq!(
            refused(&images, MEAN, [0.2, 0., 0.2]),
            "normalize_images: a standard deviation is 0, expected a finite number above 0"
        );
    }
}
