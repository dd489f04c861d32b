//! UNETR segmentation in Rust.
