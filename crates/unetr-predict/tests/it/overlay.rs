use image::{GrayImage, Luma, Rgb, RgbImage};
use unetr_data::Classes;
use unetr_predict::{Error, draw_overlay};

#[test]
fn an_overlay_has_full_colour_where_classes_meet() {
    let classes = Classes::viridis(["left", "right"]).unwrap();
    let grey = Rgb([100, 100, 100]);
    // Lines of one pixel, of two, and of four at most on either side.
    for (width, line) in [(40, 1), (512, 2), (3000, 4)] {
        let photo = RgbImage::from_pixel(width, 10, grey);
        let labels = GrayImage::from_fn(width, 10, |x, _| Luma([u8::from(x >= width / 2)]));
        let picture = draw_overlay(&photo, &labels, &classes).unwrap();
        for (x, _, &pixel) in picture.enumerate_pixels() {
            let colour = Rgb(classes.colour(u8::from(x >= width / 2)));
            let half = std::array::from_fn(|i| u8::midpoint(grey[i] + 1, colour[i]));
            let is_line = (width / 2 - line..width / 2 + line).contains(&x);
            assert_eq!(pixel, if is_line { colour } else { Rgb(half) }, "{x}");
        }
    }
}

#[test]
fn an_overlay_of_another_size_and_an_empty_one_are_refused() {
    let classes = Classes::viridis(["pet"]).unwrap();
    for (photo, labels) in [((8, 8), (8, 4)), ((0, 0), (0, 0))] {
        let (image, mask) = (
            RgbImage::new(photo.0, photo.1),
            GrayImage::new(labels.0, labels.1),
        );
        let error = draw_overlay(&image, &mask, &classes).unwrap_err();
        assert!(
            matches!(error, Error::OverlaySize { photo: p, labels: l } if (p, l) == (photo, labels)),
            "{error}"
        );
    }
}
