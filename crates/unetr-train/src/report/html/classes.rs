//! The confusion matrix and the scores of every class.

use maud::{Markup, html};
use unetr_metrics::{ConfusionMatrix, Normalization};

use super::numbers;
use super::run::Run;
use unetr_data::Classes;

use crate::{Evaluation, Gallery};

/// Larger matrices can't be read, and are shown as their largest confusions.
const MOST_CLASSES: usize = 24;
const CONFUSIONS: usize = 20;

/// The section of all runs' classes.
pub(super) fn section(runs: &[Run]) -> Markup {
    html! {
        section {
            h2 { "Classes" }
            @for run in runs {
                @if runs.len() > 1 { h3.run { (run.name) } }
                @match &run.evaluation {
                    Some(evaluation) => (of(evaluation, run.gallery.as_ref().map(Gallery::classes))),
                    None => p.note { "No evaluation yet: evaluation.json is missing." },
                }
            }
        }
    }
}

fn of(evaluation: &Evaluation, classes: Option<&Classes>) -> Markup {
    let matrix = &evaluation.confusion_matrix;
    html! {
        p.lead {
            "The " (evaluation.split) " set after epoch " (evaluation.epoch) ": "
            (numbers::grouped(matrix.images())) " photos, " (numbers::grouped(matrix.pixels())) " pixels."
        }
        div.pair {
            (scores(evaluation, classes))
            @if matrix.classes() <= MOST_CLASSES { (whole(evaluation)) } @else { (largest(evaluation)) }
        }
    }
}

/// What is measured of a class, and of classes taken together: the beginning of the score's name, and its title.
const COLUMNS: [(&str, &str); 6] = [
    ("iou", "IoU"),
    ("dice", "Dice"),
    ("precision", "Precision"),
    ("recall", "Recall"),
    ("iou_imagewise", "IoU per photo"),
    ("boundary_iou", "Boundary IoU"),
];

/// The beginning of the names of means over some classes.
const MEAN_WITHOUT: &str = "mean_iou_without/";

/// A row for each class, for classes taken together, and for means.
fn scores(evaluation: &Evaluation, classes: Option<&Classes>) -> Markup {
    let (matrix, absent) = (&evaluation.confusion_matrix, evaluation.absent_class());
    let scores = &evaluation.scores;
    let of = |column: &str, name: &str| scores.get(&format!("{column}/{name}")).copied();
    let mean = |column: &str| match column {
        "precision" => Some(matrix.mean_precision(absent)),
        "recall" => Some(matrix.mean_recall(absent)),
        column => scores.get(&format!("mean_{column}")).copied(),
    };
    let names = &evaluation.class_names;
    let measured = |column: &str| scores.keys().any(|name| starts_with(name, column));
    let columns = COLUMNS.iter().filter(|(column, _)| measured(column));
    let columns: Vec<(&str, &str)> = columns.copied().collect();
    let together = scores.keys().filter_map(|name| name.strip_prefix("iou/"));
    let together = together.filter(|name| !names.iter().any(|class| class == name));
    let without = scores
        .iter()
        .filter_map(|(name, mean)| Some((name.strip_prefix(MEAN_WITHOUT)?, *mean)));
    html! {
        div.scroll tabindex="0" role="region" aria-label="Scores of the classes" {
            table.numbers {
                caption { "Scores" }
                thead { tr {
                    th scope="col" { "Class" }
                    @for (_, title) in &columns { th scope="col" { (title) } }
                    th scope="col" { "Pixels" }
                } }
                tbody {
                    @for (class, name) in names.iter().enumerate() {
                        tr {
                            th scope="row" { (swatch(classes, class)) (name) }
                            @for &(column, _) in &columns { (cell(column, of(column, name))) }
                            td { (numbers::percent(truths(matrix, class) as f64 / matrix.pixels().max(1) as f64)) }
                        }
                    }
                    @for name in together {
                        tr {
                            th scope="row" { (name) " " small { "against the rest" } }
                            @for &(column, _) in &columns { (cell(column, of(column, name))) }
                            td {}
                        }
                    }
                }
                tfoot {
                    tr {
                        th scope="row" { "Mean" }
                        @for &(column, _) in &columns { td { (text(mean(column))) } }
                        td {}
                    }
                    @for (classes, mean) in without {
                        tr {
                            th scope="row" { "Mean without " (classes) }
                            @for &(column, _) in &columns { td { @if column == "iou" { (numbers::score(mean)) } } }
                            td {}
                        }
                    }
                }
            }
        }
    }
}

/// Whether a score is one of this column.
fn starts_with(name: &str, column: &str) -> bool {
    name.split_once('/')
        .is_some_and(|(start, _)| start == column)
}

/// A score, the first column's with a bar.
fn cell(column: &str, score: Option<f64>) -> Markup {
    html! {
        td class=(if column == "iou" { "bar" } else { "plain" }) style={ "--v:" (score.unwrap_or(0.0)) } {
            (text(score))
        }
    }
}

fn text(score: Option<f64>) -> String {
    score.map_or_else(|| "–".to_owned(), numbers::score)
}

/// The whole matrix, every row divided by its pixels.
fn whole(evaluation: &Evaluation) -> Markup {
    let matrix = &evaluation.confusion_matrix;
    let names = &evaluation.class_names;
    let rows = matrix.compute(Normalization::Recall);
    html! {
        div.scroll tabindex="0" role="region" aria-label="Confusion matrix" {
            table.matrix {
                caption { "Confusion matrix: the share of a true class that was predicted as each" }
                thead { tr {
                    td { "True ↓ predicted →" }
                    @for name in names { th scope="col" { (name) } }
                } }
                tbody {
                    @for (truth, (name, row)) in names.iter().zip(&rows).enumerate() {
                        tr {
                            th scope="row" { (name) }
                            @for (prediction, (other, share)) in names.iter().zip(row).enumerate() {
                                td class=(if truth == prediction { "right" } else { "wrong" }) style={ "--v:" (share) }
                                    title={ (numbers::grouped(matrix.count(truth, prediction))) " pixels of " (name)
                                        " predicted as " (other) } { (numbers::percent(*share)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The confusions of most pixels.
fn largest(evaluation: &Evaluation) -> Markup {
    let matrix = &evaluation.confusion_matrix;
    let names = &evaluation.class_names;
    let classes = 0..matrix.classes();
    let mut confusions: Vec<(u64, usize, usize)> = classes
        .clone()
        .flat_map(|truth| classes.clone().map(move |prediction| (truth, prediction)))
        .filter(|(truth, prediction)| truth != prediction)
        .map(|(truth, prediction)| (matrix.count(truth, prediction), truth, prediction))
        .filter(|confusion| confusion.0 > 0)
        .collect();
    confusions
        .sort_by_key(|&(count, truth, prediction)| (std::cmp::Reverse(count), truth, prediction));
    html! {
        div.scroll tabindex="0" role="region" aria-label="Largest confusions" {
            table.numbers {
                caption { "Largest confusions" }
                thead { tr {
                    @for name in ["True", "Predicted", "Pixels", "Of the class"] { th scope="col" { (name) } }
                } }
                tbody {
                    @for &(count, truth, prediction) in confusions.iter().take(CONFUSIONS) {
                        tr {
                            th scope="row" { (names[truth]) }
                            th scope="row" { (names[prediction]) }
                            td { (numbers::grouped(count)) }
                            td { (numbers::percent(count as f64 / truths(matrix, truth) as f64)) }
                        }
                    }
                }
            }
        }
    }
}

/// The pixels of a true class.
fn truths(matrix: &ConfusionMatrix, class: usize) -> u64 {
    (0..matrix.classes())
        .map(|prediction| matrix.count(class, prediction))
        .sum()
}

/// The colour in which pictures show a class.
pub(super) fn swatch(classes: Option<&Classes>, class: usize) -> Markup {
    let colour = classes.and_then(|classes| classes.colours().get(class).copied());
    html! {
        @if let Some([red, green, blue]) = colour {
            span.swatch style={ "--c:rgb(" (red) " " (green) " " (blue) ")" } {}
        }
    }
}
