//! Runs an operation until its median is known, and prints a row about it.

use std::time::{Duration, Instant};

use candle_core::{Device, Result, Tensor, Var};
use serde::Serialize;
use unetr::ops::backward;

const WARM_UP: usize = 2;
const AT_LEAST: usize = 5;
const AT_MOST: usize = 2000;

/// What a run has to do, whoever computes it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Work {
    /// Floating-point operations, a multiplication and an addition being two.
    Flops { forward: f64, backward: f64 },
    /// Bytes that are read or written once.
    Bytes { forward: f64, backward: f64 },
}

impl Work {
    /// Products: the gradients of both factors take twice as much as the product.
    pub(crate) fn product(flops: usize) -> Self {
        let forward = flops as f64;
        let backward = 2. * forward;
        Self::Flops { forward, backward }
    }

    /// So many numbers of 4 bytes.
    pub(crate) fn numbers(forward: usize, backward: usize) -> Self {
        let bytes = |numbers| (size_of::<f32>() * numbers) as f64;
        Self::Bytes {
            forward: bytes(forward),
            backward: bytes(backward),
        }
    }
}

/// How long the halves of a run took; what has no backward half has the time 0 there.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timed {
    pub(crate) forward: Duration,
    pub(crate) backward: Duration,
}

/// What is measured, and how it is printed.
#[derive(Debug)]
pub(crate) struct Suite {
    filter: String,
    seconds: f64,
    peak: f64,
    json: bool,
    rows: usize,
}

/// A line of JSON.
#[derive(Serialize)]
struct Row<'a> {
    op: &'a str,
    shape: &'a str,
    forward_ms: f64,
    backward_ms: f64,
    forward_rate: f64,
    backward_rate: f64,
    unit: &'static str,
    forward_of_peak: Option<f64>,
    backward_of_peak: Option<f64>,
    images_per_s: Option<f64>,
    peak_gflops: f64,
}

impl Suite {
    pub(crate) fn new(filter: String, seconds: f64, peak: f64, json: bool) -> Self {
        Self {
            filter,
            seconds,
            peak,
            json,
            rows: 0,
        }
    }

    pub(crate) fn wants(&self, op: &str, shape: &str) -> bool {
        format!("{op} {shape}").contains(&self.filter)
    }

    /// Measures `op` on variables of the given shapes: all of them get gradients, and the output's
    /// is made of ones. Freeing the graph belongs to the backward pass.
    pub(crate) fn differentiable(
        &mut self,
        op: &str,
        shape: &str,
        work: Work,
        arguments: &[&[usize]],
        run: impl Fn(&[Tensor]) -> Result<Tensor>,
    ) -> Result<()> {
        if !self.wants(op, shape) {
            return Ok(());
        }
        let variables = arguments
            .iter()
            .map(|&dims| Var::randn(0f32, 1f32, dims, &Device::Cpu))
            .collect::<Result<Vec<_>>>()?;
        let inputs: Vec<Tensor> = variables.iter().map(|x| x.as_tensor().clone()).collect();
        self.measure(op, shape, work, None, || {
            let start = Instant::now();
            let ys = run(&inputs)?;
            let forward = start.elapsed();
            let gradients = backward(&ys)?;
            drop(ys);
            let backward = start.elapsed() - forward;
            drop(gradients);
            Ok(Timed { forward, backward })
        })
    }

    /// Repeats `run`, which times itself, and prints its medians; `images` of a run give a throughput.
    pub(crate) fn measure(
        &mut self,
        op: &str,
        shape: &str,
        work: Work,
        images: Option<usize>,
        mut run: impl FnMut() -> Result<Timed>,
    ) -> Result<()> {
        for _ in 0..WARM_UP {
            run()?;
        }
        let began = Instant::now();
        let mut times = Vec::new();
        while times.len() < AT_LEAST
            || (times.len() < AT_MOST && began.elapsed().as_secs_f64() < self.seconds)
        {
            times.push(run()?);
        }
        let median = |half: fn(&Timed) -> Duration| {
            let mut all: Vec<Duration> = times.iter().map(half).collect();
            all.sort();
            all[all.len() / 2].as_secs_f64()
        };
        self.print(
            (op, shape),
            work,
            images,
            [median(|t| t.forward), median(|t| t.backward)],
        );
        Ok(())
    }

    fn print(
        &mut self,
        (op, shape): (&str, &str),
        work: Work,
        images: Option<usize>,
        [forward, backward]: [f64; 2],
    ) {
        let rate = |amount: f64, seconds: f64| if seconds > 0. { amount / seconds } else { 0. };
        let (unit, rates, of_peak) = match work {
            Work::Flops {
                forward: f,
                backward: b,
            } => {
                let rates = [rate(f, forward), rate(b, backward)];
                ("GFLOP/s", rates, rates.map(|r| Some(100. * r / self.peak)))
            }
            Work::Bytes {
                forward: f,
                backward: b,
            } => ("GB/s", [rate(f, forward), rate(b, backward)], [None, None]),
        };
        let row = Row {
            op,
            shape,
            forward_ms: 1e3 * forward,
            backward_ms: 1e3 * backward,
            forward_rate: rates[0] / 1e9,
            backward_rate: rates[1] / 1e9,
            unit,
            forward_of_peak: of_peak[0],
            backward_of_peak: of_peak[1],
            images_per_s: images.map(|n| n as f64 / (forward + backward)),
            peak_gflops: self.peak / 1e9,
        };
        if self.json {
            println!("{}", serde_json::json!(row));
            return;
        }
        if self.rows == 0 {
            println!(
                "{:<28} {:<26} {:>9} {:>9} {:>9} {:>9} {:<8} {:>6} {:>6}",
                "operation", "shape", "fwd ms", "bwd ms", "fwd", "bwd", "", "fwd %", "bwd %"
            );
        }
        self.rows += 1;
        println!("{row}");
    }
}

impl std::fmt::Display for Row<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // A half that does not exist took no time.
        let number = |x: f64, digits: usize| match x {
            0. => "–".into(),
            x => format!("{x:.digits$}"),
        };
        let percent = |x: Option<f64>| number(x.unwrap_or(0.), 0);
        write!(
            f,
            "{:<28} {:<26} {:>9} {:>9} {:>9} {:>9} {:<8} {:>6} {:>6}",
            self.op,
            self.shape,
            number(self.forward_ms, 3),
            number(self.backward_ms, 3),
            number(self.forward_rate, 1),
            number(self.backward_rate, 1),
            self.unit,
            percent(self.forward_of_peak),
            percent(self.backward_of_peak),
        )?;
        match self.images_per_s {
            Some(images) => write!(f, "  {images:.2} images/s"),
            None => Ok(()),
        }
    }
}
