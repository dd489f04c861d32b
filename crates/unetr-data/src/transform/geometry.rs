use super::projection::Projection;

/// A rectangle of pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Region {
    /// The leftmost column.
    pub x: usize,
    /// The topmost row.
    pub y: usize,
    /// How many columns.
    pub width: usize,
    /// How many rows.
    pub height: usize,
}

impl Region {
    /// The whole of an image of this height and width.
    pub fn whole([height, width]: [usize; 2]) -> Self {
        Self {
            x: 0,
            y: 0,
            width,
            height,
        }
    }

    /// Whether the region has pixels, all of them inside an image of this height and width.
    pub fn fits(&self, [height, width]: [usize; 2]) -> bool {
        let within = |start: usize, len: usize, limit: usize| {
            len > 0 && start.checked_add(len).is_some_and(|end| end <= limit)
        };
        within(self.x, self.width, width) && within(self.y, self.height, height)
    }
}

/// What geometric transforms have done to an image so far, from one source, which is sampled once.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Geometry {
    Window(Window),
    Warp(Warp),
}

/// A part of the source, resized, and of that a part, mirrored: sampled with the arithmetic of OpenCV's resize.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Window {
    /// The part of the source that is resized.
    pub(super) region: Region,
    /// Its height and width after that.
    pub(super) resized: [usize; 2],
    /// The part of the resized image that remains.
    pub(super) crop: Region,
    /// Whether what remains is mirrored.
    pub(super) mirrored: Mirrored,
}

/// Along which axes something is mirrored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Mirrored {
    /// Left to right.
    pub(super) x: bool,
    /// Top to bottom.
    pub(super) y: bool,
}

/// A projective map of a rectangle of the source, on which there is nothing but a filling.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Warp {
    /// Where the pixels of the result come from.
    pub(super) projection: Projection,
    /// Height and width of the result.
    pub(super) size: [usize; 2],
    /// What there is of the source.
    pub(super) frame: Region,
    pub(super) fill: Fill,
}

/// What lies outside an image.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Fill {
    pub(super) colour: [u8; 3],
    pub(super) class: u8,
}

impl Mirrored {
    /// Where the pixels come from in an image of this height and width.
    fn projection(self, [height, width]: [usize; 2]) -> Projection {
        let axis = |mirrored: bool, length: usize| {
            if mirrored {
                [-1., length as f64 - 1.]
            } else {
                [1., 0.]
            }
        };
        let ([ax, bx], [ay, by]) = (axis(self.x, width), axis(self.y, height));
        Projection::affine([ax, 0., bx], [0., ay, by])
    }
}

impl Window {
    /// All of a source of this height and width.
    pub(super) fn whole(size: [usize; 2]) -> Self {
        Self {
            region: Region::whole(size),
            resized: size,
            crop: Region::whole(size),
            mirrored: Mirrored::default(),
        }
    }

    fn size(&self) -> [usize; 2] {
        [self.crop.height, self.crop.width]
    }

    fn is_resized(&self) -> bool {
        self.resized != [self.region.height, self.region.width]
    }

    /// This part of it.
    fn select(self, part: Region) -> Self {
        let [height, width] = self.size();
        let x = if self.mirrored.x {
            width - part.x - part.width
        } else {
            part.x
        };
        let y = if self.mirrored.y {
            height - part.y - part.height
        } else {
            part.y
        };
        Self {
            crop: Region {
                x: self.crop.x + x,
                y: self.crop.y + y,
                ..part
            },
            ..self
        }
    }

    /// The part of the source that it shows, mirrored or not, if all of that is resized or nothing.
    fn part(&self) -> Option<Region> {
        if self.crop == Region::whole(self.resized) {
            Some(self.region)
        } else if !self.is_resized() {
            Some(Region {
                x: self.region.x + self.crop.x,
                y: self.region.y + self.crop.y,
                ..self.crop
            })
        } else {
            None
        }
    }
}

/// The next geometric transform.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Step {
    /// A part of the image remains.
    Select(Region),
    /// A part of the image becomes the whole, of another size.
    Resize(Region, [usize; 2]),
    Mirror(Mirrored),
    /// Rows become columns.
    Transpose,
    /// A projective map to this size.
    Warp(Projection, [usize; 2], Fill),
}

impl Geometry {
    pub(super) fn whole(size: [usize; 2]) -> Self {
        Self::Window(Window::whole(size))
    }

    /// Height and width of the result.
    pub(super) fn size(&self) -> [usize; 2] {
        match self {
            Self::Window(window) => window.size(),
            Self::Warp(warp) => warp.size,
        }
    }

    /// Both in one: none where that would show something else than the one after the other.
    ///
    /// Windows stay exact, and so do pixels that a warp copies: neither joins a warp that would interpolate instead.
    /// What follows any other warp becomes a part of it, so that interpolation happens once. But nothing is enlarged
    /// much on the way: the pixel's width in which an image goes over into its filling would be, too.
    pub(super) fn then(self, step: Step) -> Option<Self> {
        match (self, step) {
            (Self::Window(window), Step::Select(part)) => Some(Self::Window(window.select(part))),
            (Self::Window(window), Step::Mirror(mirrored)) => Some(Self::Window(Window {
                mirrored: Mirrored {
                    x: window.mirrored.x != mirrored.x,
                    y: window.mirrored.y != mirrored.y,
                },
                ..window
            })),
            (Self::Window(window), Step::Resize(part, size)) => {
                let untouched = !window.is_resized() && window.mirrored == Mirrored::default();
                let region = untouched.then(|| window.select(part).part())??;
                Some(Self::Window(Window {
                    region,
                    ..Window::whole(size)
                }))
            }
            (Self::Window(_), Step::Transpose) => {
                let [height, width] = self.size();
                // Nothing comes from outside.
                self.then(Step::Warp(
                    Projection::TRANSPOSED,
                    [width, height],
                    Fill::default(),
                ))
            }
            (Self::Window(window), Step::Warp(projection, ..))
                if window.is_resized() && projection.copies()
                    || is_much_larger(window.resized, window.region) =>
            {
                None
            }
            (Self::Window(window), Step::Warp(projection, size, fill)) => {
                let frame = window.part()?;
                let mirrored = window.mirrored.projection(window.size());
                let to_frame = Projection::resize([frame.height, frame.width], window.size());
                let to_source = Projection::shift(frame.x as f64, frame.y as f64);
                Some(Self::Warp(Warp {
                    projection: projection.then(mirrored).then(to_frame).then(to_source),
                    size,
                    frame,
                    fill,
                }))
            }
            (Self::Warp(_), Step::Warp(..)) => None,
            (Self::Warp(warp), Step::Select(part)) => Some(warp.after(
                Projection::shift(part.x as f64, part.y as f64),
                [part.height, part.width],
            )),
            (Self::Warp(warp), Step::Resize(part, size))
                if warp.projection.copies() || is_much_larger(size, part) =>
            {
                None
            }
            (Self::Warp(warp), Step::Resize(part, size)) => {
                let resize = Projection::resize([part.height, part.width], size);
                Some(warp.after(
                    resize.then(Projection::shift(part.x as f64, part.y as f64)),
                    size,
                ))
            }
            (Self::Warp(warp), Step::Mirror(mirrored)) => {
                Some(warp.after(mirrored.projection(warp.size), warp.size))
            }
            (Self::Warp(warp), Step::Transpose) => {
                let [height, width] = warp.size;
                Some(warp.after(Projection::TRANSPOSED, [width, height]))
            }
        }
    }
}

/// Whether a part of an image is enlarged by more than half.
fn is_much_larger([height, width]: [usize; 2], part: Region) -> bool {
    2 * height > 3 * part.height || 2 * width > 3 * part.width
}

impl Warp {
    /// Seen through another map, to an image of this size.
    fn after(self, projection: Projection, size: [usize; 2]) -> Geometry {
        Geometry::Warp(Self {
            projection: projection.then(self.projection),
            size,
            ..self
        })
    }
}
