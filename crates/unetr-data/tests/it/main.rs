//! Integration tests, in one binary.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, unreachable_pub)]

mod cache;
mod class_map;
mod class_names;
mod coco;
mod colour_transforms;
mod csv_list;
mod decode;
#[cfg(feature = "download")]
mod download;
mod fixtures;
mod folder;
mod geometric_transforms;
mod loader;
mod numpy_rng;
mod oxford_pets;
mod split;
mod transforms;
mod unbreakable;
mod verify;
mod voc;
