//! Products of numbers rounded to bfloat16, summed in f32, by AVX512_BF16: two neighbours along the depth
//! are multiplied and added at once, twice the rate of f32.

use std::arch::x86_64::{
    __m512, __m512bh, __m512i, _mm512_add_ps, _mm512_cvtne2ps_pbh, _mm512_dpbf16_ps,
    _mm512_loadu_ps, _mm512_loadu_si512, _mm512_mask_storeu_epi32, _mm512_maskz_loadu_ps,
    _mm512_permutexvar_epi16, _mm512_set1_epi32, _mm512_setzero_ps, _mm512_storeu_ps,
};
use std::ops::Range;

use super::format::{Format, Lines, Tile, VECTORS};
use super::operand::{Contiguous, Operand};
use crate::cpu::{Real as _, Registers, Rows, Write};

#[derive(Debug)]
pub(crate) struct Bf16;

const ROWS: usize = 8;
const LANES: usize = 16;

impl Bf16 {
    /// Whether this processor has the instructions.
    pub(crate) fn is_supported() -> bool {
        std::is_x86_feature_detected!("avx512f")
            && std::is_x86_feature_detected!("avx512bw")
            && std::is_x86_feature_detected!("avx512bf16")
    }
}

/// Every function may only run where [`Bf16::is_supported`].
impl Format<f32> for Bf16 {
    type Session = ();

    const NUMBERS: usize = 2;

    fn registers() -> Registers {
        Registers {
            lanes: LANES,
            rows: ROWS,
            vectors: VECTORS,
        }
    }

    unsafe fn begin() {}

    unsafe fn pack(
        from: &Operand<f32>,
        lines: Range<usize>,
        depth: Range<usize>,
        width: usize,
        to: *mut f32,
    ) {
        // SAFETY: the caller vouches for lines, depth and room, and for the processor.
        unsafe {
            match from.contiguous {
                Contiguous::Lines => pack_pairs(from, lines, depth, width, to),
                Contiguous::Depth => pack_lines(from, lines, depth, width, to),
            }
        }
    }

    unsafe fn lines(
        from: &Operand<f32>,
        lines: Range<usize>,
        depth: Range<usize>,
        scratch: *mut f32,
    ) -> Lines<f32> {
        let units = depth.len().div_ceil(2);
        for (row, line) in lines.clone().enumerate() {
            // SAFETY: the caller vouches for the line, for room for it, and for the processor.
            unsafe {
                round(
                    from.at(line, depth.start),
                    depth.len(),
                    scratch.add(row * units),
                    LANES,
                );
            };
        }
        Lines {
            first: scratch,
            stride: units,
            step: 1,
            count: lines.len(),
        }
    }

    unsafe fn tile(tile: Tile<f32>) {
        // SAFETY: the caller vouches for all of it.
        unsafe {
            match tile.vectors {
                1 => multiply::<1>(tile),
                2 => multiply::<2>(tile),
                _ => multiply::<VECTORS>(tile),
            }
        }
    }
}

/// Rounds numbers to pairs, with a zero behind an odd one; 16 pairs lie together, and the next ones `step`
/// further on.
///
/// # Safety
/// `from` is valid for so many numbers, `to` for their pairs; the processor has AVX512_BF16.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
pub(crate) unsafe fn round(from: *const f32, count: usize, to: *mut f32, step: usize) {
    for first in (0..count).step_by(2 * LANES) {
        let rest = count - first;
        // SAFETY: masked to what there is.
        unsafe {
            let low = load(from.add(first), rest);
            let high = load(from.wrapping_add(first + LANES), rest.saturating_sub(LANES));
            let pairs = _mm512_cvtne2ps_pbh(high, low);
            let pairs = std::mem::transmute::<__m512bh, __m512i>(pairs);
            store(to.add(first / (2 * LANES) * step), pairs, rest.div_ceil(2));
        }
    }
}

/// Lines that are contiguous at each place of the depth: two rows become one of pairs.
///
/// # Safety
/// As of [`Format::pack`], and the processor has AVX512_BF16.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
pub(crate) unsafe fn pack_pairs(
    from: &Operand<f32>,
    lines: Range<usize>,
    depth: Range<usize>,
    width: usize,
    to: *mut f32,
) {
    let order: [u16; 2 * LANES] = std::array::from_fn(|i| (i / 2 + LANES * (i % 2)) as u16);
    // SAFETY: both are 32 numbers of 16 bits.
    let order: __m512i = unsafe { std::mem::transmute(order) };
    for (unit, place) in depth.clone().step_by(2).enumerate() {
        // SAFETY: a row of the operand, and one of the panel.
        let (from_row, to_row) = unsafe { (from.at(lines.start, place), to.add(unit * width)) };
        for first in (0..width).step_by(LANES) {
            let count = lines.len().saturating_sub(first);
            let second = if place + 1 < depth.end { count } else { 0 };
            // SAFETY: masked to the lines and the depth there are, and to the width.
            unsafe {
                let low = load(from_row.wrapping_add(first), count);
                let high = load(from_row.wrapping_add(from.stride + first), second);
                let rounded =
                    std::mem::transmute::<__m512bh, __m512i>(_mm512_cvtne2ps_pbh(high, low));
                let pairs = _mm512_permutexvar_epi16(order, rounded);
                store(to_row.add(first), pairs, width - first);
            }
        }
    }
}

/// Lines that are contiguous along the depth are rounded one by one, and then turned pair by pair.
///
/// # Safety
/// As of [`Format::pack`], and the processor has AVX512_BF16.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
pub(crate) unsafe fn pack_lines(
    from: &Operand<f32>,
    lines: Range<usize>,
    depth: Range<usize>,
    width: usize,
    to: *mut f32,
) {
    /// Units that are turned at a time.
    const UNITS: usize = 32;
    let mut rounded = [0f32; VECTORS * LANES * UNITS];
    let units = depth.len().div_ceil(2);
    for first in (0..units).step_by(UNITS) {
        let place = depth.start + 2 * first;
        let numbers = (depth.end - place).min(2 * UNITS);
        for (row, line) in rounded.chunks_exact_mut(UNITS).zip(lines.clone()) {
            // SAFETY: a part of a line, and room for it.
            unsafe { round(from.at(line, place), numbers, row.as_mut_ptr(), LANES) };
        }
        let from = Rows {
            first: rounded.as_ptr(),
            stride: UNITS,
        };
        // SAFETY: these units of a panel of `width` lines, which is at most a tile wide.
        unsafe {
            let to = Rows {
                first: to.add(first * width),
                stride: width,
            };
            // Rows behind the last line are zeros.
            f32::transpose(from, (width, numbers.div_ceil(2)), to, Write::Replace);
        }
    }
}

#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn load(from: *const f32, count: usize) -> __m512 {
    // SAFETY: the caller vouches for `count` numbers.
    unsafe {
        if count >= LANES {
            _mm512_loadu_ps(from)
        } else {
            _mm512_maskz_loadu_ps((1 << count) - 1, from)
        }
    }
}

#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn store(to: *mut f32, pairs: __m512i, count: usize) {
    let mask = if count >= LANES { !0 } else { (1 << count) - 1 };
    // SAFETY: the caller vouches for `count` pairs.
    unsafe { _mm512_mask_storeu_epi32(to.cast(), mask, pairs) };
}

/// # Safety
/// As of [`Format::tile`], and the processor has AVX512_BF16.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
unsafe fn multiply<const COUNT: usize>(tile: Tile<f32>) {
    let Tile {
        lines,
        panel,
        units,
        out,
        write,
        ..
    } = tile;
    let mut sums = [[_mm512_setzero_ps(); COUNT]; ROWS];
    // SAFETY: rows, panel and `out` are as large as the caller vouches.
    unsafe {
        // The last row stands for those that are missing.
        let rows: [*const f32; ROWS] =
            std::array::from_fn(|row| lines.first.add(row.min(lines.count - 1) * lines.stride));
        let mut place = 0;
        for unit in 0..units {
            let columns: [__m512bh; COUNT] = std::array::from_fn(|i| {
                std::mem::transmute(_mm512_loadu_si512(
                    panel.add((unit * COUNT + i) * LANES).cast(),
                ))
            });
            for (row, sums) in rows.iter().zip(&mut sums) {
                let pair = _mm512_set1_epi32(row.add(place).cast::<i32>().read());
                let pair = std::mem::transmute::<__m512i, __m512bh>(pair);
                for (sum, column) in sums.iter_mut().zip(columns) {
                    *sum = _mm512_dpbf16_ps(*sum, pair, column);
                }
            }
            place += lines.step;
        }
        for (row, sums) in sums.into_iter().enumerate() {
            for (i, mut sum) in sums.into_iter().enumerate() {
                let out = out.first.add(row * out.stride + i * LANES);
                if write == Write::Add {
                    sum = _mm512_add_ps(_mm512_loadu_ps(out), sum);
                }
                _mm512_storeu_ps(out, sum);
            }
        }
    }
}
