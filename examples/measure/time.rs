//! What a program takes of time and memory.

use std::time::Instant;

use anyhow::{Context, Result};
use serde::Serialize;

/// Seconds of a step by the clock, and of all processors together.
#[derive(Serialize)]
pub(crate) struct Seconds {
    pub(crate) median_s: f64,
    pub(crate) min_s: f64,
    pub(crate) max_s: f64,
    pub(crate) cpu_s_median: f64,
}

/// A moment, by the clock and by the processor time used so far.
pub(crate) struct Stamp {
    wall: Instant,
    cpu: f64,
}

impl Stamp {
    pub(crate) fn now() -> Result<Self> {
        let cpu = cpu_seconds()?;
        Ok(Self {
            wall: Instant::now(),
            cpu,
        })
    }

    pub(crate) fn since(&self, earlier: &Self) -> f64 {
        (self.wall - earlier.wall).as_secs_f64()
    }
}

impl Seconds {
    /// Of what lies between each two of at least two stamps.
    pub(crate) fn between(stamps: &[Stamp]) -> Self {
        let sorted = |seconds: fn(&[Stamp]) -> f64| {
            let mut all: Vec<f64> = stamps.windows(2).map(seconds).collect();
            all.sort_by(f64::total_cmp);
            all
        };
        let wall = sorted(|pair| pair[1].since(&pair[0]));
        let cpu = sorted(|pair| pair[1].cpu - pair[0].cpu);
        Self {
            median_s: wall[wall.len() / 2],
            min_s: wall[0],
            max_s: wall[wall.len() - 1],
            cpu_s_median: cpu[cpu.len() / 2],
        }
    }
}

/// Seconds of processor time this process has used, from Linux's `/proc`.
fn cpu_seconds() -> Result<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let after = stat.rsplit(')').next().context("/proc/self/stat")?;
    let fields: Vec<&str> = after.split_whitespace().collect();
    // User and system time in hundredths of a second.
    let ticks = fields[11].parse::<f64>()? + fields[12].parse::<f64>()?;
    Ok(ticks / 100.)
}

/// The most memory this process has held, from Linux's `/proc`.
pub(crate) fn peak_rss_mb() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .context("VmHWM")?;
    Ok(line.trim().trim_end_matches("kB").trim().parse::<u64>()? / 1024)
}
