use crate::{Error, Result};

/// The longest side that an output may have.
const LARGEST_SIDE: usize = 1 << 15;

/// Checks that a range is finite, in order and inside `[lowest, highest]`.
pub(super) fn check_range(
    transform: &'static str,
    field: &str,
    [min, max]: [f64; 2],
    [lowest, highest]: [f64; 2],
) -> Result<()> {
    if min.is_finite() && max.is_finite() && lowest <= min && min <= max && max <= highest {
        return Ok(());
    }
    Err(Error::InvalidTransform {
        transform,
        reason: format!(
            "{field} is [{min}, {max}]; give the smaller bound first, both between {lowest} and {highest}"
        ),
    })
}

/// Checks the height and width of an output.
pub(super) fn check_size(transform: &'static str, [height, width]: [usize; 2]) -> Result<()> {
    if (1..=LARGEST_SIDE).contains(&height) && (1..=LARGEST_SIDE).contains(&width) {
        return Ok(());
    }
    Err(Error::InvalidTransform {
        transform,
        reason: format!(
            "size is {height}x{width} (height x width); each side must be 1 to {LARGEST_SIDE}"
        ),
    })
}
