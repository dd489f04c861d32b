//! Position embeddings for another grid of patches.

use candle_core::{DType, Result, Tensor};

use super::bicubic::weights;
use crate::Error;

/// The position embeddings of a file.
#[derive(Debug)]
pub(super) struct Table {
    /// `[1, side · side, hidden]`, f64
    patches: Tensor,
    side: usize,
}

impl Table {
    /// Of all embeddings, `[1, tokens, hidden]`, those of the patches.
    ///
    /// Class, distillation and register tokens, `prefix` in all, come first and have embeddings too, or not, or only
    /// those other than the registers have.
    pub(super) fn new(
        embeddings: Option<Tensor>,
        prefix: usize,
    ) -> std::result::Result<Self, Error> {
        let tokens = match embeddings.as_ref().map(Tensor::dims) {
            Some(&[1, tokens, hidden]) if hidden > 0 => tokens,
            found => {
                let found = found.map_or("none".to_owned(), |dims| format!("{dims:?}"));
                return Err(Error::Encoder(format!(
                    "position embeddings: {found}, expected [1, tokens, hidden]"
                )));
            }
        };
        let mut others = [0, 1, 2, prefix].into_iter();
        let square = others.find_map(|others| {
            let patches = tokens.checked_sub(others)?;
            let side = patches.isqrt();
            (side > 0 && side * side == patches).then_some((others, side))
        });
        let (Some(embeddings), Some((others, side))) = (embeddings, square) else {
            return Err(Error::Encoder(format!(
                "{tokens} position embeddings, expected those of a square of patches and of up to {} tokens before \
                 them; the rows and columns of another grid cannot be told from their number",
                prefix.max(2)
            )));
        };
        let patches = embeddings.narrow(1, others, side * side)?;
        let patches = patches.to_dtype(DType::F64)?.contiguous()?;
        Ok(Self { patches, side })
    }

    /// Rows and columns of the file's grid.
    pub(super) fn side(&self) -> usize {
        self.side
    }

    /// The embeddings on another grid, `[1, rows · columns, hidden]`, f64.
    pub(super) fn resampled(&self, grid: [usize; 2]) -> std::result::Result<Tensor, Error> {
        Ok(resample(&self.patches, self.side, grid)?)
    }
}

/// Resamples a square grid of embeddings to another, bicubically and with as wide a kernel as a smaller grid
/// needs.
///
/// Source: what timm's `resample_abs_pos_embed` and PyTorch's `interpolate` with `antialias` do.
///
/// # Shapes
/// - `embeddings`: `[1, side · side, hidden]`, f64
/// - returns: `[1, rows · columns, hidden]`, f64
fn resample(embeddings: &Tensor, side: usize, [rows, columns]: [usize; 2]) -> Result<Tensor> {
    let hidden = embeddings.dim(2)?;
    let grid = embeddings.clone();
    if [rows, columns] == [side, side] {
        return Ok(grid);
    }
    let across = weights(side, columns)?;
    let down = weights(side, rows)?;
    // [side, side · hidden] → [rows, side, hidden], then the columns of each row.
    let grid = down.matmul(&grid.reshape((side, side * hidden))?)?;
    let grid = grid.reshape((rows, side, hidden))?;
    let across = across.unsqueeze(0)?.broadcast_as((rows, columns, side))?;
    let grid = across.contiguous()?.matmul(&grid)?;
    grid.reshape((1, rows * columns, hidden))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use candle_core::Device;

    use super::*;

    #[test]
    fn tokens_before_the_patches_are_told_from_them() {
        let table = |tokens: usize, prefix| {
            let values = Tensor::arange(0f64, tokens as f64, &Device::Cpu).unwrap();
            Table::new(Some(values.reshape((1, tokens, 1)).unwrap()), prefix)
        };
        // Tokens, those before the patches in the file, those of them with embeddings.
        for (tokens, prefix, others) in [
            (196, 0, 0),
            (197, 1, 1),
            (198, 2, 2),
            (196, 5, 0),
            (201, 5, 5),
            (197, 5, 1),
        ] {
            let table = table(tokens, prefix).unwrap();
            assert_eq!(table.side(), 14);
            let patches = table.resampled([14, 14]).unwrap();
            let first = patches.flatten_all().unwrap().to_vec1::<f64>().unwrap()[0];
            assert_eq!(first, others as f64, "{tokens} {prefix}");
        }
        let error = table(14 * 7 + 1, 1).unwrap_err().to_string();
        assert!(
            error.starts_with("99 position embeddings, expected"),
            "{error}"
        );
        let error = Table::new(None, 1).unwrap_err().to_string();
        assert!(error.starts_with("position embeddings: none"), "{error}");
    }
}
