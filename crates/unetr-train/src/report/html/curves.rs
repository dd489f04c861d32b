//! Which charts a history makes.

use std::collections::BTreeSet;

use maud::{Markup, html};

use super::chart::Chart;
use super::line::{Legend, Line, Stroke};
use super::numbers;
use super::run::Run;
use super::status::State;
use crate::{Record, Split};

/// Lines of one chart that can be told apart.
const MOST_CLASSES: usize = 6;
/// Means over an epoch, taken while the model learns.
const RUNNING: &str = "running_";
const CLASS: &str = "iou/";
/// Other scores of single classes, whose last values are in the table of classes.
const TABLE: [&str; 4] = ["dice/", "precision/", "recall/", "iou_imagewise/"];
/// What comes first, and in large.
const FIRST: [&str; 2] = ["loss", "mean_iou"];

/// The section of all charts.
pub(super) fn section(runs: &[Run]) -> Markup {
    let (first, more) = charts(runs);
    html! {
        section {
            h2 { "Curves" }
            @if first.is_empty() && more.is_empty() {
                p.note { "Nothing was measured yet: history.jsonl is missing or has no record." }
            }
            @if runs.len() > 1 { p.lead { "Solid lines are of the validation set, dotted ones of the training set." } }
            div.charts {
                @for (index, chart) in first.iter().enumerate() { (chart.draw(&format!("chart-{index}"))) }
            }
            div.charts.small {
                @for (index, chart) in more.iter().enumerate() { (chart.draw(&format!("more-{index}"))) }
            }
        }
    }
}

/// Loss and mean IoU, and all others.
fn charts(runs: &[Run]) -> (Vec<Chart>, Vec<Chart>) {
    let axis = Horizontal::of(runs);
    let metrics: BTreeSet<String> = runs
        .iter()
        .flat_map(|run| run.history.records())
        .flat_map(Record::flat_metrics)
        .filter_map(|(name, _)| {
            let (_, metric) = name.split_once('/')?;
            Some(metric.strip_prefix(RUNNING).unwrap_or(metric).to_owned())
        })
        .collect();
    let is_class = |metric: &&String| metric.starts_with(CLASS);
    let mut classes: Vec<&String> = metrics.iter().filter(is_class).collect();
    if let [
        Run {
            evaluation: Some(evaluation),
            ..
        },
        ..,
    ] = runs
    {
        // In the order of the table of classes.
        let place = |name: &str| {
            evaluation
                .class_names
                .iter()
                .position(|class| class == name)
        };
        classes.sort_by_key(|metric| place(&metric[CLASS.len()..]));
    }

    let chart =
        |metric: &str| axis.chart(numbers::title(metric), metric_lines(runs, metric, &axis));
    let first = FIRST
        .iter()
        .filter(|name| metrics.contains(**name))
        .map(|name| chart(name))
        .collect();
    let mut more = Vec::new();
    if let [run] = runs {
        more.extend(class_chart(run, &classes, &axis));
    } else if classes.len() <= MOST_CLASSES {
        more.extend(classes.iter().map(|metric| Chart {
            title: format!("IoU of {}", &metric[CLASS.len()..]),
            ..chart(metric)
        }));
    }
    let others = metrics
        .iter()
        .filter(|name| !is_class(name) && !FIRST.contains(&name.as_str()))
        .filter(|name| !TABLE.iter().any(|of_class| name.starts_with(of_class)));
    more.extend(others.map(|name| chart(name)));
    more.extend(axis.record_chart(runs, "Learning rate", |record| record.lr, numbers::number));
    more.extend(axis.record_chart(
        runs,
        "Images per second",
        |record| record.images_per_second,
        numbers::speed,
    ));
    (first, more)
}

/// The lines of a metric: of every split of a run, or of every run.
fn metric_lines(runs: &[Run], metric: &str, axis: &Horizontal) -> Vec<Line> {
    match runs {
        [run] => split_lines(run, metric, axis),
        runs => {
            let runs = runs.iter().enumerate();
            runs.flat_map(|(colour, run)| run_lines(run, colour, metric, axis))
                .collect()
        }
    }
}

/// A line for each split, and one of the means taken while the model learns.
fn split_lines(run: &Run, metric: &str, axis: &Horizontal) -> Vec<Line> {
    let train = axis.metric(run, Split::Train, metric);
    let running = axis.metric(run, Split::Train, &format!("{RUNNING}{metric}"));
    let running = if train.is_empty() {
        Line::new("Train".to_owned(), 0, running)
    } else {
        Line {
            stroke: Stroke::Dashed,
            ..Line::new("Train, while learning".to_owned(), 0, running)
        }
    };
    let mut lines = vec![running, Line::new("Train".to_owned(), 0, train)];
    for (colour, split) in [(1, Split::Validation), (2, Split::Test)] {
        let points = axis.metric(run, split, metric);
        lines.push(Line {
            mark: best(&points).filter(|_| metric == "mean_iou"),
            ..Line::new(numbers::title(&split.to_string()), colour, points)
        });
    }
    lines.retain(|line| !line.points.is_empty());
    lines
}

/// A line for what was held out and one for the training set, in the run's colour.
fn run_lines(run: &Run, colour: usize, metric: &str, axis: &Horizontal) -> Vec<Line> {
    let first = |of: &[(Split, &str)]| {
        let points = of
            .iter()
            .map(|&(split, name)| axis.metric(run, split, name));
        points.into_iter().find(|points| !points.is_empty())
    };
    let running = format!("{RUNNING}{metric}");
    let train = first(&[(Split::Train, metric), (Split::Train, &running)]);
    let held_out = first(&[(Split::Validation, metric), (Split::Test, metric)]);
    let line = |points| Line::new(run.name.clone(), colour, points);
    match (train, held_out) {
        (Some(train), Some(held_out)) => {
            let train = Line {
                stroke: Stroke::Dashed,
                legend: Legend::Omitted,
                ..Line::new(format!("{}, train", run.name), colour, train)
            };
            vec![train, line(held_out)]
        }
        (one, other) => one.or(other).map(line).into_iter().collect(),
    }
}

/// The IoU of every class, or of the lowest where there are many.
fn class_chart(run: &Run, metrics: &[&String], axis: &Horizontal) -> Option<Chart> {
    let split = run.split();
    let mut lines: Vec<Line> = metrics
        .iter()
        .enumerate()
        .map(|(colour, metric)| {
            let points = axis.metric(run, split, metric);
            Line::new(metric[CLASS.len()..].to_owned(), colour, points)
        })
        .filter(|line| !line.points.is_empty())
        .collect();
    if lines.is_empty() {
        return None;
    }
    let mut title = "IoU by class";
    if lines.len() > MOST_CLASSES {
        title = "IoU of the six lowest classes";
        let last = |line: &Line| line.points.last().map_or(f64::NAN, |point| point.1);
        lines.sort_by(|a, b| last(a).total_cmp(&last(b)));
        lines.truncate(MOST_CLASSES);
        lines
            .iter_mut()
            .enumerate()
            .for_each(|(colour, line)| line.colour = colour);
    }
    Some(axis.chart(title.to_owned(), lines))
}

/// The first of the highest values.
fn best(points: &[(u64, f64)]) -> Option<(u64, f64)> {
    let finite = points.iter().copied().filter(|point| point.1.is_finite());
    finite.reduce(|best, point| if point.1 > best.1 { point } else { best })
}

/// What is counted along the axis: epochs, or updates where an epoch has several records.
struct Horizontal {
    title: &'static str,
    of: fn(&Record) -> u64,
    end: Option<u64>,
}

impl Horizontal {
    fn of(runs: &[Run]) -> Self {
        let by_epoch = runs.iter().all(|run| {
            run.history
                .records()
                .windows(2)
                .all(|pair| pair[0].epoch < pair[1].epoch)
        });
        if !by_epoch {
            return Self {
                title: "Step",
                of: |record| record.step,
                end: None,
            };
        }
        let running = runs.iter().filter(|run| run.status.state == State::Running);
        Self {
            title: "Epoch",
            of: |record| record.epoch,
            end: running.filter_map(|run| run.status.planned).max(),
        }
    }

    fn points(&self, run: &Run, value: impl Fn(&Record) -> Option<f64>) -> Vec<(u64, f64)> {
        let records = run.history.records().iter();
        records
            .filter_map(|record| Some(((self.of)(record), value(record)?)))
            .collect()
    }

    fn metric(&self, run: &Run, split: Split, name: &str) -> Vec<(u64, f64)> {
        self.points(run, |record| record.get(split, name))
    }

    fn chart(&self, title: String, lines: Vec<Line>) -> Chart {
        Chart {
            title,
            x_title: self.title,
            x_end: self.end,
            lines,
            format: numbers::number,
        }
    }

    /// What every record has, unless it is 0 throughout, as where nobody measured it.
    fn record_chart(
        &self,
        runs: &[Run],
        title: &str,
        value: impl Fn(&Record) -> f64,
        format: fn(f64) -> String,
    ) -> Option<Chart> {
        let line = |(colour, run): (usize, &Run)| {
            let points = self.points(run, |record| Some(value(record)));
            Line::new(run.name.clone(), colour, points)
        };
        let lines: Vec<Line> = runs.iter().enumerate().map(line).collect();
        let measured = lines
            .iter()
            .flat_map(|line| &line.points)
            .any(|point| point.1 != 0.0);
        measured.then(|| Chart {
            format,
            ..self.chart(title.to_owned(), lines)
        })
    }
}
