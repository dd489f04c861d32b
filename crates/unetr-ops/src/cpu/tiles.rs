//! The matrix units of Intel's processors since Sapphire Rapids (AMX). Their registers are tiles of 16 rows of
//! 64 bytes; the instructions are in the *Intel 64 and IA-32 Architectures Software Developer's Manual*, volume
//! 1, chapter 18.

use std::any::TypeId;
use std::arch::asm;
use std::arch::x86_64::__cpuid_count;
use std::sync::OnceLock;

use super::Real;
use super::product::Bf16;
#[cfg(test)]
use super::simd::tests::{Level, forced};

/// The shapes of a thread's tiles, all of them whole, as long as it computes with them.
#[derive(Debug)]
pub(crate) struct Tiles;

impl Tiles {
    /// Rows of a tile, and its columns of sums or pairs.
    pub(crate) const SIDE: usize = 16;
    /// Numbers of a tile.
    pub(crate) const SIZE: usize = Self::SIDE * Self::SIDE;

    /// Whether this processor multiplies tiles of bfloat16, and the operating system lets this process do so.
    pub(crate) fn are_supported() -> bool {
        #[cfg(test)]
        if forced().is_some_and(|level| level != Level::Amx) {
            return false;
        }
        static SUPPORTED: OnceLock<bool> = OnceLock::new();
        *SUPPORTED.get_or_init(|| Bf16::is_supported() && are_there() && are_permitted())
    }

    /// # Safety
    /// [`Tiles::are_supported`]
    pub(crate) unsafe fn configure() -> Self {
        #[repr(C, align(64))]
        struct Configuration {
            palette: u8,
            start_row: u8,
            reserved: [u8; 14],
            row_bytes: [u16; 16],
            rows: [u8; 16],
        }
        let eight = |i: usize| usize::from(i < 8);
        let configuration = Configuration {
            palette: 1,
            start_row: 0,
            reserved: [0; 14],
            row_bytes: std::array::from_fn(|i| (eight(i) * Self::SIDE * size_of::<f32>()) as u16),
            rows: std::array::from_fn(|i| (eight(i) * Self::SIDE) as u8),
        };
        // SAFETY: 64 bytes as the instruction reads them, and the processor has it.
        unsafe {
            asm!("ldtilecfg [{}]", in(reg) &raw const configuration, options(nostack, readonly));
        }
        Self
    }
}

impl Drop for Tiles {
    fn drop(&mut self) {
        // SAFETY: this thread has configured tiles, and needs what they hold no longer.
        unsafe { asm!("tilerelease", options(nostack, nomem)) };
    }
}

/// Whether the processor has tiles, and multiplies them in bfloat16.
#[allow(
    unused_unsafe,
    reason = "older versions of Rust call the instruction unsafe"
)]
fn are_there() -> bool {
    const FEATURES: u32 = 7;
    const AMX_BF16: u32 = 1 << 22;
    const AMX_TILE: u32 = 1 << 24;
    let both = AMX_BF16 | AMX_TILE;
    // SAFETY: every processor of this architecture has the instruction.
    unsafe { __cpuid_count(0, 0).eax >= FEATURES && __cpuid_count(FEATURES, 0).edx & both == both }
}

/// Asks Linux for the tiles, which a process may not use otherwise.
fn are_permitted() -> bool {
    const ARCH_PRCTL: i64 = 158;
    const ARCH_REQ_XCOMP_PERM: i64 = 0x1023;
    const TILE_DATA: i64 = 18;
    let refused: i64;
    // SAFETY: the call reads and writes no memory of this process.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") ARCH_PRCTL => refused,
            in("rdi") ARCH_REQ_XCOMP_PERM,
            in("rsi") TILE_DATA,
            out("rcx") _,
            out("r11") _,
            options(nostack),
        );
    }
    refused == 0
}

/// Numbers of f32, if these are: only they are rounded.
pub(crate) fn as_f32<T: Real>(xs: &[T]) -> Option<&[f32]> {
    // SAFETY: it is the same type.
    is_f32::<T>().then(|| unsafe { std::slice::from_raw_parts(xs.as_ptr().cast(), xs.len()) })
}

/// [`as_f32`] to write to.
pub(crate) fn as_f32_mut<T: Real>(xs: &mut [T]) -> Option<&mut [f32]> {
    // SAFETY: it is the same type.
    is_f32::<T>()
        .then(|| unsafe { std::slice::from_raw_parts_mut(xs.as_mut_ptr().cast(), xs.len()) })
}

/// Whether these are the numbers that are rounded.
pub(crate) fn is_f32<T: Real>() -> bool {
    TypeId::of::<T>() == TypeId::of::<f32>()
}
