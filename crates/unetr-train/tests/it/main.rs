//! Integration tests of `unetr-train`.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, unreachable_pub)]

mod checkpoints;
mod golden;
mod history;
mod losses;
mod lr_finder;
mod optimizer_config;
mod optimizers;
mod report;
mod schedule;
mod tensorboard;
mod trainer;
mod training;

fn fixture(name: &str) -> String {
    format!("{}/../../tests/fixtures/{name}", env!("CARGO_MANIFEST_DIR"))
}
