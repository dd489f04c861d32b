//! A panel of lines over a whole-numbered axis.

use image::Rgb;

use super::canvas::{Align, Canvas, GRID, INK, MUTED, PAPER, Point, Weight, blend};
use super::ticks::{Axis, Grain};

const TEXT: f32 = 22.0;
const TITLE: f32 = 28.0;
const LINE: f32 = 3.5;
const MARKER: f32 = 10.0;

/// A named line. Values that are not finite leave a gap.
pub(super) struct Line {
    pub(super) name: String,
    pub(super) colour: Rgb<u8>,
    pub(super) points: Vec<(u64, f64)>,
}

/// A chart within a picture.
pub(super) struct Chart {
    pub(super) title: &'static str,
    pub(super) x_title: &'static str,
    pub(super) lines: Vec<Line>,
}

/// Where a chart is drawn, in pixels.
#[derive(Clone, Copy)]
pub(super) struct Area {
    pub(super) x: u32,
    pub(super) y: u32,
    pub(super) width: u32,
    pub(super) height: u32,
}

impl Chart {
    pub(super) fn draw(&self, canvas: &mut Canvas, area: Area) {
        let points = || self.lines.iter().flat_map(|line| &line.points);
        let horizontal = Axis::around(points().map(|&(x, _)| x as f64), 8, Grain::Whole);
        let vertical = Axis::around(points().map(|&(_, y)| y), 6, Grain::Any);

        let plot = Area {
            x: area.x + 96,
            y: area.y + 104,
            width: area.width - 96 - 28,
            height: area.height - 104 - 92,
        };
        canvas.text(
            self.title,
            (plot.x as i32, area.y as i32 + 14),
            TITLE,
            (Align::Left, Weight::Medium),
            INK,
        );
        self.legend(canvas, plot.x, area.y + 58);
        grid(canvas, plot, &horizontal, &vertical);
        canvas.text(
            self.x_title,
            (
                (plot.x + plot.width / 2) as i32,
                (plot.y + plot.height + 52) as i32,
            ),
            TEXT,
            (Align::Centre, Weight::Regular),
            MUTED,
        );
        for line in &self.lines {
            let place = |&(x, y): &(u64, f64)| -> Point {
                let across = horizontal.position(x as f64) * f64::from(plot.width);
                let up = vertical.position(y) * f64::from(plot.height);
                (
                    plot.x as f32 + across as f32,
                    (plot.y + plot.height) as f32 - up as f32,
                )
            };
            draw_line(canvas, line, place);
        }
    }

    /// A sample of each line with its name, from left to right.
    fn legend(&self, canvas: &mut Canvas, mut x: u32, y: u32) {
        for line in self.lines.iter().filter(|line| !line.points.is_empty()) {
            let middle = y as f32 + 13.0;
            canvas.stroke(
                &[(x as f32, middle), (x as f32 + 40.0, middle)],
                LINE,
                line.colour,
            );
            marker(canvas, (x as f32 + 20.0, middle), line.colour);
            x += 52;
            canvas.text(
                &line.name,
                (x as i32, y as i32),
                TEXT,
                (Align::Left, Weight::Regular),
                INK,
            );
            x += canvas.text_width(&line.name, TEXT, Weight::Regular) + 36;
        }
    }
}

fn grid(canvas: &mut Canvas, plot: Area, horizontal: &Axis, vertical: &Axis) {
    let bottom = plot.y + plot.height;
    for &tick in &vertical.ticks {
        let y = bottom - (vertical.position(tick) * f64::from(plot.height)).round() as u32;
        canvas.fill(plot.x, y, plot.width, 2, GRID);
        let at = (plot.x as i32 - 16, y as i32 - 12);
        canvas.text(
            &vertical.label(tick),
            at,
            TEXT,
            (Align::Right, Weight::Regular),
            MUTED,
        );
    }
    for &tick in &horizontal.ticks {
        let x = plot.x + (horizontal.position(tick) * f64::from(plot.width)).round() as u32;
        canvas.fill(x, plot.y, 2, plot.height, blend(PAPER, GRID, 0.6));
        canvas.fill(x, bottom, 2, 8, MUTED);
        let at = (x as i32, bottom as i32 + 16);
        canvas.text(
            &horizontal.label(tick),
            at,
            TEXT,
            (Align::Centre, Weight::Regular),
            MUTED,
        );
    }
    canvas.fill(plot.x, bottom, plot.width + 2, 2, MUTED);
}

fn draw_line(canvas: &mut Canvas, line: &Line, place: impl Fn(&(u64, f64)) -> Point) {
    for run in line.points.split(|(_, value)| !value.is_finite()) {
        let points: Vec<Point> = run.iter().map(&place).collect();
        canvas.stroke(&points, LINE, line.colour);
        // Markers of a dense line would hide it.
        if line.points.len() <= 40 || points.len() == 1 {
            points
                .iter()
                .for_each(|&point| marker(canvas, point, line.colour));
        }
    }
}

/// A disc with a rim of paper, so that it stands out from its line.
fn marker(canvas: &mut Canvas, centre: Point, colour: Rgb<u8>) {
    canvas.stroke(&[centre], MARKER + 3.0, PAPER);
    canvas.stroke(&[centre], MARKER, colour);
}
