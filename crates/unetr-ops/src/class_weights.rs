use candle_core::Result;

use crate::error::value_error;

/// Checks that there is a finite weight of at least 0 for every class, and one above 0.
pub(crate) fn check_class_weights(
    op: &'static str,
    weights: Option<&[f32]>,
    classes: usize,
) -> Result<()> {
    let Some(weights) = weights else {
        return Ok(());
    };
    if weights.len() != classes {
        let expected = format!("{classes}, one for each class of the logits");
        let argument = "the number of class weights";
        return Err(value_error(op, argument, &weights.len(), expected));
    }
    let usable = |weight: f32| weight.is_finite() && weight >= 0.;
    if let Some(weight) = weights.iter().find(|&&weight| !usable(weight)) {
        let expected = "a finite number of at least 0";
        return Err(value_error(op, "a class weight", weight, expected));
    }
    if weights.iter().all(|&weight| weight == 0.) {
        let expected = "at least one above 0";
        return Err(value_error(op, "every class weight", &0, expected));
    }
    Ok(())
}

/// The weight of every class, 1 without weights, and 0 for the label of ignored pixels, which is no
/// class.
pub(crate) fn weights_by_label(weights: Option<&[f32]>, classes: usize) -> Vec<f64> {
    let mut by_label = match weights {
        Some(weights) => weights.iter().map(|&weight| f64::from(weight)).collect(),
        None => vec![1.; classes],
    };
    by_label.push(0.);
    by_label
}
