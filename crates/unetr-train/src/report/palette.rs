use image::Rgb;

/// Matplotlib's default colour map at equal distances
/// (<https://bids.github.io/colormap/>).
const VIRIDIS: [[u8; 3]; 9] = [
    [68, 1, 84],
    [72, 40, 120],
    [62, 74, 137],
    [49, 104, 142],
    [33, 145, 140],
    [53, 183, 121],
    [109, 205, 89],
    [180, 222, 44],
    [253, 231, 37],
];

/// Names and colours of the classes.
///
/// # Examples
/// ```
/// # use unetr_train::Palette;
/// let palette = Palette::viridis(["pet", "background", "boundary"]);
/// assert_eq!(palette.colour(0), image::Rgb([68, 1, 84]));
/// assert_eq!(palette.colour(2), image::Rgb([253, 231, 37]));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Palette {
    classes: Vec<(String, Rgb<u8>)>,
}

impl Palette {
    /// Names and colours in the order of the classes' indices.
    pub fn new(classes: impl IntoIterator<Item = (String, Rgb<u8>)>) -> Self {
        Self {
            classes: classes.into_iter().collect(),
        }
    }

    /// The colours in which the tutorial draws masks: viridis, from dark blue to yellow.
    pub fn viridis<S: Into<String>>(names: impl IntoIterator<Item = S>) -> Self {
        let names: Vec<String> = names.into_iter().map(Into::into).collect();
        let last = names.len().saturating_sub(1).max(1) as f32;
        Self::new(
            names
                .into_iter()
                .enumerate()
                .map(|(index, name)| (name, viridis(index as f32 / last))),
        )
    }

    /// The colour of a class; grey for a label that is none, such as an ignored one.
    pub fn colour(&self, class: u8) -> Rgb<u8> {
        self.classes
            .get(usize::from(class))
            .map_or(Rgb([150, 150, 150]), |&(_, colour)| colour)
    }

    /// Names and colours in the order of the classes' indices.
    pub fn classes(&self) -> &[(String, Rgb<u8>)] {
        &self.classes
    }
}

/// The colour at `position`, from 0 to 1.
fn viridis(position: f32) -> Rgb<u8> {
    let place = position * (VIRIDIS.len() - 1) as f32;
    let index = (place as usize).min(VIRIDIS.len() - 2);
    super::canvas::blend(
        Rgb(VIRIDIS[index]),
        Rgb(VIRIDIS[index + 1]),
        place - index as f32,
    )
}
