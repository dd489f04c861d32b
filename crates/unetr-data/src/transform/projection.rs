/// Where the pixels of an image come from in another one: a projective map of positions, `[x, y, 1]` as a column.
///
/// Positions are those of pixel centres: the first pixel's is 0.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Projection([[f64; 3]; 3]);

impl Projection {
    /// Rows become columns.
    pub(crate) const TRANSPOSED: Self = Self::affine([0., 1., 0.], [1., 0., 0.]);

    /// An affine map by its two rows.
    pub(crate) const fn affine(x: [f64; 3], y: [f64; 3]) -> Self {
        Self([x, y, [0., 0., 1.]])
    }

    /// Every position moves by so many pixels.
    pub(crate) const fn shift(x: f64, y: f64) -> Self {
        Self::affine([1., 0., x], [0., 1., y])
    }

    /// From an image of `output` pixels (height, width) to one of `source` pixels that shows the same.
    pub(crate) fn resize(source: [usize; 2], output: [usize; 2]) -> Self {
        let [y, x] = [0, 1].map(|axis| source[axis] as f64 / output[axis] as f64);
        Self::affine([x, 0., 0.5 * x - 0.5], [0., y, 0.5 * y - 0.5])
    }

    /// The map that takes four corners to four others.
    ///
    /// None if three of either lie on a line.
    pub(crate) fn between(from: [[f64; 2]; 4], to: [[f64; 2]; 4]) -> Option<Self> {
        let [from, to] = [from, to].map(Self::of_unit_square);
        Some(from?.inverse()?.then(to?))
    }

    /// The map that takes the corners of the unit square, (0, 0), (1, 0), (1, 1) and (0, 1), to these.
    ///
    /// Source: P. Heckbert, "Fundamentals of Texture Mapping and Image Warping" (1989), section 2.2.3.
    fn of_unit_square([[x0, y0], [x1, y1], [x2, y2], [x3, y3]]: [[f64; 2]; 4]) -> Option<Self> {
        let [dx1, dx2, sx] = [x1 - x2, x3 - x2, x0 - x1 + x2 - x3];
        let [dy1, dy2, sy] = [y1 - y2, y3 - y2, y0 - y1 + y2 - y3];
        let divisor = dx1 * dy2 - dx2 * dy1;
        let g = (sx * dy2 - dx2 * sy) / divisor;
        let h = (dx1 * sy - sx * dy1) / divisor;
        let map = Self([
            [x1 - x0 + g * x1, x3 - x0 + h * x3, x0],
            [y1 - y0 + g * y1, y3 - y0 + h * y3, y0],
            [g, h, 1.],
        ]);
        map.0
            .as_flattened()
            .iter()
            .all(|x| x.is_finite())
            .then_some(map)
    }

    /// First this map, then another.
    pub(crate) fn then(self, next: Self) -> Self {
        let product =
            |row: usize, column: usize| (0..3).map(|k| next.0[row][k] * self.0[k][column]).sum();
        Self(std::array::from_fn(|row| {
            std::array::from_fn(|column| product(row, column))
        }))
    }

    /// The map back; none if everything falls onto a line.
    pub(crate) fn inverse(self) -> Option<Self> {
        let m = self.0;
        let minor = |row: usize, column: usize| {
            let [a, b] = [(row + 1) % 3, (row + 2) % 3];
            let [c, d] = [(column + 1) % 3, (column + 2) % 3];
            m[a][c] * m[b][d] - m[a][d] * m[b][c]
        };
        let determinant: f64 = (0..3).map(|column| m[0][column] * minor(0, column)).sum();
        let inverse = Self(std::array::from_fn(|row| {
            std::array::from_fn(|column| minor(column, row) / determinant)
        }));
        inverse
            .0
            .as_flattened()
            .iter()
            .all(|x| x.is_finite())
            .then_some(inverse)
    }

    /// Whether every pixel centre comes from a pixel centre, so that pixels are copied and none is interpolated.
    pub(crate) fn copies(&self) -> bool {
        let is_whole = |x: &f64| x.fract() == 0.;
        self.0[2] == [0., 0., 1.] && self.0.as_flattened().iter().all(is_whole)
    }

    /// Where the positions of a row come from, from left to right.
    pub(crate) fn row(&self, y: usize, width: usize) -> impl Iterator<Item = [f64; 2]> {
        let starts = self.0.map(|[_, b, c]| b * y as f64 + c);
        let steps = self.0.map(|[a, _, _]| a);
        let is_affine = self.0[2] == [0., 0., 1.];
        (0..width).map(move |x| {
            let at = |axis: usize| steps[axis] * x as f64 + starts[axis];
            if is_affine {
                [at(0), at(1)]
            } else {
                [at(0) / at(2), at(1) / at(2)]
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Projection {
        /// Where a position comes from.
        fn at(&self, [x, y]: [f64; 2]) -> [f64; 2] {
            let [x, y, scale] = self.0.map(|[a, b, c]| a * x + b * y + c);
            [x / scale, y / scale]
        }
    }

    fn close([x, y]: [f64; 2], [u, v]: [f64; 2]) {
        assert!(
            (x - u).abs() < 1e-9 && (y - v).abs() < 1e-9,
            "{x} {y}, expected {u} {v}"
        );
    }

    #[test]
    fn four_corners_go_to_four_others_and_back() {
        let from = [[0., 0.], [9., 0.], [9., 5.], [0., 5.]];
        let to = [[1., -2.], [8., 1.], [10., 6.], [-1., 4.]];
        let map = Projection::between(from, to).expect("both are convex");
        let back = map.inverse().expect("so it can be inverted");
        for (from, to) in from.into_iter().zip(to) {
            close(map.at(from), to);
            close(back.at(to), from);
            close(map.then(back).at(from), from);
        }
        for (x, position) in map.row(3, 10).enumerate() {
            close(position, map.at([x as f64, 3.]));
        }
        assert_eq!(Projection::between([[0., 0.]; 4], to), None);
    }

    #[test]
    fn one_map_follows_another() {
        let resize = Projection::resize([10, 40], [20, 10]);
        close(resize.at([-0.5, -0.5]), [-0.5, -0.5]);
        close(resize.at([9.5, 19.5]), [39.5, 9.5]);
        close(
            resize.then(Projection::shift(1., 2.)).at([-0.5, 19.5]),
            [0.5, 11.5],
        );
    }
}
