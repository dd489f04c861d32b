//! First the gradients of the images, in the parts of the forward pass; then those of the parameters,
//! of all images at once.

use rayon::prelude::*;

use super::cpu::{Op, Parameters, Weights};
use super::forward::{Kept, Widths};
use crate::cpu::{Buffer, Real, Threads, add_in_parallel, unwritten};
use crate::layer_norm::Gradients as Norm;

/// What the gradients of the parameters are computed from, for every token one after the other: the
/// inputs of the layers, as far as they are not kept, and the gradients of their results.
struct Layers<T: Real> {
    normed1: Buffer<T>,
    of_qkv: Buffer<T>,
    of_middle: Buffer<T>,
    normed2: Buffer<T>,
    of_hidden: Buffer<T>,
    activated: Buffer<T>,
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
    fn new(widths: &Widths, tokens: usize) -> Self {
        Self {
            normed1: Buffer::new(tokens * widths.hidden),
            of_qkv: Buffer::new(tokens * widths.qkv),
            of_middle: Buffer::new(tokens * widths.hidden),
            normed2: Buffer::new(tokens * widths.hidden),
            of_hidden: Buffer::new(tokens * widths.mlp),
            activated: Buffer::new(tokens * widths.mlp),
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
        // SAFETY: every part is written.
        let mut of_xs = unsafe { unwritten(p.xs.len()) };
        let mut layers = Layers::new(&widths, p.xs.len() / widths.hidden);
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
        let mut of_normed = Buffer::new(xs.len());
        p.linear1.input_gradient(of_hidden, &mut of_normed, threads);
        let norm2 = self.norm.backward(middle, weight, &of_normed, of_middle);
        add_in_parallel(of_middle, grads);

        let mut of_mixed = Buffer::new(xs.len());
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
