use anyhow::Result;
use serde::Serialize;

use crate::pipeline::PipelineLine;
use crate::time::Seconds;

/// What is printed: the same for every bench, and then the bench's own.
#[derive(Serialize)]
pub(crate) struct Line<'a, C> {
    pub(crate) bench: &'static str,
    #[serde(flatten)]
    pub(crate) seconds: Seconds,
    pub(crate) images_per_s: f64,
    /// From the start of the program to the end of the first step.
    pub(crate) first_call_s: Option<f64>,
    pub(crate) peak_rss_mb: u64,
    /// Of a GPU: what tensors were in, and what was held for that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) peak_device_mb: Option<[f64; 2]>,
    pub(crate) versions: Versions,
    pub(crate) params: Option<usize>,
    pub(crate) loss_first: Option<f32>,
    pub(crate) loss_last: Option<f32>,
    #[serde(flatten)]
    pub(crate) case: &'a C,
    #[serde(flatten)]
    pub(crate) pipeline: Option<PipelineLine>,
}

#[derive(Serialize)]
pub(crate) struct Versions {
    unetr: &'static str,
}

pub(crate) const VERSIONS: Versions = Versions {
    unetr: env!("CARGO_PKG_VERSION"),
};

impl<C: Serialize> Line<'_, C> {
    pub(crate) fn print(&self) -> Result<()> {
        println!("{}", serde_json::to_string(self)?);
        Ok(())
    }
}
