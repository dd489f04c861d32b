//! Lines over a whole-numbered axis, as SVG.
//!
//! Sizes are in units of a view box of 520 x 284, which the page scales to its column; the style sheet keeps text and
//! strokes the same on every screen. A part of the chart shows what was measured there while the pointer is over it.

use std::fmt::Write as _;

use maud::{Markup, html};

use super::super::ticks::{Axis, Grain};
use super::line::{Legend, Line};

const WIDTH: f64 = 520.0;
const HEIGHT: f64 = 284.0;
const LEFT: f64 = 62.0;
const RIGHT: f64 = 506.0;
const TOP: f64 = 14.0;
const BOTTOM: f64 = 232.0;
/// Lines of more points have no markers, which would hide them.
const MOST_MARKERS: usize = 40;
/// Parts of the chart that show what was measured there.
const MOST_READOUTS: usize = 60;

/// A chart with its title and legend.
#[derive(Debug, Clone)]
pub(super) struct Chart {
    pub(super) title: String,
    /// What is counted along the axis: "Epoch".
    pub(super) x_title: &'static str,
    /// A value that the axis reaches although nothing was measured there yet.
    pub(super) x_end: Option<u64>,
    pub(super) lines: Vec<Line>,
    pub(super) format: fn(f64) -> String,
}

/// A chart's axes, from values to places.
struct Plot {
    horizontal: Axis,
    vertical: Axis,
}

impl Plot {
    fn x(&self, value: f64) -> f64 {
        LEFT + (RIGHT - LEFT) * self.horizontal.position(value)
    }

    fn y(&self, value: f64) -> f64 {
        BOTTOM - (BOTTOM - TOP) * self.vertical.position(value)
    }
}

impl Chart {
    /// The chart; `id` is its own within the page.
    pub(super) fn draw(&self, id: &str) -> Markup {
        let points = || self.lines.iter().flat_map(|line| &line.points);
        let xs = points().map(|&(x, _)| x).chain(self.x_end);
        let plot = Plot {
            horizontal: Axis::around(xs.map(|x| x as f64), 6, Grain::Whole),
            vertical: Axis::around(points().map(|&(_, y)| y), 4, Grain::Any),
        };
        html! {
            figure.chart {
                figcaption {
                    h3 { (self.title) }
                    @if self.lines.len() > 1 { (self.legend()) }
                }
                svg viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } role="img" aria-labelledby={ (id) "-title " (id) "-text" } {
                    title id={ (id) "-title" } { (self.title) }
                    desc id={ (id) "-text" } { (self.description()) }
                    (self.axes(&plot))
                    @for line in &self.lines { (draw_line(line, &plot)) }
                    @for line in &self.lines {
                        @if let Some(mark) = line.mark { (self.draw_mark(line, mark, &plot)) }
                    }
                    (self.readouts(&plot))
                }
            }
        }
    }

    fn legend(&self) -> Markup {
        html! {
            ul.legend {
                @for line in self.lines.iter().filter(|line| line.legend == Legend::Listed) {
                    li {
                        svg.key viewBox="0 0 22 10" aria-hidden="true" {
                            path class=(line.style("line")) d="M1 5H21" {}
                        }
                        (line.name)
                    }
                }
            }
        }
    }

    fn axes(&self, plot: &Plot) -> Markup {
        html! {
            @for &tick in &plot.vertical.ticks {
                @let y = plot.y(tick);
                path.grid d={ "M" (LEFT) " " (tenth(y)) "H" (RIGHT) } {}
                text.tick x=(LEFT - 8.0) y=(tenth(y)) dy="0.35em" text-anchor="end" { (plot.vertical.label(tick)) }
            }
            @for &tick in &plot.horizontal.ticks {
                text.tick x=(tenth(plot.x(tick))) y=(BOTTOM + 8.0) dy="0.9em" text-anchor="middle" {
                    (plot.horizontal.label(tick))
                }
            }
            text.tick x=(RIGHT) y=(BOTTOM + 8.0) dy="2.2em" text-anchor="end" { (self.x_title) }
        }
    }

    /// A ring around a point, with its value.
    fn draw_mark(&self, line: &Line, (x, y): (u64, f64), plot: &Plot) -> Markup {
        let (left, top) = (plot.x(x as f64), plot.y(y));
        // Below a point at the top of the chart, and before one at its end.
        let below = top < TOP + 24.0;
        let end = left > (LEFT + RIGHT) / 2.0;
        html! {
            circle class=(line.style("ring")) cx=(tenth(left)) cy=(tenth(top)) r="5" {}
            text.mark x=(tenth(left)) y=(tenth(top)) dx=(if end { "-0.5em" } else { "0.5em" })
                dy=(if below { "1.5em" } else { "-0.7em" }) text-anchor=(if end { "end" } else { "start" })
                { ((self.format)(y)) }
        }
    }

    /// What was measured, at each place or at as many as can be told apart.
    fn readouts(&self, plot: &Plot) -> Markup {
        let mut xs: Vec<u64> = self
            .lines
            .iter()
            .flat_map(|line| &line.points)
            .map(|&(x, _)| x)
            .collect();
        xs.sort_unstable();
        xs.dedup();
        let xs: Vec<u64> = xs
            .iter()
            .copied()
            .step_by(xs.len().div_ceil(MOST_READOUTS).max(1))
            .collect();
        let middle = |a: u64, b: u64| f64::midpoint(plot.x(a as f64), plot.x(b as f64));
        html! {
            @for (index, &x) in xs.iter().enumerate() {
                @let place = plot.x(x as f64);
                @let from = if index == 0 { LEFT } else { middle(xs[index - 1], x) };
                @let to = xs.get(index + 1).map_or(RIGHT, |&next| middle(x, next));
                g.at {
                    rect x=(tenth(from)) y="0" width=(tenth(to - from)) height=(BOTTOM) {}
                    g {
                        path.rule d={ "M" (tenth(place)) " " (TOP) "V" (BOTTOM) } {}
                        (self.readout(x, place, plot))
                    }
                }
            }
        }
    }

    /// The values there, or the last ones before.
    fn readout(&self, x: u64, place: f64, plot: &Plot) -> Markup {
        let end = place > (LEFT + RIGHT) / 2.0;
        let side = tenth(if end { place - 9.0 } else { place + 9.0 });
        let values: Vec<(&Line, (u64, f64))> = self
            .lines
            .iter()
            .filter_map(|line| Some((line, *line.points.iter().rfind(|point| point.0 <= x)?)))
            .collect();
        html! {
            @for (line, (at, value)) in &values {
                @if value.is_finite() {
                    path class=(line.style("dot")) d={ "M" (tenth(plot.x(*at as f64))) " " (tenth(plot.y(*value))) "h0" } {}
                }
            }
            text.read x=(side) y=(TOP) text-anchor=(if end { "end" } else { "start" }) {
                tspan x=(side) dy="0.8em" { (self.x_title) " " (x) }
                @for (line, (at, value)) in &values {
                    tspan x=(side) dy="1.3em" {
                        tspan class=(line.style("spot")) { "● " }
                        @if self.lines.len() > 1 { (line.name) " " }
                        (((self.format)(*value)))
                        @if *at != x { " at " (at) }
                    }
                }
            }
        }
    }

    /// The chart in words.
    fn description(&self) -> String {
        let unit = self.x_title.to_lowercase();
        let mut text = String::new();
        for line in &self.lines {
            let finite = || line.points.iter().filter(|point| point.1.is_finite());
            let by_value = |a: &&(u64, f64), b: &&(u64, f64)| a.1.total_cmp(&b.1);
            let ends = finite().next().zip(finite().next_back());
            let Some(((first, last), (lowest, highest))) =
                ends.zip(finite().min_by(by_value).zip(finite().max_by(by_value)))
            else {
                continue;
            };
            let at =
                |point: &(u64, f64)| format!("{} at {unit} {}", (self.format)(point.1), point.0);
            // Writing to a string can't fail.
            let _ = write!(
                text,
                "{}: from {} to {}, lowest {}, highest {}. ",
                line.name,
                at(first),
                at(last),
                at(lowest),
                at(highest)
            );
        }
        text.trim_end().to_owned()
    }
}

fn draw_line(line: &Line, plot: &Plot) -> Markup {
    let points = line.thinned();
    let mut path = String::new();
    let mut markers = String::new();
    for run in points.split(|point| !point.1.is_finite()) {
        for (index, &(x, y)) in run.iter().enumerate() {
            let command = if index == 0 { 'M' } else { 'L' };
            let (x, y) = (tenth(plot.x(x as f64)), tenth(plot.y(y)));
            // Writing to a string can't fail.
            let _ = write!(path, "{command}{x} {y}");
            if points.len() <= MOST_MARKERS || run.len() == 1 {
                let _ = write!(markers, "M{x} {y}h0");
            }
        }
    }
    html! {
        path class=(line.style("line")) d=(path) {}
        @if !markers.is_empty() { path class=(line.style("dot")) d=(markers) {} }
    }
}

/// A place to a tenth of a unit.
fn tenth(value: f64) -> f64 {
    (10.0 * value).round() / 10.0
}
