//! The gradient of a 3×3 kernel by minimal filtering: the adjoint of what [`winograd`](super::winograd)
//! computes. With tiles `d` of the input and `y` of the gradient of the output, the gradient of the
//! transformed kernel is `Σ (A·y·Aᵀ) ∘ (Bᵀ·d·B)` over the tiles, a matrix product for each of 16 places,
//! and `Gᵀ·(…)·G` takes it to that of the kernel.
//!
//! Vectors are channels here, so that the products sum over tiles.

mod finish;
mod transform;

use std::ops::Range;

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use finish::Finish;
use transform::Transform;

use super::frame::Frame;
use super::kernel::KernelShape;
use super::winograd::{CHANNELS, PLACES};
use crate::cpu::{Aligned, Real, Registers, Rows, Threads, Write, dispatch, tile, tile_rows};

/// The most tiles of a block, whose transforms stay in the second-level cache,
const TILES: usize = 64;
/// and those in one of its rows.
const COLUMNS: usize = 16;
/// Blocks that are transformed before they are multiplied, if all threads share an image.
const BLOCKS: usize = 16;

/// What the gradient of a weight `[outputs, inputs, 3, 3]` is computed from.
#[derive(Debug, Clone, Copy)]
pub(super) struct WinogradGradient<'a, T> {
    pub(super) frame: Frame,
    /// What the convolution saw, framed.
    pub(super) input: &'a [T],
    /// The gradient of what it gave, framed.
    pub(super) output: &'a [T],
    pub(super) outputs: usize,
    pub(super) inputs: usize,
}

/// Whether the gradient of a weight can be computed, and is faster, this way.
pub(super) fn fits(frame: Frame, shape: KernelShape) -> bool {
    (shape.height, shape.width, shape.dilation) == (3, 3, 1)
        && frame.height.is_multiple_of(2)
        && frame.width.is_multiple_of(2)
        && shape.outputs >= CHANNELS
        && shape.inputs >= CHANNELS
}

/// How the channels of the input, or of the output, are laid out.
#[derive(Debug, Clone, Copy)]
struct Layout {
    channels: usize,
    lanes: usize,
    /// Vectors of a panel; the last one may have fewer.
    panel: usize,
    /// Channels, filled up.
    width: usize,
}

impl Layout {
    /// In panels for matrix products.
    fn panels(channels: usize, registers: Registers) -> Self {
        let lanes = registers.lanes;
        let vectors = channels.div_ceil(lanes);
        let panels = vectors.div_ceil(registers.vectors).max(1);
        Self {
            channels,
            lanes,
            panel: vectors.div_ceil(panels).max(1),
            width: vectors * lanes,
        }
    }

    /// All beside each other, up to whole tiles.
    fn rows(channels: usize, Registers { lanes, rows, .. }: Registers) -> Self {
        let width = channels.next_multiple_of(lanes).next_multiple_of(rows);
        Self {
            channels,
            lanes,
            panel: (width / lanes).max(1),
            width,
        }
    }

    fn vectors(self) -> usize {
        self.channels.div_ceil(self.lanes)
    }

    /// Where a vector begins in each of `tiles` rows of its panel, and how far apart these rows are.
    fn place(self, vector: usize, tiles: usize) -> (usize, usize) {
        let first = vector - vector % self.panel;
        let width = (self.panel * self.lanes).min(self.width - first * self.lanes);
        let start = first * self.lanes * tiles + vector % self.panel * self.lanes;
        (start, width)
    }
}

/// Tiles of 2×2 output pixels that are neighbours.
#[derive(Debug, Clone)]
struct Block {
    rows: Range<usize>,
    columns: Range<usize>,
}

impl Block {
    fn tiles(&self) -> usize {
        self.rows.len() * self.columns.len()
    }
}

/// The tiles of a block, transformed.
struct Transformed<T: Real> {
    tiles: usize,
    /// `[places][panel][tiles, width of the panel]`
    input: Aligned<T>,
    /// `[places][tiles, width]`
    output: Aligned<T>,
}

impl<T: Real> WinogradGradient<'_, T> {
    /// Adds the gradient of the weight to `share`.
    pub(super) fn add_to(&self, share: &mut [T], threads: Threads) {
        let registers = Registers::of::<T>();
        let inputs = Layout::panels(self.inputs, registers);
        let outputs = Layout::rows(self.outputs, registers);
        let blocks = self.blocks();
        let size = outputs.width * inputs.width;
        let mut sums = Aligned::new(PLACES * size);
        sums.fill(T::zero());
        let multiply = |block: &Transformed<T>, place: usize, sums: &mut [T]| {
            dispatch(Multiply {
                block,
                place,
                inputs,
                outputs,
                sums,
            });
        };
        match threads {
            Threads::One => {
                for block in &blocks {
                    let block = self.transform(block, inputs, outputs);
                    for (place, sums) in sums.chunks_exact_mut(size).enumerate() {
                        multiply(&block, place, sums);
                    }
                }
            }
            Threads::All => {
                for blocks in blocks.chunks(BLOCKS) {
                    let blocks = blocks.par_iter();
                    let blocks: Vec<Transformed<T>> = blocks
                        .map(|block| self.transform(block, inputs, outputs))
                        .collect();
                    let places = sums.par_chunks_exact_mut(size).enumerate();
                    places.for_each(|(place, sums)| {
                        for block in &blocks {
                            multiply(block, place, sums);
                        }
                    });
                }
            }
        }
        dispatch(Finish {
            sums: &sums,
            size,
            inputs,
            share,
        });
    }

    fn blocks(&self) -> Vec<Block> {
        let (rows, columns) = (self.frame.height / 2, self.frame.width / 2);
        let wide = columns.clamp(1, COLUMNS);
        let high = TILES / wide;
        let mut blocks = Vec::new();
        for row in (0..rows).step_by(high) {
            for column in (0..columns).step_by(wide) {
                blocks.push(Block {
                    rows: row..rows.min(row + high),
                    columns: column..columns.min(column + wide),
                });
            }
        }
        blocks
    }

    fn transform(&self, block: &Block, inputs: Layout, outputs: Layout) -> Transformed<T> {
        let tiles = block.tiles();
        let mut transformed = Transformed {
            tiles,
            input: Aligned::new(PLACES * place_stride(inputs, tiles)),
            output: Aligned::new(PLACES * place_stride(outputs, tiles)),
        };
        dispatch(Transform {
            gradient: self,
            block,
            inputs,
            outputs,
            to: &mut transformed,
        });
        transformed
    }
}

/// From one place of transformed tiles to the next: not the size of the places alone, which is often a
/// power of two, so that they would compete for the same lines of the cache.
fn place_stride(layout: Layout, tiles: usize) -> usize {
    tiles * layout.width + layout.lanes
}

/// Adds the products of one place of a block.
struct Multiply<'a, T: Real> {
    block: &'a Transformed<T>,
    place: usize,
    inputs: Layout,
    outputs: Layout,
    /// `[rows of a tile][panel][rows, width of the panel]`
    sums: &'a mut [T],
}

impl<T: Real> WithSimd for Multiply<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (tiles, inputs, outputs) = (self.block.tiles, self.inputs, self.outputs);
        let height = tile_rows::<S>();
        let input = &self.block.input[self.place * place_stride(inputs, tiles)..];
        let output = &self.block.output[self.place * place_stride(outputs, tiles)..];
        let mut rest = self.sums;
        for row in (0..outputs.width).step_by(height) {
            for vector in (0..inputs.vectors()).step_by(inputs.panel) {
                let (start, width) = inputs.place(vector, tiles);
                let (sums, others) = rest.split_at_mut(height * width);
                rest = others;
                let rows = Rows {
                    first: &output[row..],
                    stride: outputs.width,
                };
                let vectors = width / inputs.lanes;
                let panel = &input[start..];
                tile(simd, rows, panel, tiles, vectors, sums, Write::Add);
            }
        }
    }
}
