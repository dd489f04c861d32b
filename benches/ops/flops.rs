//! How many floating-point operations products take, a multiplication and an addition being two.

/// Of a convolution whose output has `size x size` pixels.
pub(crate) fn conv(
    batch: usize,
    inputs: usize,
    outputs: usize,
    kernel: usize,
    size: usize,
) -> usize {
    2 * batch * inputs * outputs * kernel * kernel * size * size
}

/// Of the scores and of the mixture.
pub(crate) fn attention(batch: usize, tokens: usize, hidden: usize) -> usize {
    4 * batch * tokens * tokens * hidden
}

/// Of one block of the transformer.
pub(crate) fn encoder_block(batch: usize, tokens: usize, hidden: usize, mlp: usize) -> usize {
    let parameters = 4 * hidden * hidden + 2 * hidden * mlp;
    2 * batch * tokens * parameters + attention(batch, tokens, hidden)
}

/// Of one residual block with a convolution as its shortcut.
pub(crate) fn residual_block(batch: usize, inputs: usize, outputs: usize, size: usize) -> usize {
    conv(batch, inputs, outputs, 3, size)
        + conv(batch, outputs, outputs, 3, size)
        + conv(batch, inputs, outputs, 1, size)
}
