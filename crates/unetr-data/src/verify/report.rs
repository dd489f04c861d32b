use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Classes;

/// What [`verify`](crate::verify) found: plain data for JSON, a table when it is printed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Verification {
    /// How many samples there are, those with problems too.
    pub samples: usize,
    /// What is wrong, by index; at most one problem a sample.
    pub problems: Vec<Problem>,
    /// What the samples without problems are like; none if there is no such sample.
    pub statistics: Option<Statistics>,
}

/// A sample that can't be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Problem {
    /// Its index in the data set.
    pub index: usize,
    /// What it is called.
    pub name: String,
    /// What is wrong with it.
    pub error: String,
}

/// Sizes, classes and colours of all samples together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Statistics {
    /// The photos' widths, in pixels.
    pub width: Spread,
    /// The photos' heights, in pixels.
    pub height: Spread,
    /// How many pixels there are in all.
    pub pixels: u64,
    /// The values of the masks that occur or have a name, in order.
    pub classes: Vec<ClassCount>,
    /// The mean of red, green and blue over all pixels, on a scale of 0 to 1, as for
    /// [`Normalize`](crate::Normalize).
    pub mean: [f64; 3],
    /// The standard deviation of red, green and blue over all pixels, on that scale.
    pub std: [f64; 3],
}

/// The least, the middle and the greatest of some lengths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spread {
    /// The least.
    pub min: u32,
    /// The middle one of all in order; the lower one of two.
    pub median: u32,
    /// The greatest.
    pub max: u32,
}

/// How often masks have one value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ClassCount {
    /// The value.
    pub value: u8,
    /// What its class is called, if that is known.
    pub name: Option<String>,
    /// How many pixels have it.
    pub pixels: u64,
    /// Their part of all pixels.
    pub share: f64,
    /// How many images have such a pixel.
    pub images: u64,
}

impl fmt::Display for Verification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} samples, {} with a problem",
            self.samples,
            self.problems.len()
        )?;
        if let Some(statistics) = &self.statistics {
            write!(f, "\n{statistics}")?;
        }
        if !self.problems.is_empty() {
            writeln!(f)?;
        }
        for Problem { index, name, error } in &self.problems {
            writeln!(f, "sample {name} (index {index}): {error}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Statistics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "pixels {:>8} {:>8} {:>8}", "min", "median", "max")?;
        for (side, Spread { min, median, max }) in [("width", self.width), ("height", self.height)]
        {
            writeln!(f, "{side:6} {min:>8} {median:>8} {max:>8}")?;
        }

        let label = |class: &ClassCount| match &class.name {
            Some(name) => name.clone(),
            None if class.value == Classes::IGNORED => "ignored".into(),
            None => String::new(),
        };
        let labels: Vec<_> = self.classes.iter().map(label).collect();
        let width = labels
            .iter()
            .map(|label| label.chars().count())
            .max()
            .unwrap_or(0);
        writeln!(
            f,
            "\nclass {:width$} {:>14} {:>8} {:>8}",
            "", "pixels", "share", "images"
        )?;
        for (class, label) in self.classes.iter().zip(&labels) {
            let ClassCount {
                value,
                pixels,
                share,
                images,
                ..
            } = class;
            let percent = 100.0 * share;
            writeln!(
                f,
                "{value:>5} {label:width$} {pixels:>14} {percent:>6.2} % {images:>8}"
            )?;
        }

        writeln!(f, "\nchannel {:>8} {:>8}", "mean", "std")?;
        let moments = self.mean.iter().zip(&self.std);
        for (channel, (mean, std)) in ["red", "green", "blue"].into_iter().zip(moments) {
            writeln!(f, "{channel:7} {mean:>8.4} {std:>8.4}")?;
        }
        Ok(())
    }
}
