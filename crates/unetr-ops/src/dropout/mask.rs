use rayon::prelude::*;

use crate::Keep;
use crate::cpu::Real;
use crate::many::{Backward, Operation};

const CHUNK: usize = 16 * 1024;

/// FNV-1a, 64 bits: a fixed hash, unlike the standard library's.
pub(super) fn hash_name(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// The finaliser of SplitMix64 (Steele et al. 2014): every bit of `z` reaches every bit of the
/// result.
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// What the elements of a tensor are multiplied by.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mask {
    start: u64,
    threshold: u64,
    scale: f32,
}

impl Mask {
    pub(super) fn new(rate: f64, stream: u64) -> Self {
        Self {
            start: mix(stream),
            threshold: (rate * 2f64.powi(53)) as u64,
            scale: (1. / (1. - rate)) as f32,
        }
    }

    /// For element `i`, 0 with the probability of the rate, `1 / (1 - rate)` otherwise.
    pub(super) fn at(self, i: usize) -> f32 {
        // SplitMix64: a Weyl sequence, finalised.
        let step = (i as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let bits = mix(self.start.wrapping_add(step));
        if bits >> 11 < self.threshold {
            0.
        } else {
            self.scale
        }
    }

    /// The elements multiplied by the mask, which is not kept: the backward pass makes it again.
    fn apply<T: Real>(self, xs: &[T]) -> Vec<T> {
        let mut ys = xs.to_vec();
        let chunks = ys.par_chunks_mut(CHUNK).enumerate();
        chunks.for_each(|(chunk, ys)| {
            for (i, y) in ys.iter_mut().enumerate() {
                *y *= T::of(f64::from(self.at(chunk * CHUNK + i)));
            }
        });
        ys
    }
}

impl Operation for Mask {
    type Kept<T: Real> = ();

    fn forward<T: Real>(&self, arguments: &[&[T]], _: Keep) -> (Vec<T>, ()) {
        (self.apply(arguments[0]), ())
    }

    fn backward<T: Real>(&self, pass: Backward<'_, T, ()>) -> Vec<Option<Vec<T>>> {
        vec![Some(self.apply(pass.grads))]
    }
}
