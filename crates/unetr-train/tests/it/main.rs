//! Integration tests of `unetr-train`.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, unreachable_pub)]

mod checkpoints;
mod golden;
mod history;
mod loss_config;
mod losses;
mod losses_of_peers;
mod optimizers;
mod report;
mod schedule;
mod trainer;
mod training;

fn fixture(name: &str) -> String {
    format!("{}/../../tests/fixtures/{name}", env!("CARGO_MANIFEST_DIR"))
}
