use image::{Rgb, RgbImage};

use super::canvas::Canvas;
use super::chart::{Area, Chart, Line};
use crate::{History, Split};

/// Colours of Okabe and Ito, which differ for the colour-blind too
/// (<https://jfly.uni-koeln.de/color/>).
const LINES: [(Split, &str, Rgb<u8>); 2] = [
    (Split::Train, "Training", Rgb([0, 114, 178])),
    (Split::Validation, "Validation", Rgb([213, 94, 0])),
];

const WIDTH: u32 = 900;
const HEIGHT: u32 = 640;

/// Draws the loss and the mean IoU of training and validation set over the epochs.
///
/// The metrics are those named `loss` and `mean_iou`. What was not measured is not drawn; values
/// that are not finite leave a gap.
///
/// # Examples
/// ```no_run
/// # use unetr_train::{HistoryFile, draw_curves};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let history = HistoryFile::read("runs/pets/history.jsonl")?;
/// draw_curves(&history).save("runs/pets/curves.png")?;
/// # Ok(())
/// # }
/// ```
pub fn draw_curves(history: &History) -> RgbImage {
    let mut canvas = Canvas::new(2 * WIDTH, HEIGHT);
    for (column, (title, metric)) in [("Loss", "loss"), ("Mean IoU", "mean_iou")]
        .iter()
        .enumerate()
    {
        let lines = LINES.map(|(split, name, colour)| Line {
            name: name.to_owned(),
            colour,
            points: history.series(split, metric),
        });
        let chart = Chart {
            title,
            x_title: "Epoch",
            lines: lines.into(),
        };
        let x = column as u32 * WIDTH;
        chart.draw(
            &mut canvas,
            Area {
                x,
                y: 8,
                width: WIDTH,
                height: HEIGHT - 8,
            },
        );
    }
    canvas.finish()
}
