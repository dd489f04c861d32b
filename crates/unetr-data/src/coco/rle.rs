use std::fmt;

use image::GrayImage;
use serde::de::value::SeqAccessDeserializer;
use serde::de::{self, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// A region as lengths of runs outside and inside of it in turn, down one column after the other.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Rle {
    /// Height and width of the image.
    size: [u32; 2],
    counts: Counts,
}

#[derive(Debug, Clone)]
enum Counts {
    Lengths(Vec<u32>),
    Text(String),
}

impl Rle {
    /// Gives the region's pixels a value.
    pub(super) fn paint(&self, mask: &mut GrayImage, value: u8) -> Result<(), String> {
        let (width, height) = mask.dimensions();
        if self.size != [height, width] {
            let [h, w] = self.size;
            return Err(format!(
                "its run lengths are of {h}x{w} pixels; expected {height}x{width} (height x width)"
            ));
        }
        let unpacked;
        let lengths = match &self.counts {
            Counts::Lengths(lengths) => lengths,
            Counts::Text(text) => {
                unpacked = unpack(text)?;
                &unpacked
            }
        };
        let sum: u64 = lengths.iter().copied().map(u64::from).sum();
        if sum != u64::from(width) * u64::from(height) {
            return Err(format!(
                "its run lengths add up to {sum} pixels; expected {height}x{width}"
            ));
        }
        let (pixels, width, height) = (&mut **mask, width as usize, height as usize);
        let mut start = 0;
        for (&length, inside) in lengths.iter().zip([false, true].into_iter().cycle()) {
            let end = start + length as usize;
            if inside {
                (start..end).for_each(|i| pixels[i % height * width + i / height] = value);
            }
            start = end;
        }
        Ok(())
    }
}

/// The lengths that a text of COCO's has.
///
/// A character's code less 48 has six bits: five of a number, the lowest ones first, and whether
/// there are more; the last one's fifth is the sign. From the fourth number on they are differences
/// to the last but one. (`rleFrString` of
/// <https://github.com/cocodataset/cocoapi/blob/master/common/maskApi.c>.)
fn unpack(text: &str) -> Result<Vec<u32>, String> {
    const MORE: u8 = 0x20;
    const SIGN: u8 = 0x10;
    // Seven times five bits are enough for any difference of lengths.
    const MAX_SHIFT: u32 = 30;
    let mut lengths: Vec<u32> = Vec::new();
    let (mut number, mut shift) = (0_i64, 0);
    for (place, byte) in text.bytes().enumerate() {
        let wrong = |what: &str| format!("its run lengths' text has {what} at byte {place}");
        let bits = byte.checked_sub(48).filter(|bits| *bits < 64);
        let bits = bits.ok_or_else(|| wrong("a character other than `0` to `o`"))?;
        if shift > MAX_SHIFT {
            return Err(wrong("a number that is too large"));
        }
        number |= i64::from(bits & 0x1F) << shift;
        shift += 5;
        if bits & MORE != 0 {
            continue;
        }
        if bits & SIGN != 0 {
            number -= 1 << shift;
        }
        if lengths.len() > 2 {
            number += i64::from(lengths[lengths.len() - 2]);
        }
        lengths.push(u32::try_from(number).map_err(|_| wrong("an impossible length"))?);
        (number, shift) = (0, 0);
    }
    if shift > 0 {
        return Err("its run lengths' text ends inside of a number".into());
    }
    Ok(lengths)
}

impl<'de> Deserialize<'de> for Counts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = Counts;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("run lengths as numbers or as text")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, lengths: A) -> Result<Counts, A::Error> {
                let lengths = SeqAccessDeserializer::new(lengths);
                Deserialize::deserialize(lengths).map(Counts::Lengths)
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Counts, E> {
                Ok(Counts::Text(text.into()))
            }
        }

        deserializer.deserialize_any(Either)
    }
}
