use serde::{Deserialize, Serialize};

use super::OxfordPets;

/// Cat or dog.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Species {
    /// Its breed's name begins with a capital letter in this data set.
    Cat,
    /// Its breed's name begins with a small letter.
    Dog,
}

impl OxfordPets {
    /// The breed in a sample's name: what comes before the last underscore.
    ///
    /// # Examples
    /// ```
    /// use unetr_data::{OxfordPets, Species};
    ///
    /// assert_eq!(OxfordPets::breed("german_shorthaired_82"), "german_shorthaired");
    /// assert_eq!(OxfordPets::species("german_shorthaired_82"), Species::Dog);
    /// assert_eq!(OxfordPets::species("Maine_Coon_117"), Species::Cat);
    /// ```
    pub fn breed(name: &str) -> &str {
        name.rsplit_once('_').map_or(name, |(breed, _)| breed)
    }

    /// The species, told by the first letter of a sample's name.
    pub fn species(name: &str) -> Species {
        if name.starts_with(char::is_uppercase) {
            Species::Cat
        } else {
            Species::Dog
        }
    }
}
