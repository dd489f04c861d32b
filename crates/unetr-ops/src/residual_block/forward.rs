//! One image after the other goes through the whole block, in parallel over the images; a batch of
//! fewer images than threads in parallel over channels.

use rayon::prelude::*;

use super::cpu::Op;
use super::plane::Norm;
use crate::Keep;
use crate::conv2d::{Frame, Kernel};
use crate::cpu::{Real, Threads, Write, unwritten};

pub(super) const FIRST: usize = 0;
pub(super) const SECOND: usize = 1;
pub(super) const SHORTCUT: usize = 2;

/// A block with its numbers.
pub(super) struct Block<'a, T: Real> {
    pub(super) op: &'a Op,
    pub(super) frame: Frame,
    pub(super) threads: Threads,
    inputs: Vec<&'a [T]>,
    pub(super) convs: Vec<Conv<'a, T>>,
}

pub(super) struct Conv<'a, T: Real> {
    pub(super) weight: &'a [T],
    kernel: Kernel<T>,
    /// Scale and shift of each channel after the normalisation.
    affine: Vec<(T, T)>,
}

/// What the forward pass keeps of an image.
#[derive(Debug)]
pub(super) struct Kept<T> {
    pub(super) first: Normed<T>,
    pub(super) second: Normed<T>,
    pub(super) shortcut: Option<Normed<T>>,
}

/// What a convolution gives for an image, and how each channel of that is normalised.
#[derive(Debug)]
pub(super) struct Normed<T> {
    pub(super) planes: Vec<T>,
    pub(super) norms: Vec<Norm<T>>,
}

impl<'a, T: Real> Block<'a, T> {
    pub(super) fn new(op: &'a Op, arguments: &[&'a [T]]) -> Self {
        let frame = op.frame();
        let (inputs, parameters) = arguments.split_at(op.inputs.len());
        let mut parameters = parameters.iter().copied();
        let mut next = || parameters.next().unwrap_or_default();
        let convs = (0..op.kernels.len())
            .map(|conv| {
                let weight = next();
                let affine = if op.affine[conv] {
                    let (scales, shifts) = (next(), next());
                    scales.iter().copied().zip(shifts.iter().copied()).collect()
                } else {
                    vec![(T::one(), T::zero()); op.sizes.outputs]
                };
                Conv {
                    weight,
                    kernel: Kernel::forward(weight, op.kernel_shape(conv), frame),
                    affine,
                }
            })
            .collect();
        Self {
            op,
            frame,
            threads: Threads::inside(op.sizes.batch),
            inputs: inputs.to_vec(),
            convs,
        }
    }

    /// Elements of the output of one image.
    pub(super) fn len(&self) -> usize {
        self.op.sizes.outputs * self.op.pixels()
    }

    /// The framed inputs of an image, one after the other along the channels.
    pub(super) fn framed_input(&self, image: usize) -> Vec<T> {
        // SAFETY: all inputs are copied to it.
        let mut framed = unsafe { self.frame.buffer(self.op.sizes.inputs) };
        let pixels = self.op.pixels();
        let inputs = self.inputs.iter().zip(&self.op.inputs);
        let planes = inputs.flat_map(|(input, channels)| {
            let size = channels * pixels;
            input[image * size..][..size].chunks_exact(pixels)
        });
        framed
            .par_chunks_mut(self.frame.plane())
            .zip(planes.collect::<Vec<_>>())
            .with_min_len(self.min_channels())
            .for_each(|(framed, plane)| self.frame.fill(framed, plane));
        framed
    }

    /// The fewest channels that one task is given.
    fn min_channels(&self) -> usize {
        match self.threads {
            Threads::One => usize::MAX,
            Threads::All => 1,
        }
    }

    /// Calls `f` for every channel with its plane of `planes`, in parallel where an image is shared
    /// by all threads.
    pub(super) fn each_channel<R: Send>(
        &self,
        planes: &mut [T],
        size: usize,
        f: impl Fn(usize, &mut [T]) -> R + Sync,
    ) -> Vec<R> {
        let channels = self.op.sizes.outputs;
        let planes = planes[..channels * size].par_chunks_mut(size).enumerate();
        planes
            .with_min_len(self.min_channels())
            .map(|(channel, plane)| f(channel, plane))
            .collect()
    }

    /// A channel of planes without a border.
    pub(super) fn plane<'b>(&self, planes: &'b [T], channel: usize) -> &'b [T] {
        &planes[channel * self.op.pixels()..][..self.op.pixels()]
    }

    /// A convolution of a framed image.
    fn convolve(&self, conv: usize, framed: &[T]) -> Normed<T> {
        let Conv { kernel, affine, .. } = &self.convs[conv];
        // SAFETY: the convolution writes every channel.
        let mut planes = unsafe { unwritten(self.len()) };
        kernel.convolve(framed, &mut planes, Write::Replace, self.threads);
        let norms = self.each_channel(&mut planes, self.op.pixels(), |channel, plane| {
            let (weight, bias) = affine[channel];
            Norm::of(plane, self.op.eps, weight, bias)
        });
        Normed { planes, norms }
    }

    pub(super) fn slope(&self) -> T {
        T::of(self.op.slope)
    }

    /// The result, and what the backward pass needs of each image if it is wanted.
    pub(super) fn forward(&self, keep: Keep) -> (Vec<T>, Vec<Kept<T>>) {
        // SAFETY: every channel of every image is written, with the shortcut or the input first.
        let mut ys = unsafe { unwritten(self.op.sizes.batch * self.len()) };
        let images = ys.par_chunks_mut(self.len()).enumerate();
        let kept = images.map(|(image, ys)| {
            let kept = self.forward_image(image, ys);
            (keep == Keep::Activations).then_some(kept)
        });
        let kept = kept.collect::<Vec<_>>().into_iter().flatten().collect();
        (ys, kept)
    }

    /// What the first convolution gives, normalised and rectified, as the second one sees
    /// it.
    pub(super) fn hidden(&self, first: &Normed<T>) -> Vec<T> {
        // SAFETY: the activation writes every channel.
        let mut hidden = unsafe { self.frame.buffer(self.op.sizes.outputs) };
        self.each_channel(&mut hidden, self.frame.plane(), |channel, hidden| {
            let plane = self.plane(&first.planes, channel);
            first.norms[channel].activate(plane, self.slope(), self.frame, hidden);
        });
        hidden
    }

    fn forward_image(&self, image: usize, ys: &mut [T]) -> Kept<T> {
        let pixels = self.op.pixels();
        let framed = self.framed_input(image);
        let first = self.convolve(FIRST, &framed);
        let second = self.convolve(SECOND, &self.hidden(&first));
        let shortcut = (self.convs.len() > SHORTCUT).then(|| self.convolve(SHORTCUT, &framed));
        if let Some(Normed { planes, norms }) = &shortcut {
            self.each_channel(ys, pixels, |channel, ys| {
                norms[channel].normalise(self.plane(planes, channel), ys);
            });
        } else {
            let input = self.inputs.iter().zip(&self.op.inputs);
            let mut rest = &mut *ys;
            for (input, &channels) in input {
                let size = channels * pixels;
                let (now, later) = rest.split_at_mut(size);
                now.copy_from_slice(&input[image * size..][..size]);
                rest = later;
            }
        }
        self.each_channel(ys, pixels, |channel, ys| {
            let plane = self.plane(&second.planes, channel);
            second.norms[channel].finish(plane, self.slope(), ys);
        });
        Kept {
            first,
            second,
            shortcut,
        }
    }
}
