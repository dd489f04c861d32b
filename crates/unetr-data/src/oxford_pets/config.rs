use serde::{Deserialize, Serialize};

use crate::ExifOrientation;

/// The two photos of the official archive whose compressed data is damaged, at 3017 and 3425 of
/// the 7,390 in order.
///
/// Decoders bridge the damage in different ways, so they are left out unless
/// [`OxfordPetsConfig::exclude`] says otherwise.
pub const CORRUPT_PETS: [&str; 2] = ["beagle_116", "chihuahua_121"];

/// How [`OxfordPets`](crate::OxfordPets) is read.
///
/// # Examples
/// ```
/// use unetr_data::{ExifOrientation, OxfordPetsConfig};
///
/// let cfg = OxfordPetsConfig {
///     orientation: ExifOrientation::Ignore,
///     ..OxfordPetsConfig::default()
/// }
/// .exclude(["Abyssinian_34"]);
/// assert_eq!(cfg.exclude, ["beagle_116", "chihuahua_121", "Abyssinian_34"]);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OxfordPetsConfig {
    /// What to do with a photo's EXIF orientation; applied by default.
    pub orientation: ExifOrientation,
    /// Names of samples to leave out; [`CORRUPT_PETS`] by default. Names that don't occur are
    /// allowed.
    pub exclude: Vec<String>,
}

impl Default for OxfordPetsConfig {
    fn default() -> Self {
        Self {
            orientation: ExifOrientation::default(),
            exclude: CORRUPT_PETS.map(String::from).to_vec(),
        }
    }
}

impl OxfordPetsConfig {
    /// Leaves out these samples too.
    #[must_use]
    pub fn exclude<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.exclude.extend(names.into_iter().map(Into::into));
        self
    }
}
