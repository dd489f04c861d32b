//! Between the tokens of a transformer and feature maps.

use candle_core::{Result, Tensor};

use crate::error::shape_error;
use crate::matrix_transpose;

/// Tokens in row-major order as a feature map: laid out anew on the CPU, a view on a GPU, where maps
/// have their channels last.
///
/// # Shapes
/// - `tokens`: `[batch, rows · columns, channels]`
/// - returns: `[batch, channels, rows, columns]`
///
/// # Errors
/// When the number of tokens is not that of the map's pixels.
///
/// # Examples
/// ```
/// use candle_core::{Device, Tensor};
/// use unetr_ops::tokens_to_map;
///
/// let tokens = Tensor::arange(0f32, 12f32, &Device::Cpu)?.reshape((1, 6, 2))?;
/// let map = tokens_to_map(&tokens, [2, 3])?;
/// assert_eq!(map.dims(), [1, 2, 2, 3]);
/// assert_eq!(map.get(0)?.get(1)?.to_vec2::<f32>()?, [[1., 3., 5.], [7., 9., 11.]]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn tokens_to_map(tokens: &Tensor, [rows, columns]: [usize; 2]) -> Result<Tensor> {
    let &[batch, count, channels] = tokens.dims() else {
        return Err(shape_error(
            TO_MAP,
            "the input",
            tokens,
            "[batch, tokens, channels]",
        ));
    };
    if count != rows * columns {
        let expected = format!("[batch, {rows} · {columns}, channels]");
        return Err(shape_error(TO_MAP, "the input", tokens, expected));
    }
    #[cfg(feature = "cuda")]
    if crate::cuda::runs_on_cuda(tokens) {
        use crate::cuda::graph::{Order, alias};
        let map = tokens
            .reshape((batch, rows, columns, channels))?
            .permute((0, 3, 1, 2))?;
        alias(tokens, &map, Order::Map);
        return Ok(map);
    }
    matrix_transpose(tokens)?.reshape((batch, channels, rows, columns))
}

/// The pixels of a feature map as tokens in row-major order, the way back of [`tokens_to_map`].
///
/// # Shapes
/// - `map`: `[batch, channels, rows, columns]`
/// - returns: `[batch, rows · columns, channels]`
///
/// # Errors
/// When `map` has not four dimensions.
///
/// # Examples
/// ```
/// use candle_core::{Device, Tensor};
/// use unetr_ops::{map_to_tokens, tokens_to_map};
///
/// let map = Tensor::randn(0f32, 1., (1, 4, 2, 3), &Device::Cpu)?;
/// let tokens = map_to_tokens(&map)?;
/// assert_eq!(tokens.dims(), [1, 6, 4]);
/// let back = tokens_to_map(&tokens, [2, 3])?;
/// assert_eq!((back - map)?.abs()?.max_all()?.to_scalar::<f32>()?, 0.);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn map_to_tokens(map: &Tensor) -> Result<Tensor> {
    let &[batch, channels, rows, columns] = map.dims() else {
        return Err(shape_error(
            "map_to_tokens",
            "the input",
            map,
            "[batch, channels, rows, columns]",
        ));
    };
    #[cfg(feature = "cuda")]
    if crate::cuda::runs_on_cuda(map) {
        use crate::cuda::graph::{Order, alias, is_map};
        let tokens = map
            .permute((0, 2, 3, 1))?
            .reshape((batch, rows * columns, channels))?;
        if is_map(map) {
            alias(map, &tokens, Order::Rows);
        }
        return Ok(tokens);
    }
    matrix_transpose(&map.reshape((batch, channels, rows * columns))?)
}

const TO_MAP: &str = "tokens_to_map";
