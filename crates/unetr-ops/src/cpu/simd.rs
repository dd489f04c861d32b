//! The choice of an instruction set while the program runs: AVX-512, AVX2 with FMA, what the target
//! always has otherwise (NEON, SSE2). One binary is fast on every machine of its architecture.

use std::marker::PhantomData;

use pulp::{Arch, Scalar128b, Simd, WithSimd};

/// Runs a kernel that is generic over vectors with the widest ones of this processor.
pub(crate) fn dispatch<Op: WithSimd>(op: Op) -> Op::Output {
    #[cfg(test)]
    if let Some(level) = tests::forced() {
        return tests::dispatch_at(level, op);
    }
    match Arch::new() {
        Arch::Scalar => Scalar128b.vectorize(op),
        arch => arch.dispatch(op),
    }
}

/// Compiles a loop once for every instruction set and runs the best; what the loop calls has to be
/// inlined. `a·b + c` is never contracted, so that results are the same everywhere.
macro_rules! vectorised {
    ($body:expr) => {{
        let once = $crate::cpu::Once;
        $crate::cpu::dispatch(
            #[inline(always)]
            || {
                let _moved = once;
                $body
            },
        )
    }};
}
pub(crate) use vectorised;

/// What is moved into a closure can be moved there but once. A closure that could be called again would
/// be called through a function of the standard library, which is not inlined where the loop is long, and
/// is compiled for the oldest processor then.
pub(crate) struct Once;

/// Rows of a register tile: sums, a vector of each column and numbers of two rows have to fit into the registers, as
/// compilers load a row's number before the products of the row above it are done.
pub(crate) const fn tile_rows<S: Simd>() -> usize {
    if S::REGISTER_COUNT >= 32 { 8 } else { 4 }
}

/// Vectors in a row of a register tile.
pub(crate) const fn tile_vectors<S: Simd>() -> usize {
    if S::REGISTER_COUNT >= 32 { 3 } else { 2 }
}

/// What has to be known about the registers before a kernel runs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Registers {
    /// Elements of a vector.
    pub(crate) lanes: usize,
    /// [`tile_rows`]
    pub(crate) rows: usize,
    /// The most vectors in a row of a tile.
    pub(crate) vectors: usize,
}

impl Registers {
    /// Those that [`dispatch`] chooses.
    pub(crate) fn of<T: Lanes>() -> Self {
        struct Query<T>(PhantomData<T>);
        impl<T: Lanes> WithSimd for Query<T> {
            type Output = Registers;

            #[inline(always)]
            fn with_simd<S: Simd>(self, _: S) -> Registers {
                Registers {
                    lanes: T::lanes::<S>(),
                    rows: tile_rows::<S>(),
                    vectors: tile_vectors::<S>(),
                }
            }
        }
        dispatch(Query::<T>(PhantomData))
    }
}

/// Element types with vectors of an instruction set.
pub(crate) trait Lanes: Copy {
    /// A full register.
    type Vector<S: Simd>: Copy;

    fn splat<S: Simd>(simd: S, x: Self) -> Self::Vector<S>;

    /// `a·b + c`, in one rounding where the processor can.
    fn mul_add<S: Simd>(
        simd: S,
        a: Self::Vector<S>,
        b: Self::Vector<S>,
        c: Self::Vector<S>,
    ) -> Self::Vector<S>;

    fn add<S: Simd>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>) -> Self::Vector<S>;

    fn sub<S: Simd>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>) -> Self::Vector<S>;

    fn reduce_sum<S: Simd>(simd: S, a: Self::Vector<S>) -> Self;

    /// The elements at even and at odd places of two vectors that follow each other, in some order that
    /// is the same for both.
    fn unzip<S: Simd>(simd: S, pair: [Self::Vector<S>; 2]) -> [Self::Vector<S>; 2];

    /// What [`Lanes::unzip`] made two of.
    fn zip<S: Simd>(simd: S, pair: [Self::Vector<S>; 2]) -> [Self::Vector<S>; 2];

    /// Elements of a vector.
    fn lanes<S: Simd>() -> usize {
        size_of::<Self::Vector<S>>() / size_of::<Self>()
    }
}

macro_rules! impl_lanes {
    ($T:ty, $vector:ident, $splat:ident, $mul_add:ident, $add:ident, $sub:ident, $reduce_sum:ident, $unzip:ident, $zip:ident) => {
        impl Lanes for $T {
            type Vector<S: Simd> = S::$vector;

            #[inline(always)]
            fn splat<S: Simd>(simd: S, x: Self) -> S::$vector {
                simd.$splat(x)
            }

            #[inline(always)]
            fn mul_add<S: Simd>(
                simd: S,
                a: S::$vector,
                b: S::$vector,
                c: S::$vector,
            ) -> S::$vector {
                simd.$mul_add(a, b, c)
            }

            #[inline(always)]
            fn add<S: Simd>(simd: S, a: S::$vector, b: S::$vector) -> S::$vector {
                simd.$add(a, b)
            }

            #[inline(always)]
            fn sub<S: Simd>(simd: S, a: S::$vector, b: S::$vector) -> S::$vector {
                simd.$sub(a, b)
            }

            #[inline(always)]
            fn unzip<S: Simd>(simd: S, pair: [S::$vector; 2]) -> [S::$vector; 2] {
                simd.$unzip(pair)
            }

            #[inline(always)]
            fn zip<S: Simd>(simd: S, pair: [S::$vector; 2]) -> [S::$vector; 2] {
                simd.$zip(pair)
            }

            #[inline(always)]
            fn reduce_sum<S: Simd>(simd: S, a: S::$vector) -> Self {
                simd.$reduce_sum(a)
            }
        }
    };
}
impl_lanes!(
    f32,
    f32s,
    splat_f32s,
    mul_add_e_f32s,
    add_f32s,
    sub_f32s,
    reduce_sum_f32s,
    deinterleave_shfl_f32s,
    interleave_shfl_f32s
);
impl_lanes!(
    f64,
    f64s,
    splat_f64s,
    mul_add_e_f64s,
    add_f64s,
    sub_f64s,
    reduce_sum_f64s,
    deinterleave_shfl_f64s,
    interleave_shfl_f64s
);

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(crate) mod tests {
    use std::cell::Cell;

    use super::*;
    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    use crate::cpu::Tiles;

    /// An instruction set that tests can force.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(crate) enum Level {
        Portable,
        #[cfg(target_arch = "x86_64")]
        Avx2,
        #[cfg(target_arch = "x86_64")]
        Avx512,
        /// AVX-512, and matrix units for products in bfloat16.
        #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
        Amx,
    }

    thread_local! {
        static FORCED: Cell<Option<Level>> = const { Cell::new(None) };
    }

    pub(in crate::cpu) fn forced() -> Option<Level> {
        FORCED.get()
    }

    pub(super) fn dispatch_at<Op: WithSimd>(level: Level, op: Op) -> Op::Output {
        match level {
            Level::Portable => Simd::vectorize(Scalar128b, op),
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => Simd::vectorize(pulp::x86::V3::try_new().unwrap(), op),
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => Simd::vectorize(pulp::x86::V4::try_new().unwrap(), op),
            #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
            Level::Amx => dispatch_at(Level::Avx512, op),
        }
    }

    /// The instruction sets of this machine.
    pub(crate) fn levels() -> Vec<Level> {
        #[cfg_attr(
            not(target_arch = "x86_64"),
            allow(unused_mut, reason = "there is one")
        )]
        let mut levels = vec![Level::Portable];
        #[cfg(target_arch = "x86_64")]
        {
            levels.extend(pulp::x86::V3::try_new().map(|_| Level::Avx2));
            levels.extend(pulp::x86::V4::try_new().map(|_| Level::Avx512));
        }
        #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
        levels.extend(Tiles::are_supported().then_some(Level::Amx));
        levels
    }

    /// Runs `f` on one thread with every instruction set of this machine.
    pub(crate) fn at_each_level(f: impl Fn(Level) + Sync) {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(1)
            .build()
            .unwrap();
        for level in levels() {
            pool.install(|| {
                FORCED.set(Some(level));
                f(level);
                FORCED.set(None);
            });
        }
    }
}
