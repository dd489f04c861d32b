use crate::Result;

/// The scores of an image's pixels, one row after the other from the top.
pub(crate) trait ScoreRows {
    /// Height and width.
    fn size(&self) -> [usize; 2];

    /// The next row, `[classes, width]`; there are as many as the image has.
    fn next_row(&mut self) -> Result<Vec<f32>>;
}

/// The rows of a map that is there already.
pub(crate) struct MapRows {
    /// `[classes, height, width]`
    scores: Vec<f32>,
    /// Height and width of the map.
    map: [usize; 2],
    /// The part of it that is the image: its first row and column, height and width.
    image: [[usize; 2]; 2],
    row: usize,
}

impl MapRows {
    /// The part of a map `[classes, map[0], map[1]]` that begins at `start` and has `size`.
    pub(crate) fn new(
        scores: Vec<f32>,
        map: [usize; 2],
        start: [usize; 2],
        size: [usize; 2],
    ) -> Self {
        Self {
            scores,
            map,
            image: [start, size],
            row: 0,
        }
    }
}

impl ScoreRows for MapRows {
    fn size(&self) -> [usize; 2] {
        self.image[1]
    }

    fn next_row(&mut self) -> Result<Vec<f32>> {
        let ([height, width], [[top, left], [_, columns]]) = (self.map, self.image);
        let y = top + self.row;
        self.row += 1;
        let planes = self.scores.chunks_exact(height * width);
        let row = planes.flat_map(|plane| &plane[y * width + left..][..columns]);
        Ok(row.copied().collect())
    }
}
