use std::collections::BTreeMap;

use serde::Deserialize;

use super::MetricSet;
use super::group::Group;
use super::image_iou::ImageIou;
use crate::{AbsentClass, Average, BoundaryIou, ConfusionMatrix};

/// What a stored set holds, before it is checked. Sets of earlier versions have only the first four.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Fields {
    class_names: Vec<String>,
    absent_class: AbsentClass,
    averages: BTreeMap<String, Average>,
    confusion_matrix: ConfusionMatrix,
    #[serde(default)]
    means_without: Vec<Vec<usize>>,
    #[serde(default)]
    groups: Vec<Group>,
    #[serde(default)]
    image_iou: Option<ImageIou>,
    #[serde(default)]
    boundary_iou: Option<BoundaryIou>,
}

impl TryFrom<Fields> for MetricSet {
    type Error = String;

    fn try_from(fields: Fields) -> Result<Self, String> {
        let classes = fields.class_names.len();
        let image_iou = fields.image_iou.unwrap_or_else(|| ImageIou::new(classes));
        let boundary_classes = fields.boundary_iou.as_ref().map(BoundaryIou::classes);
        for found in [
            fields.confusion_matrix.classes(),
            image_iou.classes.len(),
            boundary_classes.unwrap_or(classes),
        ] {
            if found != classes {
                return Err(format!(
                    "a metric set with {classes} class names has scores of {found} classes"
                ));
            }
        }
        let groups = fields.groups.iter().map(|group| &group.classes);
        for selected in fields.means_without.iter().chain(groups) {
            let in_order = selected.is_sorted_by(|a, b| a < b);
            let known = selected.last().is_some_and(|&last| last < classes);
            if !in_order || !known || selected.len() == classes {
                return Err(format!(
                    "classes {selected:?} of {classes} are not some of them in order, each once"
                ));
            }
        }
        Ok(Self {
            class_names: fields.class_names,
            absent_class: fields.absent_class,
            averages: fields.averages,
            confusion_matrix: fields.confusion_matrix,
            means_without: fields.means_without,
            groups: fields.groups,
            image_iou,
            boundary_iou: fields.boundary_iou,
        })
    }
}
