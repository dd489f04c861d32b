use serde::{Deserialize, Serialize};

use crate::batch::{Item, Pixels};
use crate::rng::{below, unit};
use crate::{Probability, Region, SampleRng};

/// What is made of a batch's samples together, once each has been transformed.
///
/// The choices come from the generator of `(seed, epoch)` and the batch's first sample, so that they are the same
/// whatever the number of threads and after a resume.
///
/// # Examples
/// ```
/// use unetr_data::{Mix, Probability};
///
/// let mix = Mix::CutMix { p: Probability::new(0.3)? };
/// assert_eq!(serde_json::to_string(&mix).ok().as_deref(), Some(r#"{"kind":"cut_mix","p":0.3}"#));
/// # Ok::<(), unetr_data::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Mix {
    /// A rectangle of another sample in the same place, photo and masks, whose share of the area is drawn evenly
    /// between 0 and 1.
    ///
    /// Source: Yun et al., "CutMix" (2019), <https://arxiv.org/abs/1905.04899>, section 3.
    CutMix {
        /// How often a sample gets one; 0.5 by default.
        #[serde(default)]
        p: Probability,
    },
    /// Four samples around a random point, of each the part that adjoins it: the first one's bottom right corner is
    /// at the point, and so on.
    ///
    /// Source: Bochkovskiy et al., "YOLOv4" (2020), <https://arxiv.org/abs/2004.10934>, section 3.3.
    Mosaic {
        /// How often a sample becomes one; 0.5 by default.
        #[serde(default)]
        p: Probability,
    },
}

impl Mix {
    /// Mixes samples of one size.
    pub(super) fn apply(self, items: &mut [Item], rng: &mut SampleRng) {
        // Bytes that are normalised alike are mixed as bytes, and become floats when the batch is stacked.
        let pairs = &mut items.windows(2);
        if !pairs.all(|pair| pair[0].pixels.is_normalized_as(&pair[1].pixels)) {
            for item in &mut *items {
                item.pixels.normalize();
            }
        }
        let before = items.to_vec();
        let any = |rng: &mut SampleRng| &before[below(rng, before.len())];
        for item in items {
            let [height, width] = item.size;
            match self {
                Self::CutMix { p } => {
                    if p.draw(rng) {
                        let part = rectangle(item.size, rng);
                        item.paste(any(rng), part, [part.y, part.x]);
                    }
                }
                Self::Mosaic { p } => {
                    if p.draw(rng) {
                        let (x, y) = (below(rng, width + 1), below(rng, height + 1));
                        let (columns, rows) = ([(0, x), (x, width - x)], [(0, y), (y, height - y)]);
                        for (top, height) in rows {
                            for (left, width) in columns {
                                let part = Region {
                                    x: left,
                                    y: top,
                                    width,
                                    height,
                                };
                                // The part that adjoins the point is the opposite one.
                                let from =
                                    [item.size[0] - height - top, item.size[1] - width - left];
                                item.paste(any(rng), part, from);
                            }
                        }
                    }
                }
            }
        }
    }
}

/// A rectangle of the image's ratio anywhere in it.
fn rectangle([height, width]: [usize; 2], rng: &mut SampleRng) -> Region {
    let side = unit(rng).sqrt();
    let [part_height, part_width] = [height, width].map(|length| (side * length as f64) as usize);
    Region {
        x: below(rng, width - part_width + 1),
        y: below(rng, height - part_height + 1),
        width: part_width,
        height: part_height,
    }
}

impl Item {
    /// Copies to a part of this sample from another one of its size; `top` and `left` are where in that one.
    fn paste(&mut self, other: &Self, to: Region, [top, left]: [usize; 2]) {
        let from = Region {
            x: left,
            y: top,
            ..to
        };
        match (&mut self.pixels, &other.pixels) {
            (Pixels::U8(out), Pixels::U8(values))
            | (Pixels::ToNormalize(out, _), Pixels::ToNormalize(values, _)) => {
                copy(out, values, self.size, to, from);
            }
            (Pixels::F32(out), Pixels::F32(values)) => copy(out, values, self.size, to, from),
            // Samples of a batch are alike.
            _ => return,
        }
        for (out, values) in self.masks.iter_mut().zip(&other.masks) {
            copy(out, values, self.size, to, from);
        }
    }
}

/// Copies a part of each plane.
fn copy<T: Copy>(
    out: &mut [T],
    values: &[T],
    [height, width]: [usize; 2],
    to: Region,
    from: Region,
) {
    let planes = out
        .chunks_exact_mut(height * width)
        .zip(values.chunks_exact(height * width));
    for (out, values) in planes {
        for row in 0..to.height {
            let to = &mut out[(to.y + row) * width + to.x..][..to.width];
            to.copy_from_slice(&values[(from.y + row) * width + from.x..][..from.width]);
        }
    }
}
