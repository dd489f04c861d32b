//! Integration tests of `unetr-train`.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, unreachable_pub)]

mod checkpoints;
mod history;
mod report;
mod schedule;

fn fixture(name: &str) -> String {
    format!("{}/../../tests/fixtures/{name}", env!("CARGO_MANIFEST_DIR"))
}
