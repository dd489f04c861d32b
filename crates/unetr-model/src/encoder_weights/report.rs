use std::fmt;

use crate::parameters::first_of;

/// What became of the weights of an encoder.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct EncoderReport {
    /// Parameters that were set.
    pub loaded: usize,
    /// Parameters of the encoder that kept their values, sorted: those of the last norm, where the file's network has none because
    /// it averages the tokens, and where [`assign_matching`](crate::EncoderWeights::assign_matching) set what fits, all
    /// that did not.
    pub kept: Vec<String>,
    /// What the network has no use for, sorted: names in the file, and of blocks beyond the network's those in this crate.
    pub left_out: Vec<String>,
    /// The side of the file's square grid of position embeddings.
    pub side: usize,
    /// Rows and columns of the network's.
    pub grid: [usize; 2],
    /// The side of the patches that the file's kernels embed, in pixels.
    pub patch_side: usize,
    /// The side of the network's patches.
    pub patch_size: usize,
}

impl fmt::Display for EncoderReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            loaded,
            kept,
            left_out,
            side,
            grid: [rows, columns],
            patch_side,
            patch_size,
        } = self;
        write!(f, "{loaded} parameters of the encoder loaded")?;
        if [*rows, *columns] != [*side, *side] {
            write!(
                f,
                ", position embeddings resampled from {side}x{side} to {rows}x{columns}"
            )?;
        }
        if patch_side != patch_size {
            write!(
                f,
                ", patch embedding resampled from {patch_side}x{patch_side} to {patch_size}x{patch_size} pixels"
            )?;
        }
        for (what, names) in [("kept", kept), ("left out", left_out)] {
            if !names.is_empty() {
                write!(f, ", {what}: {}", first_of(names))?;
            }
        }
        Ok(())
    }
}
