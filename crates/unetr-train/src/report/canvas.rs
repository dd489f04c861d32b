//! Antialiased strokes and text on an RGB picture.

use ab_glyph::{Font, FontRef, Glyph, PxScale, ScaleFont, point};
use image::{Rgb, RgbImage};

pub(super) const INK: Rgb<u8> = Rgb([38, 43, 51]);
pub(super) const MUTED: Rgb<u8> = Rgb([107, 114, 128]);
pub(super) const GRID: Rgb<u8> = Rgb([229, 231, 235]);
pub(super) const PAPER: Rgb<u8> = Rgb([255, 255, 255]);

/// A point in pixels: x to the right, y down.
pub(super) type Point = (f32, f32);

/// Where a text's `x` is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Align {
    Left,
    Centre,
    Right,
}

/// How heavy text is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Weight {
    Regular,
    Medium,
}

/// A picture that is drawn on.
pub(super) struct Canvas {
    pixels: RgbImage,
    regular: FontRef<'static>,
    medium: FontRef<'static>,
}

impl Canvas {
    pub(super) fn new(width: u32, height: u32) -> Self {
        let font = |bytes| FontRef::try_from_slice(bytes).expect("the embedded fonts are intact");
        Self {
            pixels: RgbImage::from_pixel(width, height, PAPER),
            regular: font(include_bytes!("../../assets/Roboto-Regular.ascii.ttf")),
            medium: font(include_bytes!("../../assets/Roboto-Medium.ascii.ttf")),
        }
    }

    pub(super) fn finish(self) -> RgbImage {
        self.pixels
    }

    /// Fills a rectangle.
    pub(super) fn fill(&mut self, x: u32, y: u32, width: u32, height: u32, colour: Rgb<u8>) {
        for y in y..(y + height).min(self.pixels.height()) {
            for x in x..(x + width).min(self.pixels.width()) {
                self.pixels.put_pixel(x, y, colour);
            }
        }
    }

    /// Puts a picture down with its corner at `(x, y)`.
    pub(super) fn place(&mut self, picture: &RgbImage, x: u32, y: u32) {
        image::imageops::replace(&mut self.pixels, picture, x.into(), y.into());
    }

    /// Joins the points with a line of round ends and corners; a single point becomes a disc.
    pub(super) fn stroke(&mut self, points: &[Point], width: f32, colour: Rgb<u8>) {
        let Some(&first) = points.first() else { return };
        let radius = width / 2.0;
        let reach = radius + 1.0;
        let bound = |of: fn(&Point) -> f32, limit: u32| {
            let low = points.iter().map(of).fold(f32::INFINITY, f32::min) - reach;
            let high = points.iter().map(of).fold(f32::NEG_INFINITY, f32::max) + reach;
            (low.max(0.0) as u32, (high.max(0.0) as u32 + 1).min(limit))
        };
        let (left, right) = bound(|point| point.0, self.pixels.width());
        let (top, bottom) = bound(|point| point.1, self.pixels.height());
        // The coverage of all segments first, then one blend, so that joints aren't darker.
        let columns = right.saturating_sub(left) as usize;
        let mut coverage = vec![0f32; columns * bottom.saturating_sub(top) as usize];
        let single = [(first, first)];
        let pairs: Vec<(Point, Point)> = points.windows(2).map(|pair| (pair[0], pair[1])).collect();
        for &(from, to) in if pairs.is_empty() {
            &single[..]
        } else {
            &pairs
        } {
            let span = |low: f32, high: f32, from: u32, to: u32| {
                ((low - reach).max(from as f32) as u32).min(to)
                    ..((high + reach).max(0.0) as u32 + 1).min(to)
            };
            for y in span(from.1.min(to.1), from.1.max(to.1), top, bottom) {
                for x in span(from.0.min(to.0), from.0.max(to.0), left, right) {
                    let distance = distance((x as f32 + 0.5, y as f32 + 0.5), from, to);
                    let cover = (radius + 0.5 - distance).clamp(0.0, 1.0);
                    let cell = &mut coverage[(y - top) as usize * columns + (x - left) as usize];
                    *cell = cell.max(cover);
                }
            }
        }
        for (index, &cover) in coverage
            .iter()
            .enumerate()
            .filter(|(_, cover)| **cover > 0.0)
        {
            let (x, y) = (
                left + (index % columns) as u32,
                top + (index / columns) as u32,
            );
            let pixel = self.pixels.get_pixel_mut(x, y);
            *pixel = blend(*pixel, colour, cover);
        }
    }

    /// Writes a line of text whose top is at `y`.
    pub(super) fn text(
        &mut self,
        text: &str,
        (x, y): (i32, i32),
        size: f32,
        (align, weight): (Align, Weight),
        colour: Rgb<u8>,
    ) {
        let (glyphs, width) = self.layout(text, size, weight);
        let left = match align {
            Align::Left => x as f32,
            Align::Centre => x as f32 - width / 2.0,
            Align::Right => x as f32 - width,
        };
        for mut glyph in glyphs {
            glyph.position.x += left;
            glyph.position.y += y as f32;
            let Some(outline) = self.font(weight).outline_glyph(glyph) else {
                continue;
            };
            let corner = outline.px_bounds().min;
            outline.draw(|column, row, cover| {
                let (x, y) = (
                    corner.x as i64 + i64::from(column),
                    corner.y as i64 + i64::from(row),
                );
                let inside = u32::try_from(x).ok().zip(u32::try_from(y).ok());
                if let Some(pixel) =
                    inside.and_then(|(x, y)| self.pixels.get_pixel_mut_checked(x, y))
                {
                    *pixel = blend(*pixel, colour, cover.min(1.0));
                }
            });
        }
    }

    /// The width of a line of text in pixels.
    pub(super) fn text_width(&self, text: &str, size: f32, weight: Weight) -> u32 {
        self.layout(text, size, weight).1.ceil() as u32
    }

    fn font(&self, weight: Weight) -> FontRef<'static> {
        match weight {
            Weight::Regular => self.regular.clone(),
            Weight::Medium => self.medium.clone(),
        }
    }

    /// The glyphs of a line whose top left corner is the origin, and the line's width.
    fn layout(&self, text: &str, size: f32, weight: Weight) -> (Vec<Glyph>, f32) {
        let font = self.font(weight);
        let font = font.as_scaled(PxScale::from(size));
        let mut glyphs: Vec<Glyph> = Vec::with_capacity(text.len());
        let mut x = 0.0;
        for character in text.chars() {
            let mut glyph = font.scaled_glyph(character);
            if let Some(last) = glyphs.last() {
                x += font.kern(last.id, glyph.id);
            }
            glyph.position = point(x, font.ascent());
            x += font.h_advance(glyph.id);
            glyphs.push(glyph);
        }
        (glyphs, x)
    }
}

/// `over` laid on `under` with an opacity of 0 to 1.
pub(super) fn blend(under: Rgb<u8>, over: Rgb<u8>, opacity: f32) -> Rgb<u8> {
    let mix = |a: u8, b: u8| (f32::from(a) + (f32::from(b) - f32::from(a)) * opacity).round() as u8;
    Rgb(std::array::from_fn(|channel| {
        mix(under.0[channel], over.0[channel])
    }))
}

/// The distance of a point from a segment.
fn distance(point: Point, from: Point, to: Point) -> f32 {
    let (dx, dy) = (to.0 - from.0, to.1 - from.1);
    let (px, py) = (point.0 - from.0, point.1 - from.1);
    let squared = dx * dx + dy * dy;
    let along = if squared == 0.0 {
        0.0
    } else {
        ((px * dx + py * dy) / squared).clamp(0.0, 1.0)
    };
    (px - along * dx).hypot(py - along * dy)
}
