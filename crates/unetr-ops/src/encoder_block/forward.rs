//! Images are computed in parts, each from the first normalisation to the last sum by one task, so
//! that its numbers stay in that core's cache and nobody waits for the others.

use rayon::prelude::*;

use super::Keep;
use super::cpu::{Op, Parameters, Weights};
use crate::attention::Heads;
use crate::cpu::{Real, Threads, Write, copy_in_parallel, unwritten};

/// Rows that a part should have at least: a layer's weights pass by once for every part.
const ROWS: usize = 256;

/// What the forward pass keeps, for every token one after the other.
#[derive(Debug)]
pub(super) struct Kept<T: Real> {
    pub(super) qkv: Vec<T>,
    pub(super) mixed: Vec<T>,
    /// The sum after the attention.
    pub(super) middle: Vec<T>,
    /// The MLP's hidden layer before its GELU.
    pub(super) hidden: Vec<T>,
}

/// A part of it, to be written.
struct KeptPart<'a, T> {
    qkv: &'a mut [T],
    mixed: &'a mut [T],
    middle: &'a mut [T],
    hidden: &'a mut [T],
}

impl<T: Real> Kept<T> {
    /// # Safety
    /// Every part is written before it is read.
    unsafe fn new(op: &Op, tokens: usize) -> Self {
        let widths = op.widths();
        // SAFETY: as the caller vouches.
        let new = |width: usize| unsafe { unwritten(tokens * width) };
        Self {
            qkv: new(widths.qkv),
            mixed: new(widths.hidden),
            middle: new(widths.hidden),
            hidden: new(widths.mlp),
        }
    }

    fn whole(&mut self) -> KeptPart<'_, T> {
        KeptPart {
            qkv: &mut self.qkv,
            mixed: &mut self.mixed,
            middle: &mut self.middle,
            hidden: &mut self.hidden,
        }
    }

    fn parts(&mut self, op: &Op) -> impl IndexedParallelIterator<Item = KeptPart<'_, T>> {
        let widths = op.widths();
        let hidden = op.part(widths.hidden);
        self.qkv
            .par_chunks_mut(op.part(widths.qkv))
            .zip(self.mixed.par_chunks_mut(hidden))
            .zip(self.middle.par_chunks_mut(hidden))
            .zip(self.hidden.par_chunks_mut(op.part(widths.mlp)))
            .map(|(((qkv, mixed), middle), hidden)| KeptPart {
                qkv,
                mixed,
                middle,
                hidden,
            })
    }
}

/// Numbers of a token.
pub(super) struct Widths {
    pub(super) hidden: usize,
    pub(super) qkv: usize,
    pub(super) mlp: usize,
}

impl<T: Real> Weights<'_, T> {
    /// `xs · weightᵀ + bias`, written to `ys` or added to it.
    fn forward(&self, xs: &[T], ys: &mut [T], write: Write, threads: Threads) {
        let parameters = (self.weight, self.bias);
        self.layer.forward_to(xs, parameters, ys, write, threads);
    }
}

impl Op {
    /// Images of a part. It does not depend on the number of threads, as no result may.
    fn images(&self) -> usize {
        ROWS.div_ceil(self.heads.tokens).min(self.heads.batch)
    }

    /// Numbers of a part of so many for each token.
    pub(super) fn part(&self, width: usize) -> usize {
        self.images() * self.heads.tokens * width
    }

    /// The attention of so many rows.
    pub(super) fn heads_of(&self, rows: usize) -> Heads {
        Heads {
            batch: rows / self.heads.tokens,
            ..self.heads
        }
    }

    pub(super) fn threads(&self) -> Threads {
        Threads::inside(self.heads.batch.div_ceil(self.images()))
    }

    /// The result, and what the backward pass needs if it is wanted.
    pub(super) fn forward_parts<T: Real>(
        &self,
        p: &Parameters<'_, T>,
        keep: Keep,
    ) -> (Vec<T>, Kept<T>) {
        // SAFETY: every part is written.
        let mut ys = unsafe { unwritten(p.xs.len()) };
        let part = self.part(self.widths().hidden);
        let parts = ys.par_chunks_mut(part).zip(p.xs.par_chunks(part));
        let tokens = p.xs.len() / self.widths().hidden;
        let kept = match keep {
            Keep::Activations => {
                // SAFETY: the forward pass of each part writes it.
                let mut kept = unsafe { Kept::new(self, tokens) };
                let parts = parts.zip(kept.parts(self));
                parts.for_each(|((ys, xs), kept)| self.forward_part(p, xs, ys, kept));
                kept
            }
            Keep::Input => {
                parts.for_each(|(ys, xs)| {
                    // SAFETY: the forward pass writes all of it.
                    let mut kept = unsafe { Kept::new(self, xs.len() / self.widths().hidden) };
                    let kept = kept.whole();
                    self.forward_part(p, xs, ys, kept);
                });
                // SAFETY: nothing is in it.
                unsafe { Kept::new(self, 0) }
            }
        };
        (ys, kept)
    }

    fn forward_part<T: Real>(
        &self,
        p: &Parameters<'_, T>,
        xs: &[T],
        ys: &mut [T],
        kept: KeptPart<'_, T>,
    ) {
        let threads = self.threads();
        let KeptPart {
            qkv,
            mixed,
            middle,
            hidden,
        } = kept;
        // SAFETY: the normalisation and the activation write them.
        let (mut normed, mut activated) = unsafe { (unwritten(xs.len()), unwritten(hidden.len())) };
        self.norm.forward(xs, p.norm1.0, p.norm1.1, &mut normed);
        p.qkv.forward(&normed, qkv, Write::Replace, threads);
        let heads = self.heads_of(xs.len() / self.widths().hidden);
        heads.forward(qkv, mixed);
        copy_in_parallel(xs, middle);
        p.projection.forward(mixed, middle, Write::Add, threads);
        self.norm.forward(middle, p.norm2.0, p.norm2.1, &mut normed);
        p.linear1.forward(&normed, hidden, Write::Replace, threads);
        self.gelu.forward(hidden, &mut activated);
        copy_in_parallel(middle, ys);
        p.linear2.forward(&activated, ys, Write::Add, threads);
    }
}
