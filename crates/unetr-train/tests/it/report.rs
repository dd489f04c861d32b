use image::{GrayImage, Luma, Rgb, RgbImage};
use unetr_train::{
    Error, History, Palette, PredictionSample, Record, Split, draw_curves, draw_overlay,
    draw_predictions,
};

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
    let palette = Palette::viridis(["pet", "background", "boundary"]);
    let sample = PredictionSample {
        image: RgbImage::from_pixel(64, 32, Rgb([200, 100, 50])),
        mask: GrayImage::from_pixel(64, 32, Luma([2])),
        prediction: GrayImage::from_pixel(64, 32, Luma([1])),
    };
    let picture = draw_predictions(&[sample], &palette).unwrap();
    let cell = 256 * 128;
    assert_eq!(count(&picture, Rgb([200, 100, 50])), cell);
    // Half of the image's colour and half of the class's, rounded.
    assert_eq!(count(&picture, Rgb([227, 166, 44])), cell);
    assert_eq!(count(&picture, Rgb([117, 123, 95])), cell);
    // A cell, and a swatch of 20 x 20 in the legend.
    assert_eq!(count(&picture, palette.colour(2)), cell + 400);
    assert_eq!(count(&picture, palette.colour(1)), cell + 400);
    assert_eq!(count(&picture, palette.colour(0)), 400);
}

#[test]
fn an_overlay_has_full_colour_where_classes_meet() {
    let palette = Palette::viridis(["left", "right"]);
    let grey = Rgb([100, 100, 100]);
    // Lines of one pixel, of two, and of four at most on either side.
    for (width, line) in [(40, 1), (512, 2), (3000, 4)] {
        let photo = RgbImage::from_pixel(width, 10, grey);
        let classes = GrayImage::from_fn(width, 10, |x, _| Luma([u8::from(x >= width / 2)]));
        let picture = draw_overlay(&photo, &classes, &palette).unwrap();
        for (x, _, &pixel) in picture.enumerate_pixels() {
            let colour = palette.colour(u8::from(x >= width / 2));
            let half = std::array::from_fn(|i| u8::midpoint(grey[i] + 1, colour[i]));
            let is_line = (width / 2 - line..width / 2 + line).contains(&x);
            assert_eq!(pixel, if is_line { colour } else { Rgb(half) }, "{x}");
        }
    }
}

#[test]
fn an_overlay_of_another_size_and_an_empty_one_are_refused() {
    let palette = Palette::viridis(["pet"]);
    for (photo, classes) in [((8, 8), (8, 4)), ((0, 0), (0, 0))] {
        let (image, mask) = (
            RgbImage::new(photo.0, photo.1),
            GrayImage::new(classes.0, classes.1),
        );
        let error = draw_overlay(&image, &mask, &palette).unwrap_err();
        assert!(
            matches!(error, Error::OverlaySize { photo: p, classes: c } if (p, c) == (photo, classes)),
            "{error}"
        );
    }
}

#[test]
fn samples_of_different_sizes_are_refused() {
    let sample = PredictionSample {
        image: RgbImage::new(64, 64),
        mask: GrayImage::new(64, 64),
        prediction: GrayImage::new(32, 64),
    };
    let error = draw_predictions(&[sample], &Palette::viridis(["pet"])).unwrap_err();
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

#[test]
fn a_palette_has_a_colour_for_every_label() {
    let palette = Palette::viridis((0..150).map(|class| class.to_string()));
    assert_eq!(palette.classes().len(), 150);
    assert_eq!(palette.colour(149), Rgb([253, 231, 37]));
    assert_eq!(palette.colour(255), Rgb([150, 150, 150]));
}
