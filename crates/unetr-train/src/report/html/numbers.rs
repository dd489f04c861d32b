//! Numbers as people read them.

/// A number of four significant digits.
pub(super) fn number(value: f64) -> String {
    let size = value.abs();
    if !value.is_finite() {
        return if value.is_nan() {
            "NaN".into()
        } else if value > 0.0 {
            "∞".into()
        } else {
            "−∞".into()
        };
    }
    if value == 0.0 {
        return "0".into();
    }
    if !(1e-3..1e5).contains(&size) {
        return format!("{value:.2e}");
    }
    let decimals = (3 - size.log10().floor() as i32).clamp(0, 6) as usize;
    format!("{value:.decimals$}")
}

/// A score from 0 to 1.
pub(super) fn score(value: f64) -> String {
    if value.is_finite() {
        format!("{value:.3}")
    } else {
        number(value)
    }
}

/// A speed in images per second.
pub(super) fn speed(value: f64) -> String {
    if value.is_finite() && value >= 100.0 {
        grouped(value.round() as u64)
    } else {
        format!("{value:.1}")
    }
}

/// A share in percent.
pub(super) fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

/// A count with its thousands apart.
pub(super) fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// A length of time in its two largest units.
pub(super) fn duration(seconds: f64) -> String {
    if !(0.0..1e10).contains(&seconds) {
        return number(seconds);
    }
    if seconds < 59.5 {
        let decimals = usize::from(seconds < 9.95);
        return format!("{seconds:.decimals$} s");
    }
    let whole = seconds.round() as u64;
    let (days, hours, minutes) = (whole / 86_400, whole / 3600 % 24, whole / 60 % 60);
    match (days, hours) {
        (0, 0) => format!("{minutes} min {:02} s", whole % 60),
        (0, _) => format!("{hours} h {minutes:02} min"),
        _ => format!("{days} d {hours:02} h"),
    }
}

/// A name of a metric or of a setting as a title: `mean_iou` is "Mean IoU".
pub(super) fn title(name: &str) -> String {
    let words = name.replace(['_', '/'], " ");
    let words = words.split(' ').map(|word| match word {
        "iou" => "IoU",
        "dice" => "Dice",
        "jaccard" => "Jaccard",
        other => other,
    });
    let text = words.collect::<Vec<_>>().join(" ");
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(letters).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well_whatever_their_size() {
        for (value, text) in [
            (0.0, "0"),
            (0.507_24, "0.5072"),
            (-1.25, "-1.250"),
            (12_345.6, "12346"),
            (0.000_123, "1.23e-4"),
            (3e7, "3.00e7"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "−∞"),
        ] {
            assert_eq!(number(value), text);
        }
        assert_eq!(grouped(1_234_567), "1\u{202f}234\u{202f}567");
        assert_eq!((grouped(0), grouped(999)), ("0".into(), "999".into()));
        assert_eq!(
            (speed(7.25), speed(4016.4)),
            ("7.2".into(), "4\u{202f}016".into())
        );
    }

    #[test]
    fn durations_have_two_units() {
        for (seconds, text) in [
            (0.25, "0.2 s"),
            (42.4, "42 s"),
            (59.6, "1 min 00 s"),
            (2624.0, "43 min 44 s"),
            (3725.0, "1 h 02 min"),
            (200_000.0, "2 d 07 h"),
            (f64::NAN, "NaN"),
        ] {
            assert_eq!(duration(seconds), text);
        }
    }

    #[test]
    fn titles_are_words() {
        assert_eq!(title("mean_iou"), "Mean IoU");
        assert_eq!(title("soft_jaccard"), "Soft Jaccard");
        assert_eq!((title(""), title("é")), (String::new(), "É".into()));
    }
}
