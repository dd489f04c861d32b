use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::annotations::Category;
use crate::{Classes, ExifOrientation, Result};

const BACKGROUND: &str = "background";

/// How a [`CocoDataset`](crate::CocoDataset) is read.
///
/// # Examples
/// ```
/// use unetr_data::{CocoConfig, Crowds};
///
/// // Cats are 17 and dogs 18 in COCO; all else is background.
/// let cfg = CocoConfig {
///     classes: Some([(17, 1), (18, 2)].into()),
///     crowds: Crowds::Ignore,
///     ..CocoConfig::default()
/// };
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CocoConfig {
    /// The class of a category, by its id; annotations of categories that are not there are left
    /// out, 0 is background and 255 ignored. By default the categories are the classes from 1 on, in
    /// the file's order.
    pub classes: Option<BTreeMap<i64, u8>>,
    /// What becomes of crowds; they are painted as others by default.
    pub crowds: Crowds,
    /// What to do with a photo's EXIF orientation; applied by default.
    pub orientation: ExifOrientation,
}

/// What becomes of annotations that are about several things at once (`iscrowd` in the file).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Crowds {
    /// They are painted in their class.
    #[default]
    Paint,
    /// They are painted as 255, to be ignored.
    Ignore,
}

impl CocoConfig {
    /// The class of each category, and all classes; says what is wrong with categories or classes.
    pub(super) fn classes_of(
        &self,
        categories: &[Category],
    ) -> Result<(BTreeMap<i64, u8>, Classes), String> {
        let mut ids = BTreeMap::new();
        for category in categories {
            if let Some(other) = ids.insert(category.id, &category.name) {
                let (id, name) = (category.id, &category.name);
                return Err(format!(
                    "the categories `{other}` and `{name}` both have the id {id}"
                ));
            }
        }
        let class_of = match &self.classes {
            Some(classes) => classes.clone(),
            None if categories.len() < usize::from(Classes::IGNORED) => categories
                .iter()
                .map(|category| category.id)
                .zip(1..)
                .collect(),
            None => {
                return Err(format!(
                    "there are {} categories; expected at most 254, or a choice of them in the configuration",
                    categories.len()
                ));
            }
        };
        if let Some(id) = class_of.keys().find(|id| !ids.contains_key(id)) {
            return Err(format!(
                "there is no category {id}, which the configuration gives a class; the categories are {:?}",
                ids.keys()
            ));
        }
        let mut names = vec![None; 1];
        for category in categories {
            let Some(&class) = class_of.get(&category.id) else {
                continue;
            };
            if class != Classes::IGNORED {
                let class = usize::from(class);
                names.resize(names.len().max(class + 1), None);
                names[class].get_or_insert(category.name.as_str());
            }
        }
        names[0].get_or_insert(BACKGROUND);
        if let Some(gap) = names.iter().position(Option::is_none) {
            return Err(format!(
                "no category has class {gap} of {}; number the classes from 0, background, without a gap",
                names.len()
            ));
        }
        let classes = Classes::named(names.into_iter().flatten()).map_err(|error| {
            format!("{error}; give the categories classes in the configuration")
        })?;
        Ok((class_of, classes))
    }
}
