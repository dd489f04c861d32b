use candle_core::{Result, Tensor};

pub(super) fn linear(xs: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    let (outputs, inputs) = weight.dims2()?;
    let rows = xs.elem_count() / inputs;
    let mut shape = xs.dims().to_vec();
    if let Some(last) = shape.last_mut() {
        *last = outputs;
    }
    let ys = xs.reshape((rows, inputs))?.matmul(&weight.t()?)?;
    match bias {
        Some(bias) => ys.broadcast_add(bias)?.reshape(shape),
        None => ys.reshape(shape),
    }
}
