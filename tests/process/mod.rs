//! The examples as processes.

use std::path::{Path, PathBuf};
use std::process::Command;

/// An example, which lies beside the tests' folder, where `cargo test` without `--test` builds it too.
pub(crate) fn example(name: &str) -> Command {
    let test = std::env::current_exe().unwrap();
    let profile = test.parent().and_then(Path::parent).unwrap();
    let path: PathBuf = profile
        .join("examples")
        .join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    assert!(
        path.exists(),
        "{} is built by `cargo test --workspace` and `cargo build --workspace --examples`",
        path.display()
    );
    Command::new(path)
}

/// What a process has written.
pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
