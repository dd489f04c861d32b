//! Runs an operation until its median is known.

use std::time::{Duration, Instant};

use candle_core::{Device, Result, Tensor, Var};
use unetr::ops::backward;

use crate::row::{Case, Row};

const WARM_UP: usize = 2;
const AT_LEAST: usize = 5;
const AT_MOST: usize = 2000;

/// How a row is printed.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Format {
    Table,
    Json,
}

/// How long the halves of a run took.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timed {
    pub(crate) forward: Duration,
    pub(crate) backward: Option<Duration>,
}

/// Measures the operations that are wanted.
#[derive(Debug)]
pub(crate) struct Suite {
    /// What an operation has in its name or shape.
    pub(crate) filter: String,
    /// For each operation.
    pub(crate) at_most: Duration,
    /// Operations per second that the processor can do.
    pub(crate) peak: f64,
    pub(crate) format: Format,
}

impl Suite {
    pub(crate) fn wants(&self, case: &Case<'_>) -> bool {
        format!("{} {}", case.op, case.shape).contains(&self.filter)
    }

    /// Measures an operation on variables of the given shapes: all of them get gradients, and the
    /// output's is made of ones. Freeing the graph belongs to the backward pass.
    pub(crate) fn differentiable(
        &mut self,
        case: &Case<'_>,
        arguments: &[&[usize]],
        run: impl Fn(&[Tensor]) -> Result<Tensor>,
    ) -> Result<()> {
        if !self.wants(case) {
            return Ok(());
        }
        let variables = arguments
            .iter()
            .map(|&dims| Var::randn(0f32, 1f32, dims, &Device::Cpu))
            .collect::<Result<Vec<_>>>()?;
        let inputs: Vec<Tensor> = variables.iter().map(|x| x.as_tensor().clone()).collect();
        self.measure(case, || {
            let start = Instant::now();
            let ys = run(&inputs)?;
            let forward = start.elapsed();
            let _gradients = backward(&ys)?;
            drop(ys);
            let backward = Some(start.elapsed() - forward);
            Ok(Timed { forward, backward })
        })
    }

    /// Repeats `run`, which times itself, and prints its medians.
    pub(crate) fn measure(
        &mut self,
        case: &Case<'_>,
        mut run: impl FnMut() -> Result<Timed>,
    ) -> Result<()> {
        for _ in 0..WARM_UP {
            run()?;
        }
        let began = Instant::now();
        let (mut forward, mut backward) = (Vec::new(), Vec::new());
        while forward.len() < AT_LEAST
            || (forward.len() < AT_MOST && began.elapsed() < self.at_most)
        {
            let timed = run()?;
            forward.push(timed.forward.as_secs_f64());
            backward.extend(timed.backward.map(|time| time.as_secs_f64()));
        }
        let backward = (!backward.is_empty()).then(|| median(backward));
        let row = Row::new(case, median(forward), backward, self.peak);
        match self.format {
            Format::Table => println!("{row}"),
            Format::Json => println!("{}", serde_json::json!(row)),
        }
        Ok(())
    }
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
