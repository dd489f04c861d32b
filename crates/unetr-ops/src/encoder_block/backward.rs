//! First the gradients of the images, in the parts of the forward pass; then those of the parameters,
//! of all images at once.

use rayon::prelude::*;

use super::cpu::{Op, Parameters, Weights};
use super::forward::{Kept, Widths};
use crate::cpu::{Real, Threads, add_in_parallel, unwritten};
use crate::layer_norm::Gradients as Norm;

/// What the gradients of the parameters are computed from, for every token one after the other: the
/// inputs of the layers, as far as they are not kept, and the gradients of their results.
struct Layers<T: Real> {
    normed1: Vec<T>,
    of_qkv: Vec<T>,
    of_middle: Vec<T>,
    normed2: Vec<T>,
    of_hidden: Vec<T>,
    activated: Vec<T>,
}

/// A part of it, to be written.
struct LayersPart<'a, T> {
    normed1: &'a mut [T],
    of_qkv: &'a mut [T],
    of_middle: &'a mut [T],
    normed2: &'a mut [T],
    of_hidden: &'a mut [T],
    activated: &'a mut [T],
}

impl<T: Real> Layers<T> {
    /// # Safety
    /// Every part is written before it is read.
    unsafe fn new(widths: &Widths, tokens: usize) -> Self {
        // SAFETY: as the caller vouches.
        let new = |width: usize| unsafe { unwritten(tokens * width) };
        Self {
            normed1: new(widths.hidden),
            of_qkv: new(widths.qkv),
            of_middle: new(widths.hidden),
            normed2: new(widths.hidden),
            of_hidden: new(widths.mlp),
            activated: new(widths.mlp),
        }
    }

    fn parts(&mut self, op: &Op) -> impl IndexedParallelIterator<Item = LayersPart<'_, T>> {
        let widths = op.widths();
        let (hidden, mlp) = (op.part(widths.hidden), op.part(widths.mlp));
        self.normed1
            .par_chunks_mut(hidden)
            .zip(self.of_qkv.par_chunks_mut(op.part(widths.qkv)))
            .zip(self.of_middle.par_chunks_mut(hidden))
            .zip(self.normed2.par_chunks_mut(hidden))
            .zip(self.of_hidden.par_chunks_mut(mlp))
            .zip(self.activated.par_chunks_mut(mlp))
            .map(
                |(((((normed1, of_qkv), of_middle), normed2), of_hidden), activated)| LayersPart {
                    normed1,
                    of_qkv,
                    of_middle,
                    normed2,
                    of_hidden,
                    activated,
                },
            )
    }
}

/// What the forward pass of a part had and kept, and the gradient of its result.
struct Given<'a, T> {
    xs: &'a [T],
    grads: &'a [T],
    qkv: &'a [T],
    middle: &'a [T],
    hidden: &'a [T],
}

impl<T: Real> Weights<'_, T> {
    /// `grads · weight`
    fn input_gradient(&self, grads: &[T], of_xs: &mut [T], threads: Threads) {
        self.layer
            .input_gradient_to(grads, self.weight, of_xs, threads);
    }
}

/// The gradients of the arguments, in their order.
struct Gradients<'a, T> {
    /// Which arguments have no gradient yet, and whether theirs is wanted.
    wanted: &'a [bool],
    values: Vec<Option<Vec<T>>>,
}

impl<T: Real> Gradients<'_, T> {
    /// The gradient of the next argument, computed if it is wanted.
    fn push(&mut self, gradient: impl FnOnce() -> Vec<T>) {
        let wanted = self.wanted.split_first();
        self.values.push(wanted.and_then(|(wanted, others)| {
            self.wanted = others;
            wanted.then(gradient)
        }));
    }

    fn push_norm<'a>(&mut self, width: usize, parts: impl Iterator<Item = &'a Norm<T>>) {
        let Norm { weight, bias } = Norm::sum(width, parts);
        self.push(|| weight);
        self.push(|| bias);
    }

    /// Of a layer with such an input and such a gradient of its result.
    fn push_layer(&mut self, layer: &Weights<'_, T>, xs: &[T], grads: &[T]) {
        self.push(|| layer.layer.weight_gradient(xs, grads));
        if layer.bias.is_some() {
            self.push(|| layer.layer.bias_gradient(grads));
        }
    }
}

impl Op {
    /// The gradients of the arguments that are wanted, in their order.
    pub(super) fn backward_parts<T: Real>(
        &self,
        p: &Parameters<'_, T>,
        kept: &Kept<T>,
        grads: &[T],
        wanted: &[bool],
    ) -> Vec<Option<Vec<T>>> {
        let widths = self.widths();
        let hidden = self.part(widths.hidden);
        // SAFETY: the backward pass of each part writes it.
        let (mut of_xs, mut layers) = unsafe {
            let layers = Layers::new(&widths, p.xs.len() / widths.hidden);
            (unwritten(p.xs.len()), layers)
        };
        let given =
            p.xs.par_chunks(hidden)
                .zip(grads.par_chunks(hidden))
                .zip(kept.qkv.par_chunks(self.part(widths.qkv)))
                .zip(kept.middle.par_chunks(hidden))
                .zip(kept.hidden.par_chunks(self.part(widths.mlp)))
                .map(|((((xs, grads), qkv), middle), hidden)| Given {
                    xs,
                    grads,
                    qkv,
                    middle,
                    hidden,
                });
        let norms: Vec<[Norm<T>; 2]> = of_xs
            .par_chunks_mut(hidden)
            .zip(layers.parts(self))
            .zip(given)
            .map(|((of_xs, layers), given)| self.backward_part(p, &given, layers, of_xs))
            .collect();
        let mut gradients = Gradients {
            wanted,
            values: Vec::with_capacity(wanted.len()),
        };
        gradients.push(|| of_xs);
        gradients.push_norm(widths.hidden, norms.iter().map(|[norm, _]| norm));
        gradients.push_layer(&p.qkv, &layers.normed1, &layers.of_qkv);
        gradients.push_layer(&p.projection, &kept.mixed, &layers.of_middle);
        gradients.push_norm(widths.hidden, norms.iter().map(|[_, norm]| norm));
        gradients.push_layer(&p.linear1, &layers.normed2, &layers.of_hidden);
        gradients.push_layer(&p.linear2, &layers.activated, grads);
        gradients.values
    }

    /// The gradients of both normalisations' parameters; those of the input and of the layers' results
    /// are written.
    fn backward_part<T: Real>(
        &self,
        p: &Parameters<'_, T>,
        given: &Given<'_, T>,
        layers: LayersPart<'_, T>,
        of_xs: &mut [T],
    ) -> [Norm<T>; 2] {
        let threads = self.threads();
        let &Given {
            xs,
            grads,
            qkv,
            middle,
            hidden,
        } = given;
        let LayersPart {
            normed1,
            of_qkv,
            of_middle,
            normed2,
            of_hidden,
            activated,
        } = layers;
        p.linear2.input_gradient(grads, of_hidden, threads);
        self.gelu.forward_and_backward(hidden, activated, of_hidden);
        let (weight, bias) = p.norm2;
        self.norm.forward(middle, weight, bias, normed2);
        // SAFETY: the layers' gradients are written to them.
        let (mut of_normed, mut of_mixed) = unsafe { (unwritten(xs.len()), unwritten(xs.len())) };
        p.linear1.input_gradient(of_hidden, &mut of_normed, threads);
        let norm2 = self.norm.backward(middle, weight, &of_normed, of_middle);
        add_in_parallel(of_middle, grads);

        p.projection
            .input_gradient(of_middle, &mut of_mixed, threads);
        let heads = self.heads_of(xs.len() / self.widths().hidden);
        heads.backward(qkv, &of_mixed, of_qkv);
        let (weight, bias) = p.norm1;
        self.norm.forward(xs, weight, bias, normed1);
        p.qkv.input_gradient(of_qkv, &mut of_normed, threads);
        let norm1 = self.norm.backward(xs, weight, &of_normed, of_xs);
        add_in_parallel(of_xs, of_middle);
        [norm1, norm2]
    }
}
