use super::MetricSet;
use super::group::Group;
use crate::{AbsentClass, Average, BoundaryIou, Error, Result};

/// What is computed besides.
impl MetricSet {
    /// Sets what classes that never occur do to the scores; [`AbsentClass::Zero`] by default.
    #[must_use]
    pub fn with_absent_class(mut self, policy: AbsentClass) -> Self {
        self.absent_class = policy;
        self
    }

    /// Leaves out pixels whose true label is `label`.
    #[must_use]
    pub fn with_ignore_index(mut self, label: u32) -> Self {
        self.confusion_matrix = self.confusion_matrix.with_ignore_index(label);
        self.boundary_iou = self
            .boundary_iou
            .map(|boundary| boundary.with_ignore_index(label));
        self
    }

    /// Adds `mean_iou_without/<classes>`: the mean IoU over all classes but these, which others may
    /// not count. The names of several are joined by `+`.
    ///
    /// # Errors
    /// When a name is no class or no class is left.
    pub fn with_mean_without(
        mut self,
        classes: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> Result<Self> {
        let without = self.select("the mean IoU without classes", classes)?;
        if !self.means_without.contains(&without) {
            self.means_without.push(without);
        }
        Ok(self)
    }

    /// Adds the scores of classes that count as one, against all others: `iou/<name>` and the rest
    /// of what a class has.
    ///
    /// `iou/<name>` is taken from the counts of the whole data set, `iou_imagewise/<name>` is the
    /// mean over the images, of those that are counted from now on.
    ///
    /// # Errors
    /// When the name is that of a class or of another group, a class is unknown, or there is none or
    /// none left.
    ///
    /// # Examples
    /// Oxford Pets as pet against background, with the boundary of the trimaps counted as pet:
    /// ```
    /// # use unetr_metrics::MetricSet;
    /// let metrics = MetricSet::new(["pet", "background", "boundary"])?
    ///     .with_group("foreground", ["pet", "boundary"])?;
    /// # Ok::<(), unetr_metrics::Error>(())
    /// ```
    pub fn with_group(
        mut self,
        name: &str,
        classes: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> Result<Self> {
        let mut names = self.class_names.iter();
        let mut groups = self.groups.iter().map(|group| &group.name);
        if names.any(|other| other == name) || groups.any(|other| other == name) {
            return Err(Error::DuplicateClass {
                name: name.to_owned(),
            });
        }
        let classes = self.select(&format!("the group {name:?}"), classes)?;
        self.groups.push(Group {
            name: name.to_owned(),
            classes,
            image_iou: Average::default(),
        });
        Ok(self)
    }

    /// Adds `boundary_iou/<class>` and `mean_boundary_iou` with boundaries of this share of the
    /// image's diagonal; [`BoundaryIou::DILATION_RATIO`] is the paper's. It needs logits
    /// `[b, classes, height, width]`, and predicted classes on a GPU are downloaded batch by batch.
    ///
    /// # Errors
    /// When the ratio is not more than 0 and at most 1.
    pub fn with_boundary_iou(mut self, dilation_ratio: f64) -> Result<Self> {
        let boundary =
            BoundaryIou::new(self.class_names.len())?.with_dilation_ratio(dilation_ratio)?;
        self.boundary_iou = Some(match self.confusion_matrix.ignore_index() {
            Some(label) => boundary.with_ignore_index(label),
            None => boundary,
        });
        Ok(self)
    }

    /// The numbers of classes, in order, each once: neither none nor all.
    fn select(
        &self,
        what: &str,
        names: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> Result<Vec<usize>> {
        let mut classes = Vec::new();
        for name in names {
            let name = name.as_ref();
            let position = self.class_names.iter().position(|other| other == name);
            classes.push(position.ok_or_else(|| Error::UnknownClass {
                name: name.to_owned(),
                classes: self.class_names.clone(),
            })?);
        }
        classes.sort_unstable();
        classes.dedup();
        if classes.is_empty() || classes.len() == self.class_names.len() {
            return Err(Error::Selection {
                what: what.to_owned(),
                found: classes.len(),
                classes: self.class_names.len(),
            });
        }
        Ok(classes)
    }
}
