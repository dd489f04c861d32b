use std::collections::{BTreeMap, BTreeSet};

use image::GrayImage;
use serde::{Deserialize, Serialize};

use crate::{Classes, Error, Result};

/// Which class the values in a mask file stand for.
///
/// # Examples
/// ```
/// use unetr_data::ClassMap;
///
/// // Pascal VOC: 21 classes as they are, 255 for pixels that count for nothing.
/// let voc = ClassMap::identity(21).ignore(255);
/// // Oxford-IIIT Pet: 1, 2, 3 in the files.
/// let pets = ClassMap::new([(1, 0), (2, 1), (3, 2)]);
/// assert_eq!(pets.num_classes(), 3);
/// // 1 and 2 are classes, 0 is what nobody labelled: 255 in the mask.
/// let partly = ClassMap::new([(1, 0), (2, 1)]).ignore_values([0]);
/// assert_eq!(partly.ignored_label(), 255);
/// voc.validate()?;
/// # Ok::<(), unetr_data::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassMap {
    /// Value in the file → class, counted from 0. Several values may stand for one class.
    pub classes: BTreeMap<u8, u8>,
    /// A value that is left as it is, for the `ignore_index` of losses and metrics; none by
    /// default.
    #[serde(default)]
    pub ignore: Option<u8>,
    /// Values that become the [ignored label](ClassMap::ignored_label); none by default.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub ignored_values: BTreeSet<u8>,
}

impl ClassMap {
    /// Maps these values to these classes; any other value is an error when it is met.
    pub fn new(classes: impl IntoIterator<Item = (u8, u8)>) -> Self {
        Self {
            classes: classes.into_iter().collect(),
            ignore: None,
            ignored_values: BTreeSet::new(),
        }
    }

    /// The values 0 to `classes - 1` are the classes already.
    pub fn identity(classes: u8) -> Self {
        Self::new((0..classes).map(|class| (class, class)))
    }

    /// Leaves `value` as it is in the mask, to be ignored by losses and metrics.
    #[must_use]
    pub fn ignore(mut self, value: u8) -> Self {
        self.ignore = Some(value);
        self
    }

    /// Replaces these values by the [ignored label](Self::ignored_label) in the mask. Unlike the value
    /// of [`ignore`](Self::ignore), they may be numbers of classes.
    #[must_use]
    pub fn ignore_values(mut self, values: impl IntoIterator<Item = u8>) -> Self {
        self.ignored_values.extend(values);
        self
    }

    /// What ignored pixels have in the mask: the value of [`ignore`](Self::ignore), and without one
    /// [`Classes::IGNORED`].
    pub fn ignored_label(&self) -> u8 {
        self.ignore.unwrap_or(Classes::IGNORED)
    }

    /// How many classes there are: the greatest, plus 1.
    pub fn num_classes(&self) -> usize {
        self.classes
            .values()
            .max()
            .map_or(0, |&max| usize::from(max) + 1)
    }

    /// Checks that the classes are 0, 1, 2 … without a gap, that the ignored value is neither mapped
    /// nor the number of a class, and that no value is mapped and ignored.
    ///
    /// # Errors
    /// When one of these does not hold.
    pub fn validate(&self) -> Result<()> {
        let count = self.num_classes();
        if count == 0 {
            return Err(Error::ClassMap(
                "it maps no value; give at least one".into(),
            ));
        }
        if let Some(gap) =
            (0..count).find(|&c| !self.classes.values().any(|&v| usize::from(v) == c))
        {
            return Err(Error::ClassMap(format!(
                "no value stands for class {gap} of {count}; number the classes from 0 without a gap"
            )));
        }
        if let Some(value) = self.ignore
            && (self.classes.contains_key(&value) || usize::from(value) < count)
        {
            return Err(Error::ClassMap(format!(
                "the ignored value {value} is also a mapped value or the number of a class; \
                 choose one that is neither, such as 255, or map the value to it with `ignore_values`"
            )));
        }
        let is_mapped = |value: &&u8| self.classes.contains_key(value);
        if let Some(value) = self.ignored_values.iter().find(is_mapped) {
            return Err(Error::ClassMap(format!(
                "the value {value} is mapped to a class and ignored; decide on one"
            )));
        }
        Ok(())
    }
}

/// A checked [`ClassMap`] as a look-up table.
#[derive(Debug, Clone)]
pub(crate) struct ClassTable {
    /// Each value's class, or [`STRAY`].
    table: [u16; 256],
    expected: String,
}

/// Stands for no class.
const STRAY: u16 = 0x100;

/// The first value of a mask that stands for no class.
#[derive(Debug)]
pub(crate) struct StrayValue {
    pub(crate) value: u8,
    pub(crate) x: u32,
    pub(crate) y: u32,
}

impl ClassTable {
    pub(crate) fn new(map: &ClassMap) -> Result<Self> {
        map.validate()?;
        let mut table = [STRAY; 256];
        for (&value, &class) in &map.classes {
            table[usize::from(value)] = class.into();
        }
        if let Some(value) = map.ignore {
            table[usize::from(value)] = value.into();
        }
        for &value in &map.ignored_values {
            table[usize::from(value)] = map.ignored_label().into();
        }
        let values: Vec<_> = (0..=u8::MAX)
            .filter(|&value| table[usize::from(value)] != STRAY)
            .map(|value| value.to_string())
            .collect();
        let expected = format!("one of {}", values.join(", "));
        Ok(Self { table, expected })
    }

    /// The values that stand for a class, in words.
    pub(crate) fn expected(&self) -> &str {
        &self.expected
    }

    /// Replaces every value by its class.
    pub(crate) fn apply(&self, mask: &mut GrayImage) -> Result<(), StrayValue> {
        let width = mask.width() as usize;
        let mut classes = vec![0; width];
        for (row, y) in mask.chunks_exact_mut(width.max(1)).zip(0..) {
            let mut all = 0;
            for (class, &value) in classes.iter_mut().zip(&*row) {
                let found = self.table[usize::from(value)];
                all |= found;
                *class = found as u8;
            }
            if all & STRAY != 0 {
                let is_stray = |(_, value): &(u32, &u8)| self.table[usize::from(**value)] == STRAY;
                if let Some((x, &value)) = (0..).zip(&*row).find(is_stray) {
                    return Err(StrayValue { value, x, y });
                }
            }
            row.copy_from_slice(&classes);
        }
        Ok(())
    }
}
