use serde::{Deserialize, Serialize};

use super::image_iou::image_iou;
use crate::{Average, ConfusionMatrix};

/// Classes that count as one, against all others.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Group {
    pub(super) name: String,
    /// In order, each once, not all there are.
    pub(super) classes: Vec<usize>,
    pub(super) image_iou: Average,
}

impl Group {
    /// The matrix of two classes: the others, 0, and the group, 1.
    pub(super) fn matrix(&self, matrix: &ConfusionMatrix) -> ConfusionMatrix {
        matrix.against_others(&self.classes)
    }

    pub(super) fn add_image(&mut self, matrix: &ConfusionMatrix) {
        self.image_iou.update(image_iou(&self.matrix(matrix))[1]);
    }
}
