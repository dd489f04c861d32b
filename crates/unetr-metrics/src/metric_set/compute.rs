use std::collections::{BTreeMap, BTreeSet};

use super::MetricSet;
use crate::scores::mean;
use crate::{AbsentClass, Average, ConfusionMatrix};

impl MetricSet {
    /// All numbers by name, see [`MetricSet`].
    ///
    /// A class without a score under [`AbsentClass::Skip`](crate::AbsentClass::Skip) has no entry.
    /// Where no pixel was counted, there are only the running means.
    pub fn compute(&self) -> BTreeMap<String, f64> {
        let mut scores: BTreeMap<String, f64> = self
            .averages
            .iter()
            .map(|(name, average)| (name.clone(), average.compute()))
            .collect();
        if self.confusion_matrix.pixels() > 0 {
            self.add_scores(&mut scores);
            self.add_image_scores(&mut scores);
        }
        scores
    }

    /// The names of all scores that [`compute`](Self::compute) may give, and of the running means so far, in their
    /// order.
    ///
    /// # Examples
    /// ```
    /// # use unetr_metrics::MetricSet;
    /// let names = MetricSet::new(["pet", "background"])?.names();
    /// assert!(names.contains("mean_iou") && names.contains("recall/pet"));
    /// # Ok::<(), unetr_metrics::Error>(())
    /// ```
    pub fn names(&self) -> BTreeSet<String> {
        // Where absent classes count as 0, every class has its scores.
        let every = self.clone().with_absent_class(AbsentClass::Zero);
        let mut scores = BTreeMap::new();
        every.add_scores(&mut scores);
        let images = self.image_averages().map(|(name, _)| name);
        let names = self.averages.keys().cloned();
        names.chain(scores.into_keys()).chain(images).collect()
    }

    fn add_scores(&self, scores: &mut BTreeMap<String, f64>) {
        let (matrix, absent) = (&self.confusion_matrix, self.absent_class);
        scores.insert("accuracy".to_owned(), matrix.accuracy());
        scores.insert("mean_iou".to_owned(), matrix.mean_iou(absent));
        scores.insert("mean_dice".to_owned(), matrix.mean_dice(absent));
        let mut add = |matrix: &ConfusionMatrix, names: &[(usize, &str)]| {
            for (score, values) in [
                ("iou", matrix.iou(absent)),
                ("dice", matrix.dice(absent)),
                ("precision", matrix.precision(absent)),
                ("recall", matrix.recall(absent)),
            ] {
                for &(class, name) in names {
                    scores.extend(values[class].map(|value| (format!("{score}/{name}"), value)));
                }
            }
        };
        let names = self.class_names.iter().map(String::as_str).enumerate();
        add(matrix, &names.collect::<Vec<_>>());
        for group in &self.groups {
            add(&group.matrix(matrix), &[(1, &group.name)]);
        }
        let iou = matrix.iou(absent);
        for without in &self.means_without {
            let with = (0..iou.len()).filter(|class| !without.contains(class));
            let mean = mean(&with.map(|class| iou[class]).collect::<Vec<_>>());
            let names: Vec<&str> = without
                .iter()
                .map(|&class| self.class_names[class].as_str())
                .collect();
            if !mean.is_nan() {
                scores.insert(format!("mean_iou_without/{}", names.join("+")), mean);
            }
        }
        if let Some(boundary) = &self.boundary_iou {
            scores.insert("mean_boundary_iou".to_owned(), boundary.mean_iou(absent));
            for (name, iou) in self.class_names.iter().zip(boundary.iou(absent)) {
                scores.extend(iou.map(|iou| (format!("boundary_iou/{name}"), iou)));
            }
        }
    }

    /// The means over the images, of which an older stored set may have seen none.
    fn add_image_scores(&self, scores: &mut BTreeMap<String, f64>) {
        for (name, average) in self.image_averages() {
            let mean = average.compute();
            if !mean.is_nan() {
                scores.insert(name, mean);
            }
        }
    }

    fn image_averages(&self) -> impl Iterator<Item = (String, &Average)> {
        let classes = self.class_names.iter().zip(&self.image_iou.classes);
        let groups = self
            .groups
            .iter()
            .map(|group| (&group.name, &group.image_iou));
        classes
            .chain(groups)
            .map(|(name, average)| (format!("iou_imagewise/{name}"), average))
            .chain([("mean_iou_imagewise".to_owned(), &self.image_iou.mean)])
    }
}
