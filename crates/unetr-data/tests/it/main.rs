//! Integration tests, in one binary.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, unreachable_pub)]

mod class_map;
mod decode;
#[cfg(feature = "download")]
mod download;
mod fixtures;
mod folder;
mod loader;
mod numpy_rng;
mod oxford_pets;
mod split;
mod transforms;
