use candle_core::{Device, Tensor};
use proptest::prelude::*;
use unetr_metrics::{AbsentClass, ConfusionMatrix, Normalization};

const CLASSES: usize = 4;

fn pixels() -> impl Strategy<Value = Vec<(u8, u8)>> {
    proptest::collection::vec((0..CLASSES as u8, 0..CLASSES as u8), 1..200)
}

fn matrix(pixels: &[(u8, u8)]) -> ConfusionMatrix {
    let (predictions, truth): (Vec<u8>, Vec<u8>) = pixels.iter().copied().unzip();
    let tensor = |values: Vec<u8>| Tensor::new(values, &Device::Cpu).unwrap();
    let mut matrix = ConfusionMatrix::new(CLASSES).unwrap();
    matrix
        .update_labels(&tensor(predictions), &tensor(truth))
        .unwrap();
    matrix
}

proptest! {
    #[test]
    fn every_pixel_is_counted_once(pixels in pixels()) {
        let matrix = matrix(&pixels);
        prop_assert_eq!(matrix.pixels(), pixels.len() as u64);
        for truth in 0..CLASSES {
            for prediction in 0..CLASSES {
                let expected = pixels.iter().filter(|&&p| p == (prediction as u8, truth as u8)).count();
                prop_assert_eq!(matrix.count(truth, prediction), expected as u64);
            }
        }
    }

    #[test]
    fn merged_parts_equal_the_whole(pixels in pixels(), cut in 0usize..200) {
        let (left, right) = pixels.split_at(cut.min(pixels.len()));
        let mut merged = matrix(left);
        merged.merge(&matrix(right)).unwrap();
        prop_assert_eq!(merged, matrix(&pixels));
    }

    #[test]
    fn merging_classes_is_relabelling(pixels in pixels(), merged in [0..CLASSES, 0..CLASSES, 0..CLASSES, 0..CLASSES]) {
        let relabelled: Vec<(u8, u8)> = pixels
            .iter()
            .map(|&(p, t)| (merged[p as usize] as u8, merged[t as usize] as u8))
            .collect();
        let (found, expected) = (matrix(&pixels).merged(&merged).unwrap(), matrix(&relabelled));
        for truth in 0..found.classes() {
            for prediction in 0..found.classes() {
                prop_assert_eq!(found.count(truth, prediction), expected.count(truth, prediction));
            }
        }
        prop_assert_eq!(found.pixels(), expected.pixels());
        prop_assert_eq!(found.images(), expected.images());
    }

    #[test]
    fn scores_stay_within_their_bounds(pixels in pixels()) {
        let matrix = matrix(&pixels);
        let (iou, dice) = (matrix.iou(AbsentClass::Skip), matrix.dice(AbsentClass::Skip));
        let (precision, recall) = (matrix.precision(AbsentClass::Zero), matrix.recall(AbsentClass::Zero));
        for class in 0..CLASSES {
            if let (Some(iou), Some(dice)) = (iou[class], dice[class]) {
                prop_assert!((0.0..=1.0).contains(&iou));
                prop_assert!((dice - 2.0 * iou / (1.0 + iou)).abs() < 1e-12);
                prop_assert!(iou <= precision[class].unwrap() + 1e-12);
                prop_assert!(iou <= recall[class].unwrap() + 1e-12);
            } else {
                prop_assert!(pixels.iter().all(|&(p, t)| p as usize != class && t as usize != class));
            }
        }
        prop_assert!(matrix.mean_iou(AbsentClass::Zero) <= matrix.mean_iou(AbsentClass::Skip));
    }

    #[test]
    fn normalised_rows_and_columns_sum_to_one(pixels in pixels()) {
        let matrix = matrix(&pixels);
        for (truth, row) in matrix.compute(Normalization::Recall).iter().enumerate() {
            let expected = f64::from(pixels.iter().any(|&(_, t)| t as usize == truth));
            prop_assert!((row.iter().sum::<f64>() - expected).abs() < 1e-12);
        }
        let precision = matrix.compute(Normalization::Precision);
        for prediction in 0..CLASSES {
            let sum: f64 = precision.iter().map(|row| row[prediction]).sum();
            let expected = f64::from(pixels.iter().any(|&(p, _)| p as usize == prediction));
            prop_assert!((sum - expected).abs() < 1e-12);
        }
    }

    #[test]
    fn one_hot_logits_count_as_their_labels(pixels in pixels()) {
        let one_hot: Vec<f32> = (0..CLASSES as u8)
            .flat_map(|class| pixels.iter().map(move |&(p, _)| f32::from(u8::from(p == class))))
            .collect();
        let logits = Tensor::from_vec(one_hot, (1, CLASSES, pixels.len()), &Device::Cpu).unwrap();
        let truth: Vec<u8> = pixels.iter().map(|&(_, t)| t).collect();
        let labels = Tensor::from_vec(truth, (1, pixels.len()), &Device::Cpu).unwrap();
        let mut from_logits = ConfusionMatrix::new(CLASSES).unwrap();
        from_logits.update(&logits, &labels).unwrap();
        prop_assert_eq!(
            from_logits.compute(Normalization::Counts),
            matrix(&pixels).compute(Normalization::Counts)
        );
    }
}
