use rayon::prelude::*;

use super::forward::{Block, FIRST, Kept, Normed, SECOND, SHORTCUT};
use super::plane::undo_last_activation;
use crate::conv2d::Kernel;
use crate::conv2d::correlate::weight_gradient;
use crate::cpu::{Real, Write, add, unwritten};

impl<T: Real> Block<'_, T> {
    /// The gradients of the arguments, as far as they are wanted: for each image that of the inputs, one
    /// after the other along the channels, and those of the convolutions.
    pub(super) fn backward(
        &self,
        kept: Vec<Kept<T>>,
        ys: &[T],
        grads: &[T],
        wanted: &Wanted,
    ) -> (Vec<Vec<T>>, Vec<ConvGradients<T>>) {
        let turned: Vec<Kernel<T>> = (0..self.convs.len())
            .map(|conv| {
                let shape = self.op.kernel_shape(conv);
                Kernel::backward(self.convs[conv].weight, shape, self.frame)
            })
            .collect();
        let images = kept.into_par_iter().enumerate().map(|(image, kept)| {
            let pixels = image * self.len()..(image + 1) * self.len();
            let result = (&ys[pixels.clone()], &grads[pixels]);
            self.backward_image(image, kept, result, &turned, wanted)
        });
        let (of_inputs, shares): (Vec<_>, Vec<_>) = images.unzip();
        let sum = shares.into_iter().reduce(|mut sum: Vec<_>, share| {
            for (sum, share) in sum.iter_mut().zip(&share) {
                ConvGradients::add(sum, share);
            }
            sum
        });
        (of_inputs, sum.unwrap_or_default())
    }

    /// The gradients from a result and its gradient; that of the inputs is empty if it is not wanted.
    /// What is kept is freed as soon as it has been used.
    fn backward_image(
        &self,
        image: usize,
        kept: Kept<T>,
        (ys, grads): (&[T], &[T]),
        turned: &[Kernel<T>],
        wanted: &Wanted,
    ) -> (Vec<T>, Vec<ConvGradients<T>>) {
        let (frame, pixels, slope) = (self.frame, self.op.pixels(), self.slope());
        let Kept {
            first,
            second,
            shortcut,
        } = kept;
        // SAFETY: each is written, channel by channel or by a convolution, before it is read.
        let (mut rectified, mut framed, mut of_hidden) = unsafe {
            let framed = frame.buffer(self.op.sizes.outputs);
            (unwritten(self.len()), framed, unwritten(self.len()))
        };
        self.each_channel(&mut rectified, pixels, |channel, result| {
            let (ys, grads) = (self.plane(ys, channel), self.plane(grads, channel));
            undo_last_activation(ys, grads, slope, result);
        });
        let convolve = |conv: usize, framed: &[T], result: &mut [T], write| {
            turned[conv].convolve(framed, result, write, self.threads);
        };

        let hidden = self.hidden(&first);
        let of_second =
            self.conv_gradients(wanted, SECOND, &hidden, &second, &rectified, &mut framed);
        drop((hidden, second));
        convolve(SECOND, &framed, &mut of_hidden, Write::Replace);
        self.each_channel(&mut of_hidden, pixels, |channel, grads| {
            let plane = self.plane(&first.planes, channel);
            first.norms[channel].undo_activation(plane, slope, grads);
        });

        let input = self.framed_input(image);
        let of_first = self.conv_gradients(wanted, FIRST, &input, &first, &of_hidden, &mut framed);
        drop((of_hidden, first));
        let size = if wanted.input {
            self.op.sizes.inputs * pixels
        } else {
            0
        };
        // SAFETY: the gradient of the first convolution writes every channel.
        let mut of_input = unsafe { unwritten(size) };
        if wanted.input {
            convolve(FIRST, &framed, &mut of_input, Write::Replace);
        }
        let mut gradients = vec![of_first, of_second];
        if let Some(shortcut) = shortcut {
            let of_shortcut =
                self.conv_gradients(wanted, SHORTCUT, &input, &shortcut, &rectified, &mut framed);
            gradients.push(of_shortcut);
            if wanted.input {
                convolve(SHORTCUT, &framed, &mut of_input, Write::Add);
            }
        } else if wanted.input {
            add(&mut of_input, &rectified);
        }
        (of_input, gradients)
    }

    /// The gradients of a convolution and its normalisation from the one of their result, `grads`;
    /// the gradient between the two is left in `framed`.
    fn conv_gradients(
        &self,
        wanted: &Wanted,
        conv: usize,
        input: &[T],
        normed: &Normed<T>,
        grads: &[T],
        framed: &mut [T],
    ) -> ConvGradients<T> {
        let frame = self.frame;
        let affine = self.each_channel(framed, frame.plane(), |channel, framed| {
            let plane = self.plane(&normed.planes, channel);
            let grads = self.plane(grads, channel);
            normed.norms[channel].backward(plane, grads, frame, framed)
        });
        let (scale, shift) = affine.into_iter().unzip();
        let mut weight = Vec::new();
        if wanted.weights[conv] {
            let shape = self.op.kernel_shape(conv);
            weight.resize(self.convs[conv].weight.len(), T::zero());
            weight_gradient(frame, input, framed, shape, &mut weight, self.threads);
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
