use std::fmt;

use image::GrayImage;
use serde::de::value::SeqAccessDeserializer;
use serde::de::{self, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A region of an image as COCO's tools write it: lengths of runs outside and inside of it in turn, down one column
/// after the other; in JSON packed into text.
///
/// # Examples
/// ```
/// use image::{GrayImage, Luma};
/// use unetr_data::RunLengths;
///
/// let labels = GrayImage::from_fn(3, 2, |x, _| Luma([u8::from(x == 1)]));
/// let region = RunLengths::of_class(&labels, 1);
/// assert_eq!(region.pixels(), 2);
/// assert_eq!(serde_json::to_string(&region)?, r#"{"size":[2,3],"counts":"222"}"#);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunLengths {
    /// Height and width of the image.
    size: [u32; 2],
    counts: Counts,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Counts {
    Lengths(Vec<u32>),
    Text(String),
}

impl RunLengths {
    /// The pixels of a class in an image of labels.
    pub fn of_class(labels: &GrayImage, class: u8) -> Self {
        let (width, height) = labels.dimensions();
        let (mut lengths, mut length, mut inside) = (Vec::new(), 0, false);
        let (pixels, width) = (&**labels, width as usize);
        for x in 0..width {
            for &label in pixels.iter().skip(x).step_by(width) {
                if (label == class) != inside {
                    lengths.push(length);
                    (length, inside) = (0, !inside);
                }
                length += 1;
            }
        }
        lengths.push(length);
        Self {
            size: [height, width as u32],
            counts: Counts::Text(pack(&lengths)),
        }
    }

    /// How many pixels the region has; none where its lengths cannot be read.
    pub fn pixels(&self) -> u64 {
        let of = |lengths: &[u32]| {
            lengths
                .iter()
                .skip(1)
                .step_by(2)
                .map(|&n| u64::from(n))
                .sum()
        };
        match &self.counts {
            Counts::Lengths(lengths) => of(lengths),
            Counts::Text(text) => unpack(text).map_or(0, |lengths| of(&lengths)),
        }
    }

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

/// Of a character's six bits.
const MORE: u8 = 0x20;
/// Of the last character's.
const SIGN: u8 = 0x10;

/// The text that [`unpack`] reads (`rleToString` of the same source).
fn pack(lengths: &[u32]) -> String {
    let mut text = String::new();
    for (i, &length) in lengths.iter().enumerate() {
        let before = if i > 2 { lengths[i - 2] } else { 0 };
        let mut number = i64::from(length) - i64::from(before);
        loop {
            let bits = (number & 0x1F) as u8;
            number >>= 5;
            // What is left is the sign alone.
            let done = number == if bits & SIGN != 0 { -1 } else { 0 };
            text.push(char::from(48 + (bits | if done { 0 } else { MORE })));
            if done {
                break;
            }
        }
    }
    text
}

/// The lengths that a text of COCO's has.
///
/// A character's code less 48 has six bits: five of a number, the lowest ones first, and whether
/// there are more; the last one's fifth is the sign. From the fourth number on they are differences
/// to the last but one. (`rleFrString` of
/// <https://github.com/cocodataset/cocoapi/blob/master/common/maskApi.c>.)
fn unpack(text: &str) -> Result<Vec<u32>, String> {
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

impl Serialize for Counts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Lengths(lengths) => lengths.serialize(serializer),
            Self::Text(text) => text.serialize(serializer),
        }
    }
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
