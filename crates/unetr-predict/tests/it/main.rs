//! Integration tests of `unetr-predict`.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, unreachable_pub)]

mod output;
mod overlay;
mod pretrained;
mod segmenter;
mod sliding_window;
mod stream;

fn fixture(name: &str) -> String {
    format!("{}/../../tests/fixtures/{name}", env!("CARGO_MANIFEST_DIR"))
}
