//! What is printed about an operation.

use std::fmt;

use serde::Serialize;

/// An operation, and what a run of it has to do, whoever computes it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Case<'a> {
    pub(crate) op: &'a str,
    pub(crate) shape: &'a str,
    pub(crate) work: Work,
    /// How many images a run handles, where that is of interest.
    pub(crate) images: Option<usize>,
}

/// The amount of work, forward and backward.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Work {
    /// Floating-point operations, a multiplication and an addition being two.
    Flops([f64; 2]),
    /// Bytes that have to be read or written once.
    Bytes([f64; 2]),
}

impl Work {
    /// Products: the gradients of both factors take twice as much as the product.
    pub(crate) fn product(flops: usize) -> Self {
        let forward = flops as f64;
        Self::Flops([forward, 2. * forward])
    }

    /// So many numbers of 4 bytes.
    pub(crate) fn numbers(forward: usize, backward: usize) -> Self {
        Self::Bytes([forward, backward].map(|numbers| (size_of::<f32>() * numbers) as f64))
    }
}

/// A row of the table, and a line of JSON. What there is not is null.
#[derive(Serialize)]
pub(crate) struct Row<'a> {
    op: &'a str,
    shape: &'a str,
    forward_ms: f64,
    backward_ms: Option<f64>,
    /// Per second, in the unit's terms.
    forward_rate: f64,
    backward_rate: Option<f64>,
    unit: &'static str,
    /// In per cent.
    forward_of_peak: Option<f64>,
    backward_of_peak: Option<f64>,
    images_per_s: Option<f64>,
    peak_gflops: f64,
}

impl<'a> Row<'a> {
    /// From seconds, and from the operations per second that the processor can do.
    pub(crate) fn new(case: &Case<'a>, forward: f64, backward: Option<f64>, peak: f64) -> Self {
        let (unit, amounts, peak_of_unit) = match case.work {
            Work::Flops(amounts) => ("GFLOP/s", amounts, Some(peak / 1e9)),
            Work::Bytes(amounts) => ("GB/s", amounts, None),
        };
        let forward_rate = amounts[0] / forward / 1e9;
        let backward_rate = backward.map(|seconds| amounts[1] / seconds / 1e9);
        let of_peak = |rate: f64| peak_of_unit.map(|peak| 100. * rate / peak);
        Self {
            op: case.op,
            shape: case.shape,
            forward_ms: 1e3 * forward,
            backward_ms: backward.map(|seconds| 1e3 * seconds),
            forward_rate,
            backward_rate,
            unit,
            forward_of_peak: of_peak(forward_rate),
            backward_of_peak: backward_rate.and_then(of_peak),
            images_per_s: case
                .images
                .map(|n| n as f64 / (forward + backward.unwrap_or(0.))),
            peak_gflops: peak / 1e9,
        }
    }
}

/// The names of the columns.
pub(crate) fn header() -> String {
    let numbers = ["fwd ms", "bwd ms", "fwd", "bwd"].map(str::to_owned);
    columns("operation", "shape", &numbers, "", ["fwd %", "bwd %"])
}

impl fmt::Display for Row<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = |x: Option<f64>, digits: usize| match x {
            Some(x) => format!("{x:.digits$}"),
            None => "–".into(),
        };
        let numbers = [
            number(Some(self.forward_ms), 3),
            number(self.backward_ms, 3),
            number(Some(self.forward_rate), 1),
            number(self.backward_rate, 1),
        ];
        let of_peak = [self.forward_of_peak, self.backward_of_peak].map(|x| number(x, 0));
        let [forward, backward] = &of_peak;
        let line = columns(
            self.op,
            self.shape,
            &numbers,
            self.unit,
            [forward, backward],
        );
        f.write_str(&line)?;
        match self.images_per_s {
            Some(images) => write!(f, "  {images:.2} images/s"),
            None => Ok(()),
        }
    }
}

fn columns(op: &str, shape: &str, numbers: &[String; 4], unit: &str, of_peak: [&str; 2]) -> String {
    let [a, b, c, d] = numbers;
    let [forward, backward] = of_peak;
    format!("{op:<30} {shape:<25} {a:>8} {b:>8} {c:>7} {d:>7} {unit:<7} {forward:>5} {backward:>5}")
}
