//! Integration tests of `unetr-train`.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, unreachable_pub)]

mod checkpoints;
mod drills;
mod evaluate;
mod gallery;
mod golden;
mod history;
mod killed;
mod loss_config;
mod losses;
mod losses_of_peers;
mod lr_finder;
mod muon;
mod optimizer_config;
mod optimizers;
mod page;
mod recipe;
mod report;
mod run_folder;
mod schedule;
mod tensorboard;
mod trainer;
mod training;
mod updates;

fn fixture(name: &str) -> String {
    format!("{}/../../tests/fixtures/{name}", env!("CARGO_MANIFEST_DIR"))
}
