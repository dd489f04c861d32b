#![allow(clippy::unwrap_used, clippy::panic, missing_docs, unreachable_pub)]

mod loader;
mod transforms;
