use image::{GrayImage, Luma, Rgb, RgbImage};
use unetr_data::Classes;
use unetr_train::{Error, History, PredictionSample, Record, Split, draw_curves, draw_predictions};

const TRAINING: Rgb<u8> = Rgb([0, 114, 178]);
const VALIDATION: Rgb<u8> = Rgb([213, 94, 0]);

fn count(picture: &RgbImage, colour: Rgb<u8>) -> usize {
    picture.pixels().filter(|&&pixel| pixel == colour).count()
}

/// Columns of the left panel's plot in which the colour occurs, the legend left out.
fn columns(picture: &RgbImage, colour: Rgb<u8>) -> Vec<u32> {
    (0..picture.width() / 2)
        .filter(|&x| (112..picture.height()).any(|y| *picture.get_pixel(x, y) == colour))
        .collect()
}

fn history(losses: &[f64]) -> History {
    (1..)
        .zip(losses)
        .map(|(epoch, &loss)| {
            Record::new(epoch, epoch * 71)
                .metric(Split::Train, "loss", loss)
                .metric(Split::Validation, "loss", loss + 1.0)
        })
        .collect()
}

#[test]
fn both_lines_cross_the_panel() {
    let picture = draw_curves(&history(&[3.0, 2.0, 1.5, 1.2, 1.0]));
    for colour in [TRAINING, VALIDATION] {
        let columns = columns(&picture, colour);
        let (first, last) = (columns[0], columns[columns.len() - 1]);
        // Whole but for the rims of the markers, of two pixels and the antialiasing.
        assert!(
            columns.windows(2).all(|pair| pair[1] - pair[0] <= 4),
            "{columns:?}"
        );
        assert!(last - first > 500, "{first} to {last}");
    }
}

#[test]
fn values_that_are_not_finite_leave_a_gap() {
    let picture = draw_curves(&history(&[3.0, 2.0, f64::NAN, 1.2, 1.0]));
    let columns = columns(&picture, TRAINING);
    assert!(
        columns.windows(2).any(|pair| pair[1] - pair[0] > 200),
        "no gap"
    );
}

#[test]
fn one_record_and_none_make_a_picture() {
    let one = draw_curves(&history(&[2.0]));
    assert!(count(&one, TRAINING) > 50);
    let none = draw_curves(&History::default());
    assert_eq!(
        (count(&none, TRAINING), none.dimensions()),
        (0, one.dimensions())
    );
    assert!(columns(&draw_curves(&history(&[f64::NAN; 3])), TRAINING).is_empty());
}

#[test]
fn a_row_shows_the_classes_beside_and_over_the_image() {
    let classes = Classes::viridis(["pet", "background", "boundary"]).unwrap();
    let sample = PredictionSample {
        image: RgbImage::from_pixel(64, 32, Rgb([200, 100, 50])),
        mask: GrayImage::from_pixel(64, 32, Luma([2])),
        prediction: GrayImage::from_pixel(64, 32, Luma([1])),
    };
    let picture = draw_predictions(&[sample], &classes).unwrap();
    let cell = 256 * 128;
    assert_eq!(count(&picture, Rgb([200, 100, 50])), cell);
    // Half of the image's colour and half of the class's, rounded.
    assert_eq!(count(&picture, Rgb([227, 166, 44])), cell);
    assert_eq!(count(&picture, Rgb([117, 123, 95])), cell);
    // A cell, and a swatch of 20 x 20 in the legend.
    assert_eq!(count(&picture, Rgb(classes.colour(2))), cell + 400);
    assert_eq!(count(&picture, Rgb(classes.colour(1))), cell + 400);
    assert_eq!(count(&picture, Rgb(classes.colour(0))), 400);
}

#[test]
fn samples_of_different_sizes_are_refused() {
    let sample = PredictionSample {
        image: RgbImage::new(64, 64),
        mask: GrayImage::new(64, 64),
        prediction: GrayImage::new(32, 64),
    };
    let error = draw_predictions(&[sample], &Classes::viridis(["pet"]).unwrap()).unwrap_err();
    assert!(
        matches!(
            error,
            Error::SampleSize {
                index: 0,
                prediction: (32, 64),
                ..
            }
        ),
        "{error}"
    );
}
