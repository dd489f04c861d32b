use super::convolution::{Tap, convolve};
use super::{Canvas, PixelType, Probability, Transform, settings::check_range};
use crate::{Result, SampleRng, rng::uniform};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

const NAME: &str = "MotionBlur";

/// Blurs a photo as if the camera had moved along a straight line of random length and direction.
///
/// Every pixel becomes the mean of points at most one pixel apart on that line, interpolated linearly; the photo is
/// mirrored at its border. The mask stays as it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MotionBlur {
    /// Least and greatest length of the line in pixels, 1 being no blur; 3 to 9 by default.
    pub length: [f64; 2],
    /// How often; 0.5 by default.
    pub p: Probability,
}

impl Default for MotionBlur {
    fn default() -> Self {
        Self {
            length: [3.0, 9.0],
            p: Probability::HALF,
        }
    }
}

/// The weights of the pixels around a line of this length and angle in degrees, which sum to 1.
fn line(length: f64, angle: f64) -> Vec<Tap> {
    /// Less than this of a pixel is not seen in 8 bits.
    const NOTHING: f64 = 1e-6;
    let (sin, cos) = angle.to_radians().sin_cos();
    let points = length.ceil() as usize;
    let mut weights = BTreeMap::new();
    for i in 0..points {
        let along = length * ((i as f64 + 0.5) / points as f64 - 0.5);
        let [(x, right), (y, down)] = [cos, sin].map(|slope| {
            let near = (along * slope).floor();
            (near as isize, along * slope - near)
        });
        for (y, share) in [(y, 1.0 - down), (y + 1, down)] {
            *weights.entry((y, x)).or_insert(0.0) += share * (1.0 - right);
            *weights.entry((y, x + 1)).or_insert(0.0) += share * right;
        }
    }
    let seen = weights.into_iter().filter(|(_, weight)| *weight > NOTHING);
    seen.map(|((y, x), weight)| Tap {
        x,
        y,
        weight: (weight / points as f64) as f32,
    })
    .collect()
}

impl Transform for MotionBlur {
    fn draw(&self, canvas: &mut Canvas, rng: &mut SampleRng) -> Result<()> {
        if !self.p.draw(rng) {
            return Ok(());
        }
        let taps = line(uniform(rng, self.length), uniform(rng, [0.0, 180.0]));
        let (pixels, _) = canvas.pixels(NAME)?;
        convolve(pixels, &[taps]);
        Ok(())
    }

    fn check(&self, pixels: PixelType) -> Result<PixelType> {
        check_range(NAME, "length", self.length, [1.0, 100.0])?;
        pixels.require_u8(NAME)
    }
}

impl fmt::Display for MotionBlur {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [min, max] = self.length;
        write!(f, "{NAME}(length {min} to {max}, p {})", self.p)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn upright_lines_are_box_kernels() {
        let weight = 1.0 / 3.0;
        let across = [-1, 0, 1].map(|x| Tap { x, y: 0, weight });
        let down = [-1, 0, 1].map(|y| Tap { x: 0, y, weight });
        assert_eq!(line(3.0, 0.0), across);
        assert_eq!(line(3.0, 90.0), down);
    }

    #[test]
    fn slanted_lines_lie_about_the_pixel() {
        for angle in [10.0, 45.0, 77.0, 150.0] {
            let taps = line(8.5, angle);
            let sum = |value: &dyn Fn(&Tap) -> f32| -> f32 {
                taps.iter().map(|tap| tap.weight * value(tap)).sum()
            };
            assert!((sum(&|_| 1.0) - 1.0).abs() < 1e-5);
            assert!(sum(&|tap| tap.x as f32).abs() < 1e-5);
            assert!(sum(&|tap| tap.y as f32).abs() < 1e-5);
            let (sin, cos) = (angle as f32).to_radians().sin_cos();
            let beside = sum(&|tap| (tap.x as f32 * sin - tap.y as f32 * cos).abs());
            assert!(beside < 0.5, "{angle}: {beside}");
        }
    }
}
