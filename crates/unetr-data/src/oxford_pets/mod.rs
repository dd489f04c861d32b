//! The Oxford-IIIT Pet Dataset: 37 breeds of cats and dogs, about 200 photos each, with masks of
//! pet, background and boundary.
//!
//! O. M. Parkhi, A. Vedaldi, A. Zisserman, C. V. Jawahar, "Cats and Dogs", CVPR 2012,
//! <https://www.robots.ox.ac.uk/~vgg/data/pets/>; CC BY-SA 4.0.

mod breed;
mod config;
mod dataset;

pub use breed::Species;
pub use config::{CORRUPT_PETS, OxfordPetsConfig};
pub use dataset::OxfordPets;
