use rayon::prelude::*;

use super::forward::{Block, FIRST, Kept, Normed, SECOND, SHORTCUT};
use super::plane::undo_last_activation;
use crate::conv2d::Kernel;
use crate::conv2d::correlate::weight_gradient;
use crate::cpu::{Real, Write, add, unwritten};

impl<T: Real> Block<'_, T> {
    /// The gradients of the arguments, as far as they are wanted; that of the inputs one after the
    /// other along the channels of each image.
    pub(super) fn backward(
        &self,
        kept: Vec<Kept<T>>,
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
            .zip(kept)
            .enumerate()
            .map(|(image, (of_input, kept))| {
                let pixels = image * self.len()..(image + 1) * self.len();
                let result = (&ys[pixels.clone()], &grads[pixels]);
                self.backward_image(image, kept, result, &turned, wanted, of_input)
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

    /// The gradients from a result and its gradient, which free what is kept as soon as it is used.
    fn backward_image(
        &self,
        image: usize,
        kept: Kept<T>,
        (ys, grads): (&[T], &[T]),
        turned: &[Kernel<T>],
        wanted: &Wanted,
        mut of_input: Option<&mut [T]>,
    ) -> Vec<ConvGradients<T>> {
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
        if let Some(of_input) = &mut of_input {
            convolve(FIRST, &framed, of_input, Write::Replace);
        }
        let mut gradients = vec![of_first, of_second];
        if let Some(shortcut) = shortcut {
            let of_shortcut =
                self.conv_gradients(wanted, SHORTCUT, &input, &shortcut, &rectified, &mut framed);
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
