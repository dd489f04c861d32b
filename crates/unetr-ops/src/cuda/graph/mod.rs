//! How an operation on a GPU gets into Candle's graph.
//!
//! Candle adds every gradient to zeros of the argument's shape, which for feature maps costs more than
//! many a kernel. So operations here are connected by tokens, tensors of one number that nobody reads:
//!
//! - The result of an operation hangs on the operation's token. When its gradient comes, it leaves it
//!   in the operation's mailbox.
//! - An argument that is such a result is known by its id: the operation takes its token, and leaves
//!   the gradient in its mailbox. Other arguments are linked as in [`many`](crate::many).
//!
//! Tokens make Candle go through the operations in the right order: all gradients are in a mailbox by
//! the time it is opened.

mod entries;
mod links;

use std::sync::{Arc, Mutex};

use candle_core::{CpuStorage, CudaStorage, CustomOp1, DType, Layout, Result, Shape, Tensor, bail};

use super::launch::suffix;
use super::{Array, Launch, args, from_planes, launch};
use crate::no_grad;
use entries::{Entry, Mailbox, find, leave, lock, register};
pub(crate) use entries::{alias, is_map};
use links::{Join, Link, Links, Reveal, Slots, only_on_cuda, token};

/// The backward pass of an operation.
pub(crate) trait Operation: Send + Sync + 'static {
    /// The gradients of the arguments, of those at least that are wanted.
    fn backward(&self, pass: Pass<'_>) -> Result<Vec<Option<Gradient>>>;
}

/// What a backward pass begins with.
pub(crate) struct Pass<'a> {
    pub(crate) result: &'a Array,
    /// The gradient of the result, laid out as the result.
    pub(crate) grads: &'a Array,
    /// Whose gradients are asked for, in the order of the arguments.
    pub(crate) wanted: &'a [bool],
}

/// What a forward pass leaves to the backward pass, which takes it, so that memory falls while it goes
/// on; nothing where it is to be computed again.
pub(crate) struct Kept<T>(Mutex<Option<T>>);

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

impl<T> Kept<T> {
    pub(crate) fn set(&self, kept: T) {
        *lock(&self.0) = Some(kept);
    }

    /// What is kept, or what `again` computes.
    pub(crate) fn take_or(&self, again: impl FnOnce() -> Result<T>) -> Result<T> {
        let kept = lock(&self.0).take();
        kept.map_or_else(again, Ok)
    }
}

/// The gradient of an argument.
#[derive(Debug, Clone)]
pub(crate) enum Gradient {
    /// In the order of its shape.
    Rows(Array),
    /// Of `[batch, channels, height, width]` as `[batch, height, width, channels]`.
    Map(Array),
}

/// What the elements of a result are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// In the order of its shape.
    Rows,
    /// `[batch, height, width, channels]`, for a result `[batch, channels, height, width]`.
    Map,
}

/// The result of an operation as a tensor, differentiably if an argument is tracked.
pub(crate) fn record(
    name: &'static str,
    arguments: &[&Tensor],
    result: Array,
    order: Order,
    op: impl Operation,
) -> Result<Tensor> {
    let tracked = no_grad::is_enabled() && arguments.iter().any(|x| x.track_op());
    if !tracked {
        drop(op);
        return in_order(result.into_tensor()?, order);
    }
    let device = arguments[0].device();
    let (slots, mailbox) = (Slots::default(), Mailbox::default());
    let mut token = Tensor::zeros(1, DType::F32, device)?;
    let mut deliveries = Vec::with_capacity(arguments.len());
    let mut linked = Vec::new();
    for (index, argument) in arguments.iter().enumerate() {
        if !argument.track_op() {
            deliveries.push(Delivery::Nobody);
        } else if let Some((entry, order)) = find(argument) {
            token = entry.token.apply_op2(&token, Join)?;
            deliveries.push(Delivery::Mailbox(entry.mailbox.clone(), order));
        } else {
            linked.push((index, *argument));
            deliveries.push(Delivery::Slot(argument.dtype()));
        }
    }
    for pair in linked.chunks(2) {
        let link = |(index, argument): (usize, &Tensor)| Link::new(argument, index, &slots);
        token = match *pair {
            [first, second] => {
                first
                    .1
                    .apply_op3(second.1, &token, Links(link(first), link(second)))?
            }
            _ => pair[0].1.apply_op2(&token, link(pair[0]))?,
        };
    }
    let known = Mailbox::default();
    let node = Node {
        name,
        op,
        result: known.clone(),
        mailbox: mailbox.clone(),
        deliveries,
        slots,
    };
    let token = token.apply_op1(node)?;
    let entry = Arc::new(Entry::new(token.clone(), mailbox));
    let reveal = Reveal {
        name,
        entry: entry.clone(),
        result: Mutex::new(Some(result)),
    };
    let result = token.apply_op1(reveal)?;
    *lock(&known) = Some(Array::of(&result)?);
    register(&entry, &result, Order::Rows);
    let view = in_order(result, order)?;
    register(&entry, &view, order);
    Ok(view)
}

/// A result in the shape that the outside sees.
fn in_order(result: Tensor, order: Order) -> Result<Tensor> {
    match order {
        Order::Rows => Ok(result),
        Order::Map => result.permute((0, 3, 1, 2)),
    }
}

/// Where the gradient of an argument goes.
enum Delivery {
    Nobody,
    Mailbox(Mailbox, Order),
    /// To a link, in the type of the argument.
    Slot(DType),
}

struct Node<O> {
    name: &'static str,
    op: O,
    /// Known once the operation is part of the graph.
    result: Mailbox,
    mailbox: Mailbox,
    deliveries: Vec<Delivery>,
    slots: Slots,
}

impl<O: Operation> Node<O> {
    fn deliver(&self) -> Result<()> {
        let Some(result) = lock(&self.result).clone() else {
            bail!("{}: the result is not known", self.name);
        };
        let grads = match lock(&self.mailbox).take() {
            // Who uses a result may compute in another precision, and see tokens where this is a map.
            Some(grads) => grads.to_dtype(result.dtype())?.into_shape(result.dims()),
            None => result.zeros_like()?,
        };
        let wanted: Vec<bool> = self
            .deliveries
            .iter()
            .map(|x| !matches!(x, Delivery::Nobody))
            .collect();
        let pass = Pass {
            result: &result,
            grads: &grads,
            wanted: &wanted,
        };
        let gradients = self.op.backward(pass)?;
        for (index, (gradient, delivery)) in gradients.into_iter().zip(&self.deliveries).enumerate()
        {
            let Some(gradient) = gradient else { continue };
            match delivery {
                Delivery::Nobody => {}
                Delivery::Mailbox(mailbox, order) => leave(mailbox, gradient.in_order(*order)?)?,
                Delivery::Slot(dtype) => {
                    let gradient = gradient.into_tensor(*dtype)?;
                    lock(&self.slots).insert(index, gradient);
                }
            }
        }
        Ok(())
    }
}

impl Gradient {
    fn in_order(self, order: Order) -> Result<Array> {
        match (self, order) {
            (Self::Rows(array), Order::Rows) | (Self::Map(array), Order::Map) => Ok(array),
            (Self::Map(array), Order::Rows) => planes(&array),
            (Self::Rows(array), Order::Map) => match *array.dims() {
                [b, c, h, w] => Ok(from_planes(&array, [b, c, h, w])?.array),
                _ => bail!("a map's gradient has shape {:?}", array.dims()),
            },
        }
    }

    fn into_tensor(self, dtype: DType) -> Result<Tensor> {
        match self {
            Self::Rows(array) => array.into_dtype(dtype)?.into_tensor(),
            Self::Map(array) => array
                .into_dtype(dtype)?
                .into_tensor()?
                .permute((0, 3, 1, 2)),
        }
    }
}

/// `[batch, height, width, channels]` as `[batch, channels, height, width]`.
fn planes(array: &Array) -> Result<Array> {
    let &[batch, height, width, channels] = array.dims() else {
        bail!("a map has shape {:?}", array.dims());
    };
    let ys = Array::empty(
        array.device(),
        array.dtype(),
        [batch, channels, height, width],
    )?;
    let kernel = format!("planes_{0}_{0}", suffix(array.dtype()));
    let args = args![array, &ys, batch, channels, height * width, channels];
    launch(
        array.device(),
        "maps",
        &kernel,
        Launch::each(ys.count()),
        args,
    )?;
    Ok(ys)
}

impl<O: Operation> CustomOp1 for Node<O> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        only_on_cuda(self.name)
    }

    fn cuda_fwd(&self, storage: &CudaStorage, _: &Layout) -> Result<(CudaStorage, Shape)> {
        token(storage)
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        self.deliver()?;
        Ok(Some(grad.clone()))
    }
}
