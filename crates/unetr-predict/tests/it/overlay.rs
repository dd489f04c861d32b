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

#[test]
fn borders_are_where_another_class_is_within_reach() {
    let classes = Classes::viridis(["a", "b", "c"]).unwrap();
    for (width, height, reach) in [(700_u32, 40_u32, 2_i64), (9, 30, 1), (1100, 23, 4)] {
        let labels = GrayImage::from_fn(width, height, |x, y| {
            let hash = (x / 7 * 31 + y / 5 * 17).wrapping_mul(2_654_435_761) >> 28;
            Luma([(hash % 3) as u8])
        });
        let photo = RgbImage::from_pixel(width, height, Rgb([0, 255, 0]));
        let picture = draw_overlay(&photo, &labels, &classes).unwrap();
        for (x, y, &pixel) in picture.enumerate_pixels() {
            let label = labels.get_pixel(x, y);
            let (x, y) = (i64::from(x), i64::from(y));
            let near = (-reach..=reach).flat_map(|dy| (-reach..=reach).map(move |dx| (dx, dy)));
            let differs = near
                .filter(|(dx, dy)| dx * dx + dy * dy <= reach * reach)
                .filter_map(|(dx, dy)| {
                    let (x, y) = (u32::try_from(x + dx).ok()?, u32::try_from(y + dy).ok()?);
                    labels.get_pixel_checked(x, y)
                })
                .any(|other| other != label);
            let full = pixel == Rgb(classes.colour(label.0[0]));
            assert_eq!(full, differs, "{x} {y}");
        }
    }
}
