//! Checks of settings.

use std::fmt::Display;

use crate::{Error, Result};

/// Checks that something holds of a setting.
pub(crate) fn check(
    what: &'static str,
    found: &dyn Display,
    holds: bool,
    expected: &'static str,
) -> Result<()> {
    if holds {
        return Ok(());
    }
    let found = found.to_string();
    Err(Error::Setting {
        what: what.to_owned(),
        found,
        expected,
    })
}

/// Checks that a number is finite and at least 0.
pub(crate) fn check_not_negative(what: &'static str, number: f64) -> Result<()> {
    let holds = number.is_finite() && number >= 0.;
    check(what, &number, holds, "a finite number of at least 0")
}

/// Checks that a number is finite and above 0.
pub(crate) fn check_positive(what: &'static str, number: f64) -> Result<()> {
    let holds = number.is_finite() && number > 0.;
    check(what, &number, holds, "a finite number above 0")
}

/// Checks that a number is a part that leaves something.
pub(crate) fn check_part(what: &'static str, number: f64) -> Result<()> {
    let holds = (0. ..1.).contains(&number);
    check(what, &number, holds, "at least 0 and less than 1")
}
