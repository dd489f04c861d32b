use candle_core::{DType, Result, Tensor};

use super::{Array, Launch, runs_on_cuda};

/// Threads of a block of pixels, and its pixels: as in `pixels.cuh`.
const THREADS: usize = 256;
const CHUNK: usize = 8 * THREADS;

/// The most scores of one image: the kernels count them in 32 bits.
const MOST: usize = 1 << 30;

/// Scores of the pixels of a batch.
#[derive(Debug, Clone)]
pub(crate) struct Scores {
    /// `[batch, classes, ..]`
    pub(crate) array: Array,
    pub(crate) batch: usize,
    pub(crate) classes: usize,
    /// Of one image.
    pub(crate) pixels: usize,
}

impl Scores {
    /// Those of logits `[batch, classes, ..]`, of which there is one at least; nothing if the kernels
    /// do not take them.
    pub(crate) fn of(logits: &Tensor) -> Result<Option<Self>> {
        let (batch, classes) = (logits.dim(0)?, logits.dim(1)?);
        let image = logits.elem_count() / batch;
        if !runs_on_cuda(logits) || image > MOST {
            return Ok(None);
        }
        Ok(Some(Self {
            array: Array::of(logits)?,
            batch,
            classes,
            pixels: image / classes,
        }))
    }

    /// Blocks for each image.
    pub(crate) fn chunks(&self) -> usize {
        self.pixels.div_ceil(CHUNK)
    }

    pub(crate) fn blocks(&self) -> usize {
        self.batch * self.chunks()
    }

    /// Blocks for all pixels, with so many bytes of shared memory.
    pub(crate) fn launch(&self, shared: usize) -> Launch {
        Launch {
            grid: [self.blocks(), 1, 1],
            block: [THREADS, 1, 1],
            shared,
        }
    }
}

/// Labels of pixels, any integers.
#[derive(Debug, Clone)]
pub(crate) struct Labels {
    pub(crate) array: Array,
    /// Below 0 if nothing is ignored.
    pub(crate) ignore_index: i64,
}

impl Labels {
    pub(crate) fn of(labels: &Tensor, logits: &Tensor, ignore_index: Option<u32>) -> Result<Self> {
        Ok(Self {
            array: Array::of(&labels.to_device(logits.device())?)?,
            ignore_index: ignore_index.map_or(-1, i64::from),
        })
    }

    /// What a label takes, by which the kernels know their type.
    pub(crate) fn bytes(&self) -> usize {
        self.array.dtype().size_in_bytes()
    }
}

/// Scores in f32 and labels.
#[derive(Debug, Clone)]
pub(crate) struct Pixels {
    pub(crate) scores: Scores,
    pub(crate) labels: Labels,
}

impl Pixels {
    /// Those of logits and labels that have been checked; nothing if the kernels do not take them.
    pub(crate) fn of(
        logits: &Tensor,
        labels: &Tensor,
        ignore_index: Option<u32>,
    ) -> Result<Option<Self>> {
        let Some(scores) = Scores::of(logits)? else {
            return Ok(None);
        };
        let array = scores.array.to_dtype(DType::F32)?;
        Ok(Some(Self {
            scores: Scores { array, ..scores },
            labels: Labels::of(labels, logits, ignore_index)?,
        }))
    }
}
