//! Updates of many variables in place, and the norm of many tensors, in a launch or two.

use candle_core::{CudaDevice, DType, Device, Result, Tensor, Var};

use super::launch::Arg;
use super::{Array, Launch, args, launch, runs_on_cuda};
use crate::AdamUpdate;

/// Elements and threads of a block, as in `optimizer.cu`.
const THREADS: usize = 256;
const CHUNK: usize = 8 * THREADS;

/// Whether the kernels take variables that are written and tensors that are read: f32 on one GPU, the
/// variables without gaps.
pub(crate) fn fits(written: &[&Tensor], read: &[&Tensor]) -> bool {
    let same = |x: &&Tensor| x.dtype() == DType::F32;
    written.iter().all(|x| x.is_contiguous())
        && written.iter().chain(read).all(same)
        && on_one_gpu(written.iter().chain(read).copied())
}

/// Whether all tensors are on the same GPU, and of types that the kernels know.
pub(crate) fn on_one_gpu<'a>(tensors: impl IntoIterator<Item = &'a Tensor>) -> bool {
    let mut tensors = tensors.into_iter().peekable();
    let Some(first) = tensors.peek().map(|x| x.device()) else {
        return false;
    };
    tensors.all(|x| runs_on_cuda(x) && x.device().same_device(first))
}

/// What a launch is about: a row of 64-bit words for each tensor.
#[derive(Default)]
struct Table {
    words: Vec<i64>,
    rows: usize,
    blocks: usize,
    /// What the rows point to.
    arrays: Vec<Array>,
}

impl Table {
    /// A row of a tensor of so many elements, the addresses of arrays, then some numbers.
    fn push(&mut self, count: usize, arrays: impl IntoIterator<Item = Array>, numbers: &[f32]) {
        if count == 0 {
            return;
        }
        self.words.extend([self.blocks as i64, count as i64]);
        for array in arrays {
            self.words.push(array.address() as i64);
            self.arrays.push(array);
        }
        let bits = |x: Option<&f32>| i64::from(x.copied().unwrap_or_default().to_bits());
        let pairs = numbers.chunks(2);
        let words = pairs.map(|pair| bits(pair.first()) | bits(pair.get(1)) << 32);
        self.words.extend(words);
        self.rows += 1;
        self.blocks += count.div_ceil(CHUNK);
    }

    /// Runs a kernel whose first argument is the table.
    fn launch(self, device: &CudaDevice, kernel: &str, more: &[Arg]) -> Result<()> {
        if self.rows == 0 {
            return Ok(());
        }
        let words = self.words.len();
        // So small that the copy does not wait for the GPU.
        let table = Tensor::from_vec(self.words, words, &Device::Cuda(device.clone()))?;
        let table = Array::of(&table)?;
        let args = [args![&table], more].concat();
        launch(device, "optimizer", kernel, blocks(self.blocks), &args)
    }
}

fn blocks(count: usize) -> Launch {
    Launch {
        grid: [count, 1, 1],
        block: [THREADS, 1, 1],
        shared: 0,
    }
}

/// One step of Adam of parameters, of which none is there twice, with their gradients.
pub(crate) fn adam(updates: &[AdamUpdate<'_>], gradients: &[Tensor]) -> Result<()> {
    let Some(first) = updates.first() else {
        return Ok(());
    };
    let mut table = Table::default();
    for (update, gradient) in updates.iter().zip(gradients) {
        let step = &update.step;
        let (correct_mean, correct_square) = step.bias_corrections();
        let numbers = [
            step.gradient_scale,
            step.beta1,
            1. - step.beta1,
            step.beta2,
            1. - step.beta2,
            step.learning_rate / correct_mean,
            1. / correct_square.sqrt(),
            step.eps,
            1. - step.learning_rate * step.weight_decay,
        ];
        let arrays = [update.parameter, gradient, update.moments].map(Array::of);
        let [parameter, gradient, moments] = arrays;
        let arrays = [parameter?, gradient?, moments?];
        let numbers = numbers.map(|x| x as f32);
        table.push(update.parameter.elem_count(), arrays, &numbers);
    }
    let rows = table.rows;
    table.launch(&super::device(first.parameter)?, "adam", args![rows])
}

/// `average = keep · average + (1 - keep) · value` for every pair; none depends on another.
pub(crate) fn moving_averages(pairs: &[(&Var, &Tensor)], keep: f64) -> Result<()> {
    let Some((first, _)) = pairs.first() else {
        return Ok(());
    };
    let mut table = Table::default();
    for (average, value) in pairs {
        let arrays = [Array::of(average)?, Array::of(value)?];
        table.push(average.elem_count(), arrays, &[]);
    }
    let args = args![table.rows, 1. - keep];
    table.launch(&super::device(first)?, "moving_average", args)
}

/// The sum of the squares of all elements of tensors on one GPU.
pub(crate) fn sum_of_squares(tensors: &[&Tensor]) -> Result<f64> {
    let Some(first) = tensors.first() else {
        return Ok(0.);
    };
    let device = super::device(first)?;
    let mut table = Table::default();
    for tensor in tensors {
        let array = Array::of(tensor)?.to_dtype(DType::F32)?;
        table.push(tensor.elem_count(), [array], &[]);
    }
    let (rows, count) = (table.rows, table.blocks);
    let partial = Array::empty(&device, DType::F64, [count])?;
    table.launch(&device, "squares", args![&partial, rows])?;
    let total = Array::empty(&device, DType::F64, [])?;
    let args = args![&partial, &total, count];
    launch(&device, "optimizer", "squares_total", blocks(1), args)?;
    // host sync: reads the sum
    total.into_tensor()?.to_scalar()
}
