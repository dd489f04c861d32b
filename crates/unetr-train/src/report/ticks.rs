//! Axes with round numbers (Heckbert, "Nice numbers for graph labels", Graphics Gems, 1990).

/// The range of an axis and the values that are marked on it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Axis {
    pub(super) low: f64,
    pub(super) high: f64,
    pub(super) ticks: Vec<f64>,
    step: f64,
}

/// The least distance of two ticks.
#[derive(Debug, Clone, Copy)]
pub(super) enum Grain {
    Any,
    Whole,
}

impl Axis {
    /// An axis from round number to round number that holds all `values`, with about `count`
    /// ticks. Values that are not finite don't count.
    pub(super) fn around(
        values: impl IntoIterator<Item = f64>,
        count: usize,
        grain: Grain,
    ) -> Self {
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for value in values.into_iter().filter(|value| value.is_finite()) {
            (low, high) = (low.min(value), high.max(value));
        }
        if low > high {
            (low, high) = (0.0, 1.0);
        }
        let least = match grain {
            Grain::Any => 1e-6 * low.abs().max(high.abs()).max(1e-6),
            Grain::Whole => 1.0,
        };
        if high - low < least {
            // One value only: room on both sides.
            let room = match grain {
                Grain::Any => 0.1 * high.abs().max(1e-3),
                Grain::Whole => 1.0,
            };
            (low, high) = (low - room, high + room);
        }
        let step = nice((high - low) / count as f64).max(match grain {
            Grain::Any => 0.0,
            Grain::Whole => 1.0,
        });
        let (first, last) = ((low / step + 1e-9).floor(), (high / step - 1e-9).ceil());
        let ticks: Vec<f64> = (0..=(last - first) as usize)
            .map(|i| (first + i as f64) * step)
            .collect();
        Self {
            low: first * step,
            high: last * step,
            ticks,
            step,
        }
    }

    /// Where a value lies: 0 at the low end, 1 at the high end.
    pub(super) fn position(&self, value: f64) -> f64 {
        (value - self.low) / (self.high - self.low)
    }

    /// A tick with as many decimals as the ticks need to differ.
    pub(super) fn label(&self, tick: f64) -> String {
        let decimals = (-self.step.log10() - 1e-9).ceil().max(0.0) as usize;
        if decimals > 5 || tick.abs() >= 1e7 {
            return format!("{tick:.1e}");
        }
        // `+ 0.0` turns -0 into 0.
        format!(
            "{:.decimals$}",
            (tick / self.step).round() * self.step + 0.0
        )
    }
}

/// The smallest of 1, 2, 5 times a power of ten that is not less than `step`.
fn nice(step: f64) -> f64 {
    let power = 10f64.powf(step.log10().floor());
    let factor = [1.0, 2.0, 5.0]
        .into_iter()
        .find(|factor| factor * power >= step * 0.999_999);
    factor.unwrap_or(10.0) * power
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(values: &[f64], count: usize, grain: Grain) -> Vec<String> {
        let axis = Axis::around(values.iter().copied(), count, grain);
        axis.ticks.iter().map(|&tick| axis.label(tick)).collect()
    }

    #[test]
    fn ticks_are_round_and_hold_the_values() {
        assert_eq!(
            labels(&[0.329, 0.507], 5, Grain::Any),
            ["0.30", "0.35", "0.40", "0.45", "0.50", "0.55"]
        );
        assert_eq!(
            labels(&[1.0, 50.0], 5, Grain::Whole),
            ["0", "10", "20", "30", "40", "50"]
        );
        assert_eq!(labels(&[1.0, 3.0], 8, Grain::Whole), ["1", "2", "3"]);
        assert_eq!(
            labels(&[-1.0, 1.0], 4, Grain::Any),
            ["-1.0", "-0.5", "0.0", "0.5", "1.0"]
        );
    }

    #[test]
    fn one_value_none_and_nan_still_make_an_axis() {
        for values in [
            &[0.5][..],
            &[],
            &[f64::NAN],
            &[f64::NAN, 2.0, f64::INFINITY],
            &[0.0],
        ] {
            let axis = Axis::around(values.iter().copied(), 5, Grain::Any);
            assert!(
                axis.low < axis.high && axis.ticks.len() >= 2,
                "{values:?}: {axis:?}"
            );
        }
        assert_eq!(labels(&[1.0], 8, Grain::Whole), ["0", "1", "2"]);
    }
}
