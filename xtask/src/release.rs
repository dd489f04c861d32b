//! Whether a version can be published.

use std::process::Command;

use crate::{Result, cargo, dependencies, msrv, root, run};

/// Checks that every place names the version, that everything passes, with the oldest Rust too, and that every crate builds
/// from its package, and prints what is left to do.
pub(crate) fn check(version: &str) -> Result<()> {
    for (file, line) in [
        ("Cargo.toml", format!("version = \"{version}\"")),
        ("CITATION.cff", format!("version: {version}")),
        ("CHANGELOG.md", format!("## [{version}]")),
    ] {
        expect_line(file, &line)?;
    }
    expect_no_changes()?;
    run(Command::new(".ci/run"))?;
    msrv()?;
    dependencies()?;
    cargo(&["package", "--workspace", "--exclude", "xtask", "--locked"])?;
    println!(
        "\nEverything passes. What is left:\n\
         \n    git tag -s v{version} -m {version} && git push origin v{version}\
         \n    cargo publish --workspace --exclude xtask --locked\
         \n\nThe checklist in CONTRIBUTING.md says what to look at before and after."
    );
    Ok(())
}

fn expect_line(file: &str, beginning: &str) -> Result<()> {
    let text =
        std::fs::read_to_string(root().join(file)).map_err(|error| format!("{file}: {error}"))?;
    match text.lines().any(|line| line.starts_with(beginning)) {
        true => Ok(()),
        false => Err(format!(
            "{file} has no line that begins with {beginning:?}; add it"
        )),
    }
}

fn expect_no_changes() -> Result<()> {
    let mut git = Command::new("git");
    git.args(["status", "--porcelain"]).current_dir(root());
    let output = git
        .output()
        .map_err(|error| format!("git cannot be run: {error}"))?;
    match output.stdout.is_empty() {
        true => Ok(()),
        false => Err(format!(
            "files are not committed; commit or remove them:\n{}",
            String::from_utf8_lossy(&output.stdout)
        )),
    }
}
