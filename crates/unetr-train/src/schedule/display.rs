use std::fmt;

use super::Schedule;

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Constant { lr } => write!(f, "constant {lr}"),
            Self::Linear { from, to, steps } => {
                write!(f, "linear from {from} to {to} in {steps} steps")
            }
            Self::Cosine { from, to, steps } => {
                write!(f, "cosine from {from} to {to} in {steps} steps")
            }
            Self::Polynomial {
                from,
                to,
                steps,
                power,
            } => write!(
                f,
                "polynomial of power {power} from {from} to {to} in {steps} steps"
            ),
            Self::WarmupCosine {
                peak,
                warmup_steps,
                steps,
                end,
            } => write!(
                f,
                "warm-up to {peak} in {warmup_steps} steps, cosine to {end} at step {steps}"
            ),
            Self::OneCycle {
                start,
                peak,
                end,
                rise,
                steps,
            } => write!(
                f,
                "one cycle of {steps} steps, from {start} to {peak} in {rise} of them, then to {end}"
            ),
            Self::Warmup { from, steps, then } => {
                write!(f, "warm-up from {from} in {steps} steps, then {then}")
            }
            Self::Chain { parts, then } => {
                for part in parts {
                    write!(f, "{} for {} steps, then ", part.schedule, part.steps)?;
                }
                then.fmt(f)
            }
        }
    }
}
