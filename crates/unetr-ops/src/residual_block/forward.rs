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

/// What the forward pass keeps: for each image what each convolution gives, and how each channel of
/// that is normalised.
#[derive(Debug)]
pub(super) struct Kept<T: Real> {
    pub(super) planes: Vec<T>,
    /// `[batch][convolution][channel]`
    pub(super) norms: Vec<Vec<Vec<Norm<T>>>>,
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
                    kernel: Kernel::forward(weight, op.weight_shape(conv), 1, frame),
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

    /// A convolution of a framed image and the statistics of its result.
    fn convolve(&self, conv: usize, framed: &[T], output: &mut [T]) -> Vec<Norm<T>> {
        let Conv { kernel, affine, .. } = &self.convs[conv];
        kernel.convolve(framed, output, Write::Replace, self.threads);
        self.each_channel(output, self.op.pixels(), |channel, plane| {
            let (weight, bias) = affine[channel];
            Norm::of(plane, self.op.eps, weight, bias)
        })
    }

    pub(super) fn slope(&self) -> T {
        T::of(self.op.slope)
    }

    pub(super) fn forward(&self, keep: Keep) -> (Vec<T>, Kept<T>) {
        let keep = keep == Keep::Activations;
        let (batch, convs) = (self.op.sizes.batch, self.convs.len());
        let kept_images = if keep { batch } else { 0 };
        // SAFETY: every channel of every image is written: of the result with the shortcut or the input
        // first, of the planes by the convolutions.
        let (mut ys, mut planes) = unsafe {
            let planes = unwritten(kept_images * convs * self.len());
            (unwritten(batch * self.len()), planes)
        };
        let norms = if keep {
            ys.par_chunks_mut(self.len())
                .zip(planes.par_chunks_mut(convs * self.len()))
                .enumerate()
                .map(|(image, (ys, planes))| self.forward_image(image, ys, planes))
                .collect()
        } else {
            ys.par_chunks_mut(self.len())
                .enumerate()
                .for_each(|(image, ys)| {
                    // SAFETY: the convolutions write them.
                    let mut planes = unsafe { unwritten(convs * self.len()) };
                    self.forward_image(image, ys, &mut planes);
                });
            Vec::new()
        };
        (ys, Kept { planes, norms })
    }

    fn forward_image(&self, image: usize, ys: &mut [T], planes: &mut [T]) -> Vec<Vec<Norm<T>>> {
        let (frame, pixels) = (self.frame, self.op.pixels());
        let (first, others) = planes.split_at_mut(self.len());
        let (second, shortcut) = others.split_at_mut(self.len());
        let framed = self.framed_input(image);
        let mut norms = vec![self.convolve(FIRST, &framed, first)];
        // SAFETY: the activation writes every channel.
        let mut hidden = unsafe { frame.buffer(self.op.sizes.outputs) };
        self.each_channel(&mut hidden, frame.plane(), |channel, hidden| {
            norms[FIRST][channel].activate(self.plane(first, channel), self.slope(), frame, hidden);
        });
        norms.push(self.convolve(SECOND, &hidden, second));
        if self.convs.len() > SHORTCUT {
            norms.push(self.convolve(SHORTCUT, &framed, shortcut));
            self.each_channel(ys, pixels, |channel, ys| {
                norms[SHORTCUT][channel].normalise(self.plane(shortcut, channel), ys);
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
            norms[SECOND][channel].finish(self.plane(second, channel), self.slope(), ys);
        });
        norms
    }
}
