//! One image after the other goes through the whole block, forward and backward, in parallel over
//! the images; a batch of fewer images than threads in parallel over channels.

use candle_core::{Result, Shape, Tensor, WithDType as _};
use rayon::prelude::*;

use super::plane::{Norm, undo_last_activation};
use super::{OP, ResidualBlock, Sizes};
use crate::conv2d::Frame;
use crate::conv2d::direct::{Kernel, Write, weight_gradient};
use crate::cpu::{Buffer, Locked, Real, Threads, add, for_real};
use crate::many;

pub(super) fn residual_block(
    inputs: &[&Tensor],
    block: &ResidualBlock<'_>,
    sizes: Sizes,
) -> Result<Tensor> {
    let convs = [Some(block.first), Some(block.second), block.shortcut];
    let convs: Vec<_> = convs.into_iter().flatten().collect();
    let mut arguments = inputs.to_vec();
    for conv in &convs {
        arguments.push(conv.weight);
        arguments.extend(
            conv.affine
                .iter()
                .flat_map(|affine| [affine.weight, affine.bias]),
        );
    }
    let arguments: Vec<Tensor> = arguments
        .iter()
        .map(|x| x.contiguous())
        .collect::<Result<_>>()?;
    let op = Op {
        sizes,
        inputs: inputs.iter().map(|xs| xs.dim(1)).collect::<Result<_>>()?,
        affine: convs.iter().map(|conv| conv.affine.is_some()).collect(),
        kernels: convs
            .iter()
            .map(|conv| conv.weight.dim(2))
            .collect::<Result<_>>()?,
        eps: block.eps,
        slope: block.negative_slope,
    };
    let keep = many::tracked(&arguments);
    let shape = Shape::from((sizes.batch, sizes.outputs, sizes.height, sizes.width));
    let locked = Locked::new(&arguments);
    for_real!(arguments[0], T => {
        let block = Block::<T>::new(&op, &locked.elements()?);
        let (ys, kept) = block.forward(keep);
        drop(locked);
        let storage = T::to_cpu_storage_owned(ys);
        many::node(OP, &arguments, (storage, shape), Node { op, kept })
    })
}

/// Everything about a block but its numbers.
#[derive(Debug, Clone)]
struct Op {
    sizes: Sizes,
    /// Channels of each input.
    inputs: Vec<usize>,
    /// Of the first convolution, the second and the shortcut, if there is one: whether its
    /// normalisation has a scale and a shift,
    affine: Vec<bool>,
    /// and the size of its kernel.
    kernels: Vec<usize>,
    eps: f64,
    slope: f64,
}

impl Op {
    fn pixels(&self) -> usize {
        self.sizes.height * self.sizes.width
    }

    /// The frame of every plane: its border is what the largest kernel reaches.
    fn frame(&self) -> Frame {
        let reach = self.kernels.iter().max().map_or(0, |kernel| kernel / 2);
        Frame {
            height: self.sizes.height,
            width: self.sizes.width,
            rows: reach,
            columns: reach,
        }
    }

    /// The shape of the weight of a convolution.
    fn weight_shape(&self, conv: usize) -> (usize, usize, usize, usize) {
        let inputs = if conv == SECOND {
            self.sizes.outputs
        } else {
            self.sizes.inputs
        };
        let kernel = self.kernels[conv];
        (self.sizes.outputs, inputs, kernel, kernel)
    }
}

const FIRST: usize = 0;
const SECOND: usize = 1;
const SHORTCUT: usize = 2;

/// A block with its numbers.
struct Block<'a, T> {
    op: &'a Op,
    frame: Frame,
    threads: Threads,
    inputs: Vec<&'a [T]>,
    convs: Vec<Conv<'a, T>>,
}

struct Conv<'a, T> {
    weight: &'a [T],
    kernel: Kernel<T>,
    /// Scale and shift of each channel after the normalisation.
    affine: Vec<(T, T)>,
}

/// What the forward pass keeps: for each image what each convolution gives, and how each channel of
/// that is normalised.
#[derive(Debug)]
struct Kept<T: Real> {
    planes: Buffer<T>,
    /// `[batch][convolution][channel]`
    norms: Vec<Vec<Vec<Norm<T>>>>,
}

impl<'a, T: Real> Block<'a, T> {
    fn new(op: &'a Op, arguments: &[&'a [T]]) -> Self {
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
    fn len(&self) -> usize {
        self.op.sizes.outputs * self.op.pixels()
    }

    /// The framed inputs of an image, one after the other along the channels.
    fn framed_input(&self, image: usize) -> Buffer<T> {
        let mut framed = self.frame.buffer(self.op.sizes.inputs);
        let mut first = 0;
        for (input, &channels) in self.inputs.iter().zip(&self.op.inputs) {
            let size = channels * self.op.pixels();
            let planes = &input[image * size..][..size];
            self.frame
                .fill(&mut framed[first * self.frame.plane()..], planes);
            first += channels;
        }
        framed
    }

    /// Calls `f` for every channel with its plane of `planes`, in parallel where an image is shared
    /// by all threads.
    fn each_channel<R: Send>(
        &self,
        planes: &mut [T],
        size: usize,
        f: impl Fn(usize, &mut [T]) -> R + Sync,
    ) -> Vec<R> {
        let channels = self.op.sizes.outputs;
        let planes = planes[..channels * size].par_chunks_mut(size).enumerate();
        let serial = match self.threads {
            Threads::One => channels,
            Threads::All => 1,
        };
        planes
            .with_min_len(serial)
            .map(|(channel, plane)| f(channel, plane))
            .collect()
    }

    /// A channel of planes without a border.
    fn plane<'b>(&self, planes: &'b [T], channel: usize) -> &'b [T] {
        &planes[channel * self.op.pixels()..][..self.op.pixels()]
    }

    /// A convolution of a framed image and the statistics of its result.
    fn convolve(&self, conv: usize, framed: &[T], output: &mut [T]) -> Vec<Norm<T>> {
        let Conv { kernel, affine, .. } = &self.convs[conv];
        kernel.convolve(framed, output, None, Write::Replace, self.threads);
        self.each_channel(output, self.op.pixels(), |channel, plane| {
            let (weight, bias) = affine[channel];
            Norm::of(plane, self.op.eps, weight, bias)
        })
    }

    fn slope(&self) -> T {
        T::of(self.op.slope)
    }

    fn forward(&self, keep: bool) -> (Vec<T>, Kept<T>) {
        let (batch, convs) = (self.op.sizes.batch, self.convs.len());
        let mut ys = vec![T::zero(); batch * self.len()];
        let mut planes = Buffer::new(if keep { batch * convs * self.len() } else { 0 });
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
                    let mut planes = Buffer::new(convs * self.len());
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
        let mut hidden = frame.buffer(self.op.sizes.outputs);
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

    /// The gradients of all arguments; that of the inputs, one after the other along the channels
    /// of each image, only if it is wanted.
    fn backward(
        &self,
        kept: &Kept<T>,
        ys: &[T],
        grads: &[T],
        input_wanted: bool,
    ) -> (Option<Vec<T>>, Vec<ConvGradients<T>>) {
        let batch = self.op.sizes.batch;
        let size = self.op.sizes.inputs * self.op.pixels();
        let turned: Vec<Kernel<T>> = (0..self.convs.len())
            .map(|conv| {
                let shape = self.op.weight_shape(conv);
                Kernel::backward(self.convs[conv].weight, shape, 1, self.frame)
            })
            .collect();
        let mut of_input = input_wanted.then(|| vec![T::zero(); batch * size]);
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
                self.backward_image(image, &forward, grads, &turned, of_input)
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
        mut of_input: Option<&mut [T]>,
    ) -> Vec<ConvGradients<T>> {
        let (frame, pixels, slope) = (self.frame, self.op.pixels(), self.slope());
        let (first, others) = forward.planes.split_at(self.len());
        let (second, shortcut) = others.split_at(self.len());
        let norms = forward.norms;
        let mut rectified = Buffer::new(self.len());
        self.each_channel(&mut rectified, pixels, |channel, result| {
            let (ys, grads) = (self.plane(forward.ys, channel), self.plane(grads, channel));
            undo_last_activation(ys, grads, slope, result);
        });

        let mut hidden = frame.buffer(self.op.sizes.outputs);
        self.each_channel(&mut hidden, frame.plane(), |channel, hidden| {
            norms[FIRST][channel].activate(self.plane(first, channel), slope, frame, hidden);
        });
        let mut framed = frame.buffer(self.op.sizes.outputs);
        let of_second =
            self.conv_gradients(SECOND, &hidden, second, norms, &rectified, &mut framed);
        let mut of_hidden = Buffer::new(self.len());
        let convolve = |conv: usize, framed: &[T], result: &mut [T], write| {
            turned[conv].convolve(framed, result, None, write, self.threads);
        };
        convolve(SECOND, &framed, &mut of_hidden, Write::Replace);
        self.each_channel(&mut of_hidden, pixels, |channel, grads| {
            norms[FIRST][channel].undo_activation(self.plane(first, channel), slope, grads);
        });

        let input = self.framed_input(image);
        let of_first = self.conv_gradients(FIRST, &input, first, norms, &of_hidden, &mut framed);
        if let Some(of_input) = &mut of_input {
            convolve(FIRST, &framed, of_input, Write::Replace);
        }
        let mut gradients = vec![of_first, of_second];
        if self.convs.len() > SHORTCUT {
            let of_shortcut =
                self.conv_gradients(SHORTCUT, &input, shortcut, norms, &rectified, &mut framed);
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
        conv: usize,
        input: &[T],
        planes: &[T],
        norms: &[Vec<Norm<T>>],
        grads: &[T],
        framed: &mut [T],
    ) -> ConvGradients<T> {
        let frame = self.frame;
        let affine = self.each_channel(framed, frame.plane(), |channel, framed| {
            let (plane, grads) = (self.plane(planes, channel), self.plane(grads, channel));
            norms[conv][channel].backward(plane, grads, frame, framed)
        });
        let (scale, shift) = affine.into_iter().unzip();
        let mut weight = vec![T::zero(); self.convs[conv].weight.len()];
        weight_gradient(
            frame,
            input,
            framed,
            self.op.weight_shape(conv),
            1,
            &mut weight,
            self.threads,
        );
        ConvGradients {
            weight,
            scale,
            shift,
        }
    }
}

/// What the forward pass of one image has left.
struct ImageForward<'a, T> {
    planes: &'a [T],
    norms: &'a [Vec<Norm<T>>],
    ys: &'a [T],
}

/// The gradients of a convolution and its normalisation.
struct ConvGradients<T> {
    weight: Vec<T>,
    scale: Vec<T>,
    shift: Vec<T>,
}

impl<T: Real> ConvGradients<T> {
    fn add(&mut self, other: &Self) {
        add(&mut self.weight, &other.weight);
        add(&mut self.scale, &other.scale);
        add(&mut self.shift, &other.shift);
    }
}

/// The block in Candle's graph.
struct Node<T: Real> {
    op: Op,
    kept: Kept<T>,
}

impl<T: Real> many::Backward for Node<T> {
    fn backward(
        &self,
        arguments: &[Tensor],
        wanted: &[bool],
        result: &Tensor,
        grad: &Tensor,
    ) -> Result<Vec<Option<Tensor>>> {
        let op = &self.op;
        let count = op.inputs.len();
        let results = [result.clone(), grad.clone()];
        let (locked, locked_results) = (Locked::new(arguments), Locked::new(&results));
        let block = Block::<T>::new(op, &locked.elements()?);
        let [ys, grads] = locked_results.elements()?[..] else {
            candle_core::bail!("{OP}: two results");
        };
        let input_wanted = wanted[..count].contains(&true);
        let (of_input, of_convs) = block.backward(&self.kept, ys, grads, input_wanted);
        let mut gradients = match of_input {
            Some(of_input) => split(&of_input, op)?.into_iter().map(Some).collect(),
            None => vec![None; count],
        };
        let device = grad.device();
        for (conv, of_conv) in of_convs.into_iter().enumerate() {
            let shape = op.weight_shape(conv);
            gradients.push(Some(Tensor::from_vec(of_conv.weight, shape, device)?));
            if op.affine[conv] {
                for values in [of_conv.scale, of_conv.shift] {
                    gradients.push(Some(Tensor::from_vec(values, op.sizes.outputs, device)?));
                }
            }
        }
        Ok(gradients)
    }
}

/// The gradient of each input from that of all inputs, one after the other along the channels.
fn split<T: Real>(of_input: &[T], op: &Op) -> Result<Vec<Tensor>> {
    let Sizes {
        batch,
        inputs,
        height,
        width,
        ..
    } = op.sizes;
    let pixels = op.pixels();
    let mut first = 0;
    op.inputs
        .iter()
        .map(|&channels| {
            let mut result = vec![T::zero(); batch * channels * pixels];
            result
                .par_chunks_mut(channels * pixels)
                .zip(of_input.par_chunks(inputs * pixels))
                .for_each(|(to, from)| {
                    to.copy_from_slice(&from[first * pixels..][..channels * pixels]);
                });
            first += channels;
            let shape = (batch, channels, height, width);
            Tensor::from_vec(result, shape, &candle_core::Device::Cpu)
        })
        .collect()
}
