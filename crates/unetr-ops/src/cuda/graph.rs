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

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, Weak};

use candle_core::{
    CpuStorage, CudaStorage, CustomOp1, CustomOp2, CustomOp3, DType, Layout, Result, Shape, Tensor,
    TensorId, bail,
};

use super::launch::suffix;
use super::{Array, Launch, args, from_planes, launch};
use crate::backward::{Use, collect};
use crate::no_grad;

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

type Mailbox = Arc<Mutex<Option<Array>>>;

/// An operation whose result is in the graph.
struct Entry {
    token: Tensor,
    mailbox: Mailbox,
    /// The result and its views.
    ids: Mutex<Vec<TensorId>>,
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut entries = lock(&ENTRIES);
        for id in lock(&self.ids).drain(..) {
            entries.remove(&id);
        }
    }
}

/// Operations by the ids of their results, and how those lie in memory.
type Entries = HashMap<TensorId, (Weak<Entry>, Order)>;

static ENTRIES: LazyLock<Mutex<Entries>> = LazyLock::new(Mutex::default);

fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn find(tensor: &Tensor) -> Option<(Arc<Entry>, Order)> {
    let entries = lock(&ENTRIES);
    let (entry, order) = entries.get(&tensor.id())?;
    Some((entry.upgrade()?, *order))
}

/// Makes a view of a result known, whose elements lie in memory as the result's do.
pub(crate) fn alias(original: &Tensor, view: &Tensor, order: Order) {
    if let Some((entry, _)) = find(original) {
        lock(&entry.ids).push(view.id());
        lock(&ENTRIES).insert(view.id(), (Arc::downgrade(&entry), order));
    }
}

/// Whether a tensor is a result whose channels are last in memory.
pub(crate) fn is_map(tensor: &Tensor) -> bool {
    find(tensor).is_some_and(|(_, order)| order == Order::Map)
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
        let link = |(index, argument): (usize, &Tensor)| Link {
            slots: slots.clone(),
            index,
            _use: Use::of(argument),
        };
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
    let entry = Arc::new(Entry {
        token: token.clone(),
        mailbox,
        ids: Mutex::default(),
    });
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

fn register(entry: &Arc<Entry>, tensor: &Tensor, order: Order) {
    lock(&entry.ids).push(tensor.id());
    lock(&ENTRIES).insert(tensor.id(), (Arc::downgrade(entry), order));
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

/// Gradients on their way to links.
type Slots = Arc<Mutex<HashMap<usize, Tensor>>>;

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
            Some(grads) => grads,
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

/// Adds a gradient to those in a mailbox.
fn leave(mailbox: &Mailbox, gradient: Array) -> Result<()> {
    let mut mailbox = lock(mailbox);
    *mailbox = Some(match mailbox.take() {
        Some(sum) => sum.add(&gradient.to_dtype(sum.dtype())?)?,
        None => gradient,
    });
    Ok(())
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
            Self::Rows(array) => array.to_dtype(dtype)?.into_tensor(),
            Self::Map(array) => array.to_dtype(dtype)?.into_tensor()?.permute((0, 3, 1, 2)),
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

/// A number that nobody reads.
fn token(storage: &CudaStorage) -> Result<(CudaStorage, Shape)> {
    Array::empty(&storage.device, DType::F32, [1])?.into_storage()
}

fn only_on_cuda<T>(name: &str) -> Result<T> {
    bail!("{name} is for tensors on a GPU")
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

/// From an operation's token to its result.
struct Reveal {
    name: &'static str,
    entry: Arc<Entry>,
    result: Mutex<Option<Array>>,
}

impl CustomOp1 for Reveal {
    fn name(&self) -> &'static str {
        self.name
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        only_on_cuda(self.name)
    }

    fn cuda_fwd(&self, _: &CudaStorage, _: &Layout) -> Result<(CudaStorage, Shape)> {
        match lock(&self.result).take() {
            Some(result) => result.into_storage(),
            None => bail!("{}: the result has been taken before", self.name),
        }
    }

    fn bwd(&self, token: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        leave(&self.entry.mailbox, Array::of(grad)?)?;
        Ok(Some(token.detach()))
    }
}

/// Hangs an operation on one before it.
struct Join;

impl CustomOp2 for Join {
    fn name(&self) -> &'static str {
        "join"
    }

    fn cpu_fwd(
        &self,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        only_on_cuda("join")
    }

    fn cuda_fwd(
        &self,
        storage: &CudaStorage,
        _: &Layout,
        _: &CudaStorage,
        _: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        token(storage)
    }

    fn bwd(
        &self,
        _: &Tensor,
        chain: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        Ok((Some(grad.clone()), chain.track_op().then(|| grad.clone())))
    }
}

/// Hangs an operation on an argument that Candle knows.
struct Link {
    slots: Slots,
    index: usize,
    _use: Option<Use>,
}

impl CustomOp2 for Link {
    fn name(&self) -> &'static str {
        "link"
    }

    fn cpu_fwd(
        &self,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        only_on_cuda("link")
    }

    fn cuda_fwd(
        &self,
        storage: &CudaStorage,
        _: &Layout,
        _: &CudaStorage,
        _: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        token(storage)
    }

    fn bwd(
        &self,
        argument: &Tensor,
        chain: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        Ok((self.take(argument)?, onwards(chain, grad)))
    }
}

impl Link {
    /// The gradient of the argument, unless somebody collects those of variables.
    fn take(&self, argument: &Tensor) -> Result<Option<Tensor>> {
        let gradient = lock(&self.slots).remove(&self.index);
        match gradient {
            Some(gradient) => collect(argument, gradient),
            None => Ok(None),
        }
    }
}

/// What a token gets.
fn onwards(token: &Tensor, grad: &Tensor) -> Option<Tensor> {
    token.track_op().then(|| grad.clone())
}

/// Hangs an operation on two arguments that Candle knows.
struct Links(Link, Link);

impl CustomOp3 for Links {
    fn name(&self) -> &'static str {
        "links"
    }

    fn cpu_fwd(
        &self,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        only_on_cuda("links")
    }

    fn cuda_fwd(
        &self,
        storage: &CudaStorage,
        _: &Layout,
        _: &CudaStorage,
        _: &Layout,
        _: &CudaStorage,
        _: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        token(storage)
    }

    fn bwd(
        &self,
        first: &Tensor,
        second: &Tensor,
        chain: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let (of_first, of_second) = (self.0.take(first)?, self.1.take(second)?);
        Ok((of_first, of_second, onwards(chain, grad)))
    }
}
