use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// The classes of a data set, numbered from 0: what each is called and the colour it is drawn in.
///
/// There are 1 to 255 of them; [`Classes::IGNORED`] is the value of pixels that belong to none and
/// count for nothing. In JSON a class may leave its colour out and takes the
/// [default](Classes::default_colour).
///
/// # Examples
/// ```
/// use unetr_data::Classes;
///
/// let street = Classes::new([("road", [128, 64, 128]), ("car", [0, 0, 142])])?;
/// assert_eq!(street.names(), ["road", "car"]);
/// assert_eq!(street.number("car"), Some(1));
///
/// let json = r#"{"classes": [{"name": "sky"}, {"name": "tree", "colour": [0, 128, 0]}]}"#;
/// let nature: Classes = serde_json::from_str(json)?;
/// assert_eq!(nature.colours(), [[0, 0, 0], [0, 128, 0]]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Table", into = "Table")]
pub struct Classes {
    names: Vec<String>,
    colours: Vec<[u8; 3]>,
    ignored: Option<[u8; 3]>,
}

/// What fits into a table, by far.
const LONGEST_NAME: usize = 256;

impl Classes {
    /// What a mask has where no class counts, for the `ignore_index` of losses and metrics.
    pub const IGNORED: u8 = 255;

    /// Classes with these names and RGB colours.
    ///
    /// # Errors
    /// When there is none, there are more than 255, or a name is empty, occurs twice, is longer than 256 characters or
    /// has control characters.
    pub fn new<N: Into<String>>(classes: impl IntoIterator<Item = (N, [u8; 3])>) -> Result<Self> {
        let classes = classes
            .into_iter()
            .map(|(name, colour)| (name.into(), colour));
        let (names, colours): (Vec<String>, Vec<_>) = classes.unzip();
        let invalid = |reason: String| Err(Error::ClassNames(reason));
        if names.is_empty() || names.len() > usize::from(Self::IGNORED) {
            return invalid(format!("there are {}; expected 1 to 255", names.len()));
        }
        for (index, name) in names.iter().enumerate() {
            if name.is_empty() {
                return invalid(format!("class {index} has an empty name; give it one"));
            }
            if name.chars().count() > LONGEST_NAME || name.contains(char::is_control) {
                return invalid(format!(
                    "the name of class {index} has {} characters, or some that control a terminal; expected \
                     {LONGEST_NAME} characters at most, all of them visible",
                    name.chars().count()
                ));
            }
            if let Some(first) = names[..index].iter().position(|other| other == name) {
                return invalid(format!(
                    "classes {first} and {index} are both called `{name}`; rename one"
                ));
            }
        }
        Ok(Self {
            names,
            colours,
            ignored: None,
        })
    }

    /// Classes with these names in the [default colours](Classes::default_colour).
    ///
    /// # Errors
    /// As [`Classes::new`].
    pub fn named<N: Into<String>>(names: impl IntoIterator<Item = N>) -> Result<Self> {
        // More than 256 are refused whatever their colours.
        let colours = (0..=u8::MAX).cycle().map(Self::default_colour);
        Self::new(names.into_iter().zip(colours))
    }

    /// Classes with these names in colours from dark blue over green to yellow, in which the tutorial draws masks:
    /// Matplotlib's viridis (<https://bids.github.io/colormap/>).
    ///
    /// # Errors
    /// As [`Classes::new`].
    ///
    /// # Examples
    /// ```
    /// use unetr_data::Classes;
    ///
    /// let pets = Classes::viridis(["pet", "background", "boundary"])?;
    /// assert_eq!(pets.colours(), [[68, 1, 84], [33, 145, 140], [253, 231, 37]]);
    /// # Ok::<(), unetr_data::Error>(())
    /// ```
    pub fn viridis<N: Into<String>>(names: impl IntoIterator<Item = N>) -> Result<Self> {
        let names: Vec<String> = names.into_iter().map(Into::into).collect();
        let last = names.len().saturating_sub(1).max(1) as f32;
        let colour = |(index, name)| (name, viridis(index as f32 / last));
        Self::new(names.into_iter().enumerate().map(colour))
    }

    /// Gives ignored pixels a colour in masks that tell classes by colour.
    #[must_use]
    pub fn ignore(mut self, colour: [u8; 3]) -> Self {
        self.ignored = Some(colour);
        self
    }

    /// The colour of a class that has none of its own, and of 255: Pascal VOC's.
    ///
    /// The bits of the number go to red, green, blue, red … in turn, from the highest bit of each
    /// down (`VOClabelcolormap.m` of the VOC2012 development kit,
    /// <http://host.robots.ox.ac.uk/pascal/VOC/voc2012/>), so that 256 colours differ and neighbours
    /// differ much.
    ///
    /// # Examples
    /// ```
    /// use unetr_data::Classes;
    ///
    /// assert_eq!(Classes::default_colour(1), [128, 0, 0]);
    /// assert_eq!(Classes::default_colour(255), [224, 224, 192]);
    /// ```
    pub fn default_colour(class: u8) -> [u8; 3] {
        let channel = |first: u8| {
            let bit = |i: u8| (((u16::from(class) >> (first + 3 * i)) & 1) as u8) << (7 - i);
            bit(0) | bit(1) | bit(2)
        };
        [channel(0), channel(1), channel(2)]
    }

    /// How many classes there are, ignored pixels not counted.
    #[expect(clippy::len_without_is_empty, reason = "there is at least one class")]
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// What the classes are called.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The classes' RGB colours.
    pub fn colours(&self) -> &[[u8; 3]] {
        &self.colours
    }

    /// The RGB colour of a pixel's label: a class's, or that of ignored pixels, or else grey.
    pub fn colour(&self, label: u8) -> [u8; 3] {
        const GREY: [u8; 3] = [150; 3];
        let colour = self.colours.get(usize::from(label));
        colour.copied().or(self.ignored).unwrap_or(GREY)
    }

    /// The RGB colour of ignored pixels, if they have one.
    pub fn ignored(&self) -> Option<[u8; 3]> {
        self.ignored
    }

    /// The number of the class with this name.
    pub fn number(&self, name: &str) -> Option<u8> {
        (0..=u8::MAX)
            .zip(&self.names)
            .find(|(_, other)| *other == name)
            .map(|(number, _)| number)
    }
}

/// The colour at `position`, from 0 to 1, of viridis, which is known at equal distances.
fn viridis(position: f32) -> [u8; 3] {
    const KNOWN: [[u8; 3]; 9] = [
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
    let place = position * (KNOWN.len() - 1) as f32;
    let index = (place as usize).min(KNOWN.len() - 2);
    let (from, to, part) = (KNOWN[index], KNOWN[index + 1], place - index as f32);
    let mix = |a: u8, b: u8| (f32::from(a) + (f32::from(b) - f32::from(a)) * part).round() as u8;
    std::array::from_fn(|channel| mix(from[channel], to[channel]))
}

/// [`Classes`] as they are written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    classes: Vec<Entry>,
    #[serde(default)]
    ignored: Option<[u8; 3]>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    #[serde(default)]
    colour: Option<[u8; 3]>,
}

impl TryFrom<Table> for Classes {
    type Error = Error;

    fn try_from(table: Table) -> Result<Self> {
        let colours = (0..=u8::MAX).cycle().map(Self::default_colour);
        let entries = table.classes.into_iter().zip(colours);
        let classes = entries.map(|(entry, default)| (entry.name, entry.colour.unwrap_or(default)));
        Ok(Self {
            ignored: table.ignored,
            ..Self::new(classes)?
        })
    }
}

impl From<Classes> for Table {
    fn from(classes: Classes) -> Self {
        let entries = classes.names.into_iter().zip(classes.colours);
        Self {
            classes: entries
                .map(|(name, colour)| Entry {
                    name,
                    colour: Some(colour),
                })
                .collect(),
            ignored: classes.ignored,
        }
    }
}
