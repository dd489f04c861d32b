//! Memory that kernels work with: small pieces that are used again and again, and results that are
//! written but once.

use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::Real;

/// Buffers that nobody uses at the moment.
#[derive(Debug)]
pub(crate) struct Pool<T>(Mutex<Vec<Vec<T>>>);

impl<T> Pool<T> {
    pub(super) const fn new() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Vec<T>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Frees the small pieces of working memory that operations on the CPU keep: after training, or between
/// images of very different sizes.
///
/// # Examples
/// ```
/// use candle_core::{Device, Tensor};
/// use unetr_ops::{linear, release_buffers};
///
/// let xs = Tensor::ones((4, 8), candle_core::DType::F32, &Device::Cpu)?;
/// linear(&xs, &xs, None)?;
/// release_buffers(); // operations take new memory from now on
/// assert_eq!(linear(&xs, &xs, None)?.dims(), [4, 4]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn release_buffers() {
    f32::pool().lock().clear();
    f64::pool().lock().clear();
}

/// Memory from the pool, and back to it in the end. Its numbers are those of whoever had it before.
#[derive(Debug)]
pub(crate) struct Buffer<T: Real>(Vec<T>);

impl<T: Real> Buffer<T> {
    pub(crate) fn new(len: usize) -> Self {
        let mut pool = T::pool().lock();
        let fits = |buffer: &Vec<T>| (len..=2 * len).contains(&buffer.capacity());
        let smallest = (0..pool.len())
            .filter(|&i| fits(&pool[i]))
            .min_by_key(|&i| pool[i].capacity());
        let found = smallest.map(|i| pool.swap_remove(i));
        drop(pool);
        let mut buffer = found.unwrap_or_default();
        buffer.resize(len, T::zero());
        Self(buffer)
    }
}

impl<T: Real> Drop for Buffer<T> {
    fn drop(&mut self) {
        if self.0.len() <= LARGEST {
            T::pool().lock().push(std::mem::take(&mut self.0));
        }
    }
}

/// A result to be filled, without the pass over its memory that zeros would cost.
///
/// # Safety
/// Every number is written before it is read.
#[allow(
    clippy::uninit_vec,
    reason = "floating point numbers have no invalid bits; see Safety"
)]
pub(crate) unsafe fn unwritten<T: Real>(len: usize) -> Vec<T> {
    let mut result = Vec::with_capacity(len);
    // SAFETY: there is room for them, and nobody reads them before they are written.
    unsafe { result.set_len(len) };
    result
}

/// Elements of the largest buffers that are kept: larger ones serve the allocator better, which makes
/// pieces of any size of them.
const LARGEST: usize = 1 << 18;
/// Bytes of a cache line.
const LINE: usize = 64;

/// A [`Buffer`] that begins where a cache line does, so that no vector lies across two.
#[derive(Debug)]
pub(crate) struct Aligned<T: Real> {
    buffer: Buffer<T>,
    start: usize,
    len: usize,
}

impl<T: Real> Aligned<T> {
    pub(crate) fn new(len: usize) -> Self {
        Self::within(Buffer::new(len + Self::SPARE), len)
    }

    /// For numbers that may be too many to be kept.
    ///
    /// # Safety
    /// Every number is written before it is read.
    pub(crate) unsafe fn unwritten(len: usize) -> Self {
        let room = len + Self::SPARE;
        if room <= LARGEST {
            return Self::new(len);
        }
        // SAFETY: as the caller vouches.
        Self::within(Buffer(unsafe { unwritten(room) }), len)
    }

    /// How far the beginning may move.
    const SPARE: usize = LINE / size_of::<T>();

    fn within(buffer: Buffer<T>, len: usize) -> Self {
        let start = buffer.as_ptr().align_offset(LINE).min(Self::SPARE);
        Self { buffer, start, len }
    }
}

impl<T: Real> Deref for Aligned<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.buffer[self.start..][..self.len]
    }
}

impl<T: Real> DerefMut for Aligned<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.buffer[self.start..][..self.len]
    }
}

impl<T: Real> Deref for Buffer<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T: Real> DerefMut for Buffer<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.0
    }
}
