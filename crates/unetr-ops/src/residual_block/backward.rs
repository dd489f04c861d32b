use rayon::prelude::*;

use super::forward::{Block, FIRST, Kept, SECOND, SHORTCUT};
use super::plane::{Norm, undo_last_activation};
use crate::conv2d::Kernel;
use crate::conv2d::correlate::weight_gradient;
use crate::cpu::{Real, Write, add, unwritten};

impl<T: Real> Block<'_, T> {
    /// The gradients of the arguments, as far as they are wanted; that of the inputs one after the
    /// other along the channels of each image.
    pub(super) fn backward(
        &self,
        kept: &Kept<T>,
        ys: &[T],
        grads: &[T],
        wanted: &Wanted,
    ) -> (Option<Vec<T>>, Vec<ConvGradients<T>>) {
        let batch = self.op.sizes.batch;
        let size = self.op.sizes.inputs * self.op.pixels();
        let turned: Vec<Kernel<T>> = (0..self.convs.len())
            .map(|conv| {
                let shape = self.op.weight_shape(conv);
                Kernel::backward(self.convs[conv].weight, shape, 1, self.frame)
            })
            .collect();
        // SAFETY: the gradient of the first convolution writes every channel of every image.
        let mut of_input = wanted.input.then(|| unsafe { unwritten(batch * size) });
        let of_images: Vec<Option<&mut [T]>> = match &mut of_input {
            Some(of_input) => of_input.chunks_mut(size).map(Some).collect(),
            None => (0..batch).map(|_| None).collect(),
        };
        let shares: Vec<Vec<ConvGradients<T>>> = of_images
            .into_par_iter()
            .enumerate()
            .map(|(image, of_input)| {
                let size = self.convs.len() * self.len();
                let forward = ImageForward {
                    planes: &kept.planes[image * size..][..size],
                    norms: &kept.norms[image],
                    ys: &ys[image * self.len()..][..self.len()],
                };
                let grads = &grads[image * self.len()..][..self.len()];
                self.backward_image(image, &forward, grads, &turned, wanted, of_input)
            })
            .collect();
        let sum = shares.into_iter().reduce(|mut sum, share| {
            for (sum, share) in sum.iter_mut().zip(&share) {
                sum.add(share);
            }
            sum
        });
        (of_input, sum.unwrap_or_default())
    }

    fn backward_image(
        &self,
        image: usize,
        forward: &ImageForward<'_, T>,
        grads: &[T],
        turned: &[Kernel<T>],
        wanted: &Wanted,
        mut of_input: Option<&mut [T]>,
    ) -> Vec<ConvGradients<T>> {
        let (frame, pixels, slope) = (self.frame, self.op.pixels(), self.slope());
        let (first, norms) = (&forward.planes[..self.len()], forward.norms);
        // SAFETY: each is written, channel by channel or by a convolution, before it is read.
        let (mut rectified, mut hidden, mut framed, mut of_hidden) = unsafe {
            let outputs = self.op.sizes.outputs;
            let (hidden, framed) = (frame.buffer(outputs), frame.buffer(outputs));
            (unwritten(self.len()), hidden, framed, unwritten(self.len()))
        };
        self.each_channel(&mut rectified, pixels, |channel, result| {
            let (ys, grads) = (self.plane(forward.ys, channel), self.plane(grads, channel));
            undo_last_activation(ys, grads, slope, result);
        });

        self.each_channel(&mut hidden, frame.plane(), |channel, hidden| {
            norms[FIRST][channel].activate(self.plane(first, channel), slope, frame, hidden);
        });
        let of_second =
            self.conv_gradients(wanted, SECOND, &hidden, forward, &rectified, &mut framed);
        let convolve = |conv: usize, framed: &[T], result: &mut [T], write| {
            turned[conv].convolve(framed, result, write, self.threads);
        };
        convolve(SECOND, &framed, &mut of_hidden, Write::Replace);
        self.each_channel(&mut of_hidden, pixels, |channel, grads| {
            norms[FIRST][channel].undo_activation(self.plane(first, channel), slope, grads);
        });

        let input = self.framed_input(image);
        let of_first = self.conv_gradients(wanted, FIRST, &input, forward, &of_hidden, &mut framed);
        if let Some(of_input) = &mut of_input {
            convolve(FIRST, &framed, of_input, Write::Replace);
        }
        let mut gradients = vec![of_first, of_second];
        if self.convs.len() > SHORTCUT {
            let of_shortcut =
                self.conv_gradients(wanted, SHORTCUT, &input, forward, &rectified, &mut framed);
            gradients.push(of_shortcut);
            if let Some(of_input) = &mut of_input {
                convolve(SHORTCUT, &framed, of_input, Write::Add);
            }
        } else if let Some(of_input) = &mut of_input {
            add(of_input, &rectified);
        }
        gradients
    }

    /// The gradients of a convolution and its normalisation from the one of their result, `grads`;
    /// the gradient between the two is left in `framed`.
    fn conv_gradients(
        &self,
        wanted: &Wanted,
        conv: usize,
        input: &[T],
        forward: &ImageForward<'_, T>,
        grads: &[T],
        framed: &mut [T],
    ) -> ConvGradients<T> {
        let frame = self.frame;
        let planes = &forward.planes[conv * self.len()..][..self.len()];
        let affine = self.each_channel(framed, frame.plane(), |channel, framed| {
            let (plane, grads) = (self.plane(planes, channel), self.plane(grads, channel));
            forward.norms[conv][channel].backward(plane, grads, frame, framed)
        });
        let (scale, shift) = affine.into_iter().unzip();
        let mut weight = Vec::new();
        if wanted.weights[conv] {
            let shape = self.op.weight_shape(conv);
            weight.resize(self.convs[conv].weight.len(), T::zero());
            weight_gradient(frame, input, framed, shape, 1, &mut weight, self.threads);
        }
        ConvGradients {
            weight,
            scale,
            shift,
        }
    }
}

/// Which gradients are computed.
pub(super) struct Wanted {
    pub(super) input: bool,
    /// Of the weight of each convolution.
    pub(super) weights: Vec<bool>,
}

/// What the forward pass of one image has left.
struct ImageForward<'a, T> {
    planes: &'a [T],
    norms: &'a [Vec<Norm<T>>],
    ys: &'a [T],
}

/// The gradients of a convolution and its normalisation.
pub(super) struct ConvGradients<T> {
    /// Empty if it is not wanted.
    pub(super) weight: Vec<T>,
    pub(super) scale: Vec<T>,
    pub(super) shift: Vec<T>,
}

impl<T: Real> ConvGradients<T> {
    fn add(&mut self, other: &Self) {
        add(&mut self.weight, &other.weight);
        add(&mut self.scale, &other.scale);
        add(&mut self.shift, &other.shift);
    }
}
