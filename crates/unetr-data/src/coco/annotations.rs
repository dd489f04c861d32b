use std::collections::{HashMap, HashSet};
use std::fmt;

use image::GrayImage;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::{polygon, rle::RunLengths};

/// What is read of a file of annotations; it has more fields.
#[derive(Debug, Deserialize)]
pub(super) struct Annotations {
    pub(super) images: Vec<Photo>,
    pub(super) categories: Vec<Category>,
    pub(super) annotations: Vec<Annotation>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Photo {
    pub(super) id: i64,
    pub(super) file_name: String,
    pub(super) width: u32,
    pub(super) height: u32,
}

#[derive(Debug, Deserialize)]
pub(super) struct Category {
    pub(super) id: i64,
    pub(super) name: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Annotation {
    pub(super) id: i64,
    pub(super) image_id: i64,
    pub(super) category_id: i64,
    pub(super) segmentation: Segmentation,
    #[serde(default)]
    pub(super) iscrowd: u8,
}

impl Annotations {
    /// Where in `images` those with these ids are; says what is wrong with ids.
    pub(super) fn places(&self) -> Result<HashMap<i64, usize>, String> {
        if self.images.is_empty() {
            return Err("there is no image; expected at least one".into());
        }
        let mut places = HashMap::new();
        for (place, Photo { id, .. }) in self.images.iter().enumerate() {
            if places.insert(*id, place).is_some() {
                return Err(format!("two images have the id {id}; renumber one"));
            }
        }
        let categories: HashSet<_> = self.categories.iter().map(|category| category.id).collect();
        for annotation in &self.annotations {
            let Annotation {
                id,
                image_id,
                category_id,
                ..
            } = annotation;
            let missing = if !places.contains_key(image_id) {
                format!("image {image_id}")
            } else if !categories.contains(category_id) {
                format!("category {category_id}")
            } else {
                continue;
            };
            return Err(format!(
                "annotation {id} is of {missing}, which is not there; add it or remove the annotation"
            ));
        }
        Ok(places)
    }
}

/// The region of an annotation.
#[derive(Debug, Clone)]
pub(super) enum Segmentation {
    /// Some polygons, together: x, y, x, y … of each.
    Polygons(Vec<Vec<f64>>),
    RunLengths(RunLengths),
}

impl Segmentation {
    /// Gives the region's pixels a value; says what is wrong with a region that can't be painted.
    pub(super) fn paint(&self, mask: &mut GrayImage, value: u8) -> Result<(), String> {
        match self {
            Self::Polygons(polygons) if polygons.is_empty() => {
                Err("its segmentation is empty; expected a polygon or run lengths".into())
            }
            Self::Polygons(polygons) => polygons
                .iter()
                .try_for_each(|points| polygon::paint(points, mask, value)),
            Self::RunLengths(rle) => rle.paint(mask, value),
        }
    }
}

// Not `untagged`: that would copy everything, and say nothing about what is wrong.
impl<'de> Deserialize<'de> for Segmentation {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = Segmentation;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("polygons [[x, y, …], …] or run lengths {size, counts}")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, polygons: A) -> Result<Segmentation, A::Error> {
                let polygons = SeqAccessDeserializer::new(polygons);
                Deserialize::deserialize(polygons).map(Segmentation::Polygons)
            }

            fn visit_map<A: MapAccess<'de>>(self, rle: A) -> Result<Segmentation, A::Error> {
                RunLengths::deserialize(MapAccessDeserializer::new(rle))
                    .map(Segmentation::RunLengths)
            }
        }

        deserializer.deserialize_any(Either)
    }
}
