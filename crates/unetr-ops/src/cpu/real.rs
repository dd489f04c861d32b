use candle_core::WithDType;

use super::buffer::Pool;
use super::erf::{erf_f32, erf_f64};
use super::exp::{exp_f32, exp_f64};
use super::ln::{ln_f32, ln_f64};
#[cfg(target_arch = "x86_64")]
use super::product::Bf16;
use super::product::{Exact, Job};
use super::transpose::{self, Rows, Write};
use super::{Lanes, Threads};
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
use super::{Tiles, product::Amx};
use crate::Precision;

/// The element types of the CPU kernels: f32, and f64 so that finite differences mean something.
pub(crate) trait Real: WithDType + Default + Lanes {
    /// Bits of the [`ordinal`](Self::ordinal)s of numbers from 0 to 1.
    const ORDINAL_BITS: u32;
    /// Integers in the order of numbers that are not negative.
    fn ordinal(self) -> u64;
    /// The value nearest to `x`.
    fn of(x: f64) -> Self;
    fn f64(self) -> f64;
    fn exp(self) -> Self;
    /// The natural logarithm of a positive normal number.
    fn ln(self) -> Self;
    /// The error function of `x`, given `e^{-x²}`.
    fn erf_with(self, exp: Self) -> Self;
    fn sqrt(self) -> Self;
    fn larger(self, other: Self) -> Self;
    /// Writes the transpose of `rows` rows of `columns` numbers, or adds it.
    ///
    /// # Safety
    /// `from` is valid for reading that many numbers, `to` for writing them, and for reading them if
    /// they are added; they do not overlap.
    unsafe fn transpose(
        from: Rows<*const Self>,
        size: (usize, usize),
        to: Rows<*mut Self>,
        write: Write,
    );
    /// Computes a product; what the processor cannot round to is computed as it is.
    ///
    /// # Safety
    /// As of [`Job::compute`].
    unsafe fn multiply(job: Job<'_, Self>, threads: Threads, precision: Precision);
    /// Where [`Buffer`](super::Buffer)s of this type come from.
    fn pool() -> &'static Pool<Self>;

    /// `1 - 2 / (exp(2x) + 1)`: saturates correctly at both ends.
    #[inline(always)]
    fn tanh(self) -> Self {
        let two = Self::of(2.);
        Self::one() - two / ((two * self).exp() + Self::one())
    }
}

impl Real for f64 {
    const ORDINAL_BITS: u32 = 62;

    #[inline(always)]
    fn ordinal(self) -> u64 {
        self.to_bits()
    }

    unsafe fn multiply(job: Job<'_, Self>, threads: Threads, _: Precision) {
        // SAFETY: the caller vouches for the same.
        unsafe { job.compute::<Exact>(threads) };
    }

    unsafe fn transpose(
        from: Rows<*const Self>,
        size: (usize, usize),
        to: Rows<*mut Self>,
        write: Write,
    ) {
        // SAFETY: the caller vouches for the same.
        unsafe { transpose::transpose(from, size, to, write) };
    }

    fn pool() -> &'static Pool<Self> {
        static POOL: Pool<f64> = Pool::new();
        &POOL
    }

    #[inline(always)]
    fn of(x: f64) -> Self {
        x
    }

    #[inline(always)]
    fn f64(self) -> f64 {
        self
    }

    #[inline(always)]
    fn exp(self) -> Self {
        exp_f64(self)
    }

    #[inline(always)]
    fn ln(self) -> Self {
        ln_f64(self)
    }

    #[inline(always)]
    fn erf_with(self, exp: Self) -> Self {
        erf_f64(self, exp)
    }

    #[inline(always)]
    fn sqrt(self) -> Self {
        f64::sqrt(self)
    }

    fn larger(self, other: Self) -> Self {
        f64::max(self, other)
    }
}

impl Real for f32 {
    const ORDINAL_BITS: u32 = 30;

    #[inline(always)]
    fn ordinal(self) -> u64 {
        u64::from(self.to_bits())
    }

    #[cfg_attr(
        not(target_arch = "x86_64"),
        allow(unused_variables, reason = "all products are exact there")
    )]
    unsafe fn multiply(job: Job<'_, Self>, threads: Threads, precision: Precision) {
        #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
        if precision == Precision::Bf16 && Tiles::are_supported() {
            // SAFETY: the caller vouches for the same, and the processor can.
            unsafe { job.compute::<Amx>(threads) };
            return;
        }
        #[cfg(target_arch = "x86_64")]
        if precision == Precision::Bf16 && Bf16::is_supported() {
            // SAFETY: the caller vouches for the same, and the processor can.
            unsafe { job.compute::<Bf16>(threads) };
            return;
        }
        // SAFETY: the caller vouches for the same.
        unsafe { job.compute::<Exact>(threads) };
    }

    unsafe fn transpose(
        from: Rows<*const Self>,
        size: (usize, usize),
        to: Rows<*mut Self>,
        write: Write,
    ) {
        // SAFETY: the caller vouches for the same.
        unsafe { transpose::transpose_f32(from, size, to, write) };
    }

    fn pool() -> &'static Pool<Self> {
        static POOL: Pool<f32> = Pool::new();
        &POOL
    }

    #[inline(always)]
    fn of(x: f64) -> Self {
        x as f32
    }

    #[inline(always)]
    fn f64(self) -> f64 {
        f64::from(self)
    }

    #[inline(always)]
    fn exp(self) -> Self {
        exp_f32(self)
    }

    #[inline(always)]
    fn ln(self) -> Self {
        ln_f32(self)
    }

    #[inline(always)]
    fn erf_with(self, exp: Self) -> Self {
        erf_f32(self, exp)
    }

    #[inline(always)]
    fn sqrt(self) -> Self {
        f32::sqrt(self)
    }

    #[inline(always)]
    fn larger(self, other: Self) -> Self {
        if self > other { self } else { other }
    }
}
