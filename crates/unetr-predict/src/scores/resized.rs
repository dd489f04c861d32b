use super::ScoreRows;
use crate::Result;

/// Scores interpolated to another size, as PyTorch's `interpolate` with `bilinear` does: pixels are squares, whose
/// centres count.
pub(crate) struct Resized<S> {
    source: S,
    size: [usize; 2],
    columns: Vec<Tap>,
    row: usize,
    /// The last two rows of the source that were read, with the width of the result, and how many were read.
    last: [Vec<f32>; 2],
    read: usize,
}

/// Two places of a source and the part of the second.
#[derive(Clone, Copy)]
struct Tap {
    near: usize,
    far: usize,
    part: f32,
}

fn tap(i: usize, from: usize, to: usize) -> Tap {
    let place = ((i as f64 + 0.5) * from as f64 / to as f64 - 0.5).max(0.);
    let near = (place as usize).min(from - 1);
    Tap {
        near,
        far: (near + 1).min(from - 1),
        part: (place - near as f64) as f32,
    }
}

impl<S: ScoreRows> Resized<S> {
    pub(crate) fn new(source: S, size: [usize; 2]) -> Self {
        let from = source.size()[1];
        Self {
            source,
            size,
            columns: (0..size[1]).map(|i| tap(i, from, size[1])).collect(),
            row: 0,
            last: [Vec::new(), Vec::new()],
            read: 0,
        }
    }

    /// Reads on up to a row of the source.
    fn read_to(&mut self, row: usize) -> Result<()> {
        while self.read <= row {
            let scores = self.source.next_row()?;
            self.last.swap(0, 1);
            let width = self.source.size()[1];
            let wide = &mut self.last[1];
            wide.clear();
            for scores in scores.chunks_exact(width) {
                let mix =
                    |tap: &Tap| scores[tap.near] + (scores[tap.far] - scores[tap.near]) * tap.part;
                wide.extend(self.columns.iter().map(mix));
            }
            self.read += 1;
        }
        Ok(())
    }
}

impl<S: ScoreRows> ScoreRows for Resized<S> {
    fn size(&self) -> [usize; 2] {
        self.size
    }

    fn next_row(&mut self) -> Result<Vec<f32>> {
        if self.source.size() == self.size {
            return self.source.next_row();
        }
        let tap = tap(self.row, self.source.size()[0], self.size[0]);
        self.row += 1;
        self.read_to(tap.far)?;
        let [near, far] = match tap.near == tap.far {
            true => [&self.last[1], &self.last[1]],
            false => [&self.last[0], &self.last[1]],
        };
        let mix = |(near, far): (&f32, &f32)| near + (far - near) * tap.part;
        Ok(near.iter().zip(far).map(mix).collect())
    }
}
