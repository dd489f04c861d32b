use super::Schedule;
use crate::{Error, Result};

impl Schedule {
    /// Whether the schedule makes sense.
    ///
    /// # Errors
    /// When a learning rate is negative or not finite, when something has no length, or when the
    /// warm-up is as long as all.
    pub fn validate(&self) -> Result<()> {
        match *self {
            Self::Constant { lr } => check_rate("the learning rate", lr),
            Self::Linear { from, to, steps } | Self::Cosine { from, to, steps } => {
                check_ends(from, to)?;
                check_steps(steps)
            }
            Self::Polynomial {
                from,
                to,
                steps,
                power,
            } => {
                check_ends(from, to)?;
                check_steps(steps)?;
                check_power(power)
            }
            Self::WarmupCosine {
                peak,
                warmup_steps,
                steps,
                end,
            } => {
                check_rate("the peak learning rate", peak)?;
                check_rate("the last learning rate", end)?;
                check_steps(steps)?;
                check_warmup(warmup_steps, steps)
            }
            Self::OneCycle {
                start,
                peak,
                end,
                rise,
                steps,
            } => {
                check_ends(start, end)?;
                check_rate("the peak learning rate", peak)?;
                check_steps(steps)?;
                check_rise(rise)
            }
            Self::Warmup {
                from,
                steps,
                ref then,
            } => {
                check_rate("the first learning rate", from)?;
                check_steps(steps)?;
                then.validate()
            }
            Self::Chain {
                ref parts,
                ref then,
            } => {
                for part in parts {
                    check_steps(part.steps)?;
                    part.schedule.validate()?;
                }
                then.validate()
            }
        }
    }
}

fn check_ends(first: f64, last: f64) -> Result<()> {
    check_rate("the first learning rate", first)?;
    check_rate("the last learning rate", last)
}

pub(super) fn check_rate(what: &'static str, rate: f64) -> Result<()> {
    if rate.is_finite() && rate >= 0.0 {
        return Ok(());
    }
    refuse(what, &rate, "a finite number of at least 0")
}

pub(super) fn check_rise(rise: f64) -> Result<()> {
    if rise > 0.0 && rise < 1.0 {
        return Ok(());
    }
    let what = "the rising part of the cycle";
    refuse(what, &rise, "more than 0 and less than 1")
}

pub(super) fn check_power(power: f64) -> Result<()> {
    if power.is_finite() && power > 0.0 {
        return Ok(());
    }
    let what = "the power of the schedule";
    refuse(what, &power, "a finite number above 0")
}

pub(super) fn check_warmup(warmup: u64, steps: u64) -> Result<()> {
    if warmup < steps {
        return Ok(());
    }
    let found = format!("{warmup} of {steps} steps");
    let expected = "fewer steps than the whole schedule";
    refuse("the warm-up of the schedule", &found, expected)
}

fn check_steps(steps: u64) -> Result<()> {
    if steps > 0 {
        return Ok(());
    }
    refuse("the length of the schedule", &"0 steps", "at least 1 step")
}

pub(super) fn refuse(
    what: &'static str,
    found: &impl ToString,
    expected: &'static str,
) -> Result<()> {
    let found = found.to_string();
    Err(Error::Config {
        what,
        found,
        expected,
    })
}
