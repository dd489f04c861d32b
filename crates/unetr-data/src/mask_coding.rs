use std::collections::HashMap;
use std::path::Path;

use image::GrayImage;
use serde::{Deserialize, Serialize};

use crate::class_map::{ClassMap, ClassTable};
use crate::files::{check_sizes, read_pair};
use crate::{Classes, Error, ExifOrientation, Result, Sample, read_image};

/// How the pixels of a mask file say which class they belong to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum MaskCoding {
    /// The stored values or palette indices are the classes' numbers, and 255 is ignored.
    #[default]
    Indices,
    /// The stored values or palette indices stand for classes by this map.
    Values(ClassMap),
    /// The RGB colours are exactly those of the classes.
    Colours,
}

/// Reads a mask that tells classes by colour; pixels of the [ignored](Classes::ignore) colour become
/// 255.
///
/// The format is told by the content and the limits are those of [`read_image`]; palettes are looked
/// up, an alpha channel is dropped, EXIF data is ignored. Formats with loss, such as JPEG, have other
/// colours than were saved and are refused at the first one.
///
/// # Errors
/// As [`read_image`], when a pixel's colour is that of no class, and when two classes have the same.
///
/// # Examples
/// ```no_run
/// use unetr_data::{Classes, read_colour_mask};
///
/// let classes = Classes::new([("road", [128, 64, 128]), ("car", [0, 0, 142])])?.ignore([0, 0, 0]);
/// let mask = read_colour_mask("masks/frankfurt_1.png", &classes)?;
/// assert!(mask.iter().all(|class| [0, 1, Classes::IGNORED].contains(class)));
/// # Ok::<(), unetr_data::Error>(())
/// ```
pub fn read_colour_mask(path: impl AsRef<Path>, classes: &Classes) -> Result<GrayImage> {
    ColourTable::new(classes)?.read(path.as_ref())
}

/// Reads photos with masks of one coding.
#[derive(Debug, Clone)]
pub(crate) enum MaskReader {
    Values(Box<ClassTable>),
    Colours(ColourTable),
}

impl MaskReader {
    /// # Errors
    /// When the coding does not suit the classes.
    pub(crate) fn new(coding: &MaskCoding, classes: &Classes) -> Result<Self> {
        let map = match coding {
            MaskCoding::Colours => return ColourTable::new(classes).map(Self::Colours),
            // There are at most 255 classes.
            MaskCoding::Indices => ClassMap::identity(classes.len() as u8).ignore(Classes::IGNORED),
            MaskCoding::Values(map) => map.clone(),
        };
        let (mapped, named) = (map.num_classes(), classes.len());
        if mapped != named {
            return Err(Error::ClassMap(format!(
                "it has {mapped} classes but {named} are named; expected as many"
            )));
        }
        let table = ClassTable::new(&map)?;
        Ok(Self::Values(Box::new(table)))
    }

    /// Reads a photo and its mask and checks that they fit.
    pub(crate) fn read(
        &self,
        name: &str,
        image_path: &Path,
        mask_path: &Path,
        orientation: ExifOrientation,
    ) -> Result<Sample> {
        let colours = match self {
            Self::Values(classes) => {
                return read_pair(name, image_path, mask_path, orientation, classes);
            }
            Self::Colours(colours) => colours,
        };
        let image = read_image(image_path, orientation)?;
        let mask = colours.read(mask_path)?;
        check_sizes((image_path, &image), (mask_path, &mask))?;
        Ok(Sample::new(name, image, mask))
    }
}

/// The class of every colour.
#[derive(Debug, Clone)]
pub(crate) struct ColourTable {
    classes: HashMap<[u8; 3], u8>,
    expected: String,
}

impl ColourTable {
    fn new(classes: &Classes) -> Result<Self> {
        let named = classes.colours().iter().zip(classes.names());
        let named = named.map(|(&colour, name)| (colour, name.as_str()));
        let ignored = classes.ignored().map(|colour| (colour, "ignored pixels"));
        let numbers = (0..classes.len() as u8).chain([Classes::IGNORED]);
        let (mut table, mut expected) = (HashMap::new(), Vec::new());
        for ((colour, name), number) in named.chain(ignored).zip(numbers) {
            if table.insert(colour, number).is_some() {
                return Err(Error::ClassNames(format!(
                    "the colour {colour:?} of {name} is also another's; give each its own"
                )));
            }
            expected.push(format!("{colour:?} {name}"));
        }
        Ok(Self {
            classes: table,
            expected: expected.join(", "),
        })
    }

    fn read(&self, path: &Path) -> Result<GrayImage> {
        let image = read_image(path, ExifOrientation::Ignore)?;
        let mut mask = GrayImage::new(image.width(), image.height());
        // Neighbours mostly have the same colour, which is looked up once.
        let mut last = None;
        for ((x, y, pixel), class) in image.enumerate_pixels().zip(mask.iter_mut()) {
            *class = match last {
                Some((colour, class)) if colour == pixel.0 => class,
                _ => *self
                    .classes
                    .get(&pixel.0)
                    .ok_or_else(|| Error::MaskColour {
                        path: path.into(),
                        colour: pixel.0,
                        x,
                        y,
                        expected: self.expected.clone(),
                    })?,
            };
            last = Some((pixel.0, *class));
        }
        Ok(mask)
    }
}
