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
    let figures: Vec<Figure> = figures(run, Some(run.split()), &[])
        .into_iter()
        .filter(|figure| figure.value.is_some())
        .collect();
    html! {
        @if !figures.is_empty() {
            dl.figures {
                @for figure in &figures {
                    div {
                        dt { (figure.name) @if !figure.note.is_empty() { ", " span { (figure.note) } } }
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
    let split = runs.first().map(Run::split);
    let common = split.filter(|&split| runs.iter().all(|run| run.split() == split));
    let columns: Vec<Vec<Figure>> = runs
        .iter()
        .map(|run| figures(run, common, &classes))
        .collect();
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
                            @let best = best(&columns.iter().map(|figures| &figures[row]).collect::<Vec<_>>());
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
fn best(figures: &[&Figure]) -> Option<f64> {
    let values = || {
        figures
            .iter()
            .filter_map(|figure| figure.value)
            .filter(|value| value.is_finite())
    };
    let (lowest, highest) = (values().reduce(f64::min)?, values().reduce(f64::max)?);
    match figures.first()?.better {
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

/// The same figures in the same order for every run. `common` is the split that all runs are judged by, if it is one.
fn figures(run: &Run, common: Option<Split>, classes: &[String]) -> Vec<Figure> {
    let split = run.split();
    let records = run.history.records();
    let of = common.map_or_else(String::new, |split| format!("{split} "));
    let figure =
        |name: String, found: Option<(&Record, f64)>, format: fn(f64) -> String, better| Figure {
            name,
            value: found.map(|found| found.1),
            text: found.map_or_else(none, |found| format(found.1)),
            note: found.map_or_else(String::new, |(record, _)| match common {
                Some(_) => format!("epoch {}", record.epoch),
                None => format!("epoch {}, {split}", record.epoch),
            }),
            better,
        };
    let measured = |split, metric: &str| -> Vec<(&Record, f64)> {
        let pair = |record| Some((record, Record::get(record, split, metric)?));
        records.iter().filter_map(pair).collect()
    };
    let best = measured(split, "mean_iou")
        .into_iter()
        .filter(|pair| pair.1.is_finite())
        .reduce(|best, pair| if pair.1 > best.1 { pair } else { best });
    let at_best = |metric: &str| Some((best?.0, best?.0.get(split, metric)?));
    let last = |split, metric: &str| measured(split, metric).pop();

    let mut figures = vec![
        figure(
            format!("Best {of}mean IoU"),
            best,
            numbers::score,
            Better::Higher,
        ),
        figure(
            "Pixel accuracy".to_owned(),
            at_best("accuracy").or_else(|| last(split, "accuracy")),
            numbers::score,
            Better::Higher,
        ),
    ];
    for class in classes {
        let iou = at_best(&format!("iou/{class}"));
        figures.push(figure(
            format!("IoU of {class}"),
            iou,
            numbers::score,
            Better::Higher,
        ));
    }
    let held_out = last(split, "loss").filter(|_| split != Split::Train);
    let training = last(Split::Train, "running_loss").or_else(|| last(Split::Train, "loss"));
    figures.extend([
        figure(
            format!("Last {of}loss"),
            held_out,
            numbers::number,
            Better::Lower,
        ),
        figure(
            "Last training loss".to_owned(),
            training,
            numbers::number,
            Better::Lower,
        ),
        speed(records),
        time(run),
    ]);
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
