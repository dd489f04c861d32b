//! The numbers that say how a run went.

use maud::{Markup, html};

use super::numbers;
use super::run::Run;
use super::status::State;
use crate::{Record, Split};

/// Which of two values is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Better {
    Higher,
    Lower,
    Neither,
}

/// A number with its name and what to know about it.
struct Figure {
    name: String,
    value: Option<f64>,
    text: String,
    note: String,
    better: Better,
}

/// The numbers of one run, large.
pub(super) fn section(run: &Run) -> Markup {
    let figures: Vec<Figure> = figures(run, &[])
        .into_iter()
        .filter(|figure| figure.value.is_some())
        .collect();
    html! {
        @if !figures.is_empty() {
            dl.figures {
                @for figure in &figures {
                    div {
                        dt { (figure.name) @if !figure.note.is_empty() { ", " (figure.note) } }
                        dd { (figure.text) }
                    }
                }
            }
        }
    }
}

/// The numbers of several runs, side by side; the best of each row stands out.
pub(super) fn comparison(runs: &[Run]) -> Markup {
    let classes = class_metrics(runs);
    let columns: Vec<Vec<Figure>> = runs.iter().map(|run| figures(run, &classes)).collect();
    let rows = columns.first().map_or(0, Vec::len);
    let measured = |&row: &usize| columns.iter().any(|figures| figures[row].value.is_some());
    html! {
        section {
            h2 { "Side by side" }
            div.scroll tabindex="0" role="region" aria-label="Side by side" {
                table.comparison {
                    thead { tr {
                        td {}
                        @for (index, run) in runs.iter().enumerate() {
                            th scope="col" { span class={ "swatch c" (index % 6) } {} (run.name) }
                        }
                    } }
                    tbody {
                        tr {
                            th scope="row" { "Status" }
                            @for run in runs { td { (pill(run)) br; small { (run.status.progress()) } } }
                        }
                        @for row in (0..rows).filter(measured) {
                            @let best = best(columns.iter().map(|figures| &figures[row]));
                            tr {
                                th scope="row" { (columns[0][row].name) }
                                @for figures in &columns {
                                    @let figure = &figures[row];
                                    td class=(if best.is_some() && figure.value == best { "best" } else { "other" }) {
                                        (figure.text) " " small { (figure.note) }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The state of a run in its colour.
pub(super) fn pill(run: &Run) -> Markup {
    let state = run.status.state.name();
    html! { span class={ "pill " (state.to_lowercase()) } { (state) } }
}

/// The best value of a row, where they differ.
fn best<'a>(figures: impl Iterator<Item = &'a Figure> + Clone) -> Option<f64> {
    let better = figures.clone().next()?.better;
    let values = || {
        figures
            .clone()
            .filter_map(|figure| figure.value)
            .filter(|value| value.is_finite())
    };
    let (lowest, highest) = (values().reduce(f64::min)?, values().reduce(f64::max)?);
    match better {
        _ if lowest == highest => None,
        Better::Higher => Some(highest),
        Better::Lower => Some(lowest),
        Better::Neither => None,
    }
}

/// The names of the classes' scores, in any run.
fn class_metrics(runs: &[Run]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for run in runs {
        let Some(evaluation) = &run.evaluation else {
            continue;
        };
        for name in &evaluation.class_names {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
    }
    names
}

/// The same figures in the same order for every run.
fn figures(run: &Run, classes: &[String]) -> Vec<Figure> {
    let split = run.split();
    let records = run.history.records();
    let with = |metric: &'static str| {
        records
            .iter()
            .filter_map(move |record| Some((record, record.get(split, metric)?)))
    };
    let best = with("mean_iou")
        .filter(|pair| pair.1.is_finite())
        .reduce(|best, pair| if pair.1 > best.1 { pair } else { best });
    let at_best = |metric: &str| Some((best?.0, best?.0.get(split, metric)?));
    let epoch = |record: &Record| format!("epoch {}", record.epoch);

    let mut figures = vec![Figure {
        name: format!("Best {split} mean IoU"),
        value: best.map(|best| best.1),
        text: best.map_or_else(none, |best| numbers::score(best.1)),
        note: best.map_or_else(String::new, |best| epoch(best.0)),
        better: Better::Higher,
    }];
    let score = |name: String, found: Option<(&Record, f64)>| Figure {
        name,
        value: found.map(|found| found.1),
        text: found.map_or_else(none, |found| numbers::score(found.1)),
        note: found.map_or_else(String::new, |found| epoch(found.0)),
        better: Better::Higher,
    };
    let accuracy = at_best("accuracy").or_else(|| with("accuracy").last());
    figures.push(score("Pixel accuracy".to_owned(), accuracy));
    for class in classes {
        figures.push(score(
            format!("IoU of {class}"),
            at_best(&format!("iou/{class}")),
        ));
    }
    let loss = |name: String, found: Option<(&Record, f64)>| Figure {
        name,
        value: found.map(|found| found.1),
        text: found.map_or_else(none, |found| numbers::number(found.1)),
        note: found.map_or_else(String::new, |found| epoch(found.0)),
        better: Better::Lower,
    };
    if split != Split::Train {
        figures.push(loss(format!("Last {split} loss"), with("loss").last()));
    }
    let training = records.iter().filter_map(|record| {
        let measured = record
            .get(Split::Train, "running_loss")
            .or_else(|| record.get(Split::Train, "loss"));
        Some((record, measured?))
    });
    figures.push(loss("Last training loss".to_owned(), training.last()));
    figures.extend([speed(records), time(run)]);
    figures
}

/// The median speed: the first epoch, and one that the machine was busy in, don't count much.
fn speed(records: &[Record]) -> Figure {
    let mut speeds: Vec<f64> = records
        .iter()
        .map(|record| record.images_per_second)
        .filter(|&speed| speed > 0.0)
        .collect();
    speeds.sort_by(f64::total_cmp);
    let value = speeds.get(speeds.len() / 2).copied();
    Figure {
        name: "Images per second".to_owned(),
        value,
        text: value.map_or_else(none, numbers::speed),
        note: if value.is_some() {
            "median".to_owned()
        } else {
            String::new()
        },
        better: Better::Higher,
    }
}

/// The time of all epochs, evaluation included.
fn time(run: &Run) -> Figure {
    let records = run.history.records();
    let value = records
        .iter()
        .map(|record| record.seconds)
        .reduce(|sum, seconds| sum + seconds);
    let note = match (run.status.remaining, run.status.state) {
        (Some(remaining), State::Running) => format!("about {} left", numbers::duration(remaining)),
        _ => String::new(),
    };
    Figure {
        name: "Time".to_owned(),
        value,
        text: value.map_or_else(none, numbers::duration),
        note,
        better: Better::Neither,
    }
}

fn none() -> String {
    "–".to_owned()
}
