//! Operations by their results.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, Weak};

use candle_core::{Result, Tensor, TensorId};

use super::Order;
use crate::cuda::Array;

/// The gradient of a result, as far as it is known.
pub(super) type Mailbox = Arc<Mutex<Option<Array>>>;

/// An operation whose result is in the graph.
pub(super) struct Entry {
    pub(super) token: Tensor,
    pub(super) mailbox: Mailbox,
    /// The result and its views.
    ids: Mutex<Vec<TensorId>>,
}

impl Entry {
    pub(super) fn new(token: Tensor, mailbox: Mailbox) -> Self {
        Self {
            token,
            mailbox,
            ids: Mutex::default(),
        }
    }
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

pub(super) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn find(tensor: &Tensor) -> Option<(Arc<Entry>, Order)> {
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

/// Makes an operation known by a tensor.
pub(super) fn register(entry: &Arc<Entry>, tensor: &Tensor, order: Order) {
    lock(&entry.ids).push(tensor.id());
    lock(&ENTRIES).insert(tensor.id(), (Arc::downgrade(entry), order));
}

/// Adds a gradient to those in a mailbox.
pub(super) fn leave(mailbox: &Mailbox, gradient: Array) -> Result<()> {
    let mut mailbox = lock(mailbox);
    *mailbox = Some(match mailbox.take() {
        Some(sum) => sum.add(&gradient.to_dtype(sum.dtype())?)?,
        None => gradient,
    });
    Ok(())
}
