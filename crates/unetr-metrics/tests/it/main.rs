//! Integration tests of `unetr-metrics`.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, unreachable_pub)]

mod errors;
mod golden;
mod metric_set;
mod metric_set_rules;
mod properties;
mod scores;
