use crate::cpu::{Real, unwritten};

/// Zeros behind each plane, so that vectors may reach over its end.
const TAIL: usize = 16;

/// Feature maps with a border of zeros: what a kernel of an odd size that keeps the resolution
/// reaches, is a neighbour in memory, and the same distance away for every pixel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) height: usize,
    pub(crate) width: usize,
    /// Rows above and below.
    pub(crate) rows: usize,
    /// Columns on the left and on the right.
    pub(crate) columns: usize,
}

impl Frame {
    /// The distance of neighbouring rows.
    pub(crate) fn stride(self) -> usize {
        self.width + 2 * self.columns
    }

    /// The distance of neighbouring planes.
    pub(crate) fn plane(self) -> usize {
        (self.height + 2 * self.rows) * self.stride() + TAIL
    }

    /// The index of the first pixel inside a plane.
    pub(crate) fn origin(self) -> usize {
        self.rows * self.stride() + self.columns
    }

    /// How many elements lie between the first pixel and the last one, both included.
    pub(crate) fn run(self) -> usize {
        (self.height - 1) * self.stride() + self.width
    }

    /// Elements of a buffer for so many planes.
    pub(crate) fn len(self, planes: usize) -> usize {
        planes * self.plane() + 2 * TAIL
    }

    /// A buffer for so many planes with borders of zeros.
    ///
    /// # Safety
    /// Its pixels are written before they are read.
    pub(crate) unsafe fn buffer<T: Real>(self, planes: usize) -> Vec<T> {
        // SAFETY: the borders and what lies behind the planes are written here, the pixels by the caller.
        let mut buffer = unsafe { unwritten(self.len(planes)) };
        let (rows, tail) = buffer.split_at_mut(planes * self.plane());
        tail.fill(T::zero());
        for plane in rows.chunks_exact_mut(self.plane()) {
            let mut end = 0;
            for row in 0..self.height {
                let start = self.origin() + row * self.stride();
                plane[end..start].fill(T::zero());
                end = start + self.width;
            }
            plane[end..].fill(T::zero());
        }
        buffer
    }

    /// Copies planes without a border into a buffer.
    pub(crate) fn fill<T: Copy>(self, framed: &mut [T], planes: &[T]) {
        let planes = planes.chunks_exact(self.height * self.width);
        for (framed, plane) in framed.chunks_mut(self.plane()).zip(planes) {
            for (to, from) in self.rows(framed).zip(plane.chunks_exact(self.width)) {
                to.copy_from_slice(from);
            }
        }
    }

    /// The pixels of every row of a framed plane.
    pub(crate) fn rows<T>(self, plane: &mut [T]) -> impl Iterator<Item = &mut [T]> {
        plane[self.origin()..]
            .chunks_mut(self.stride())
            .take(self.height)
            .map(move |row| &mut row[..self.width])
    }
}
