//! What maintainers repeat: `cargo xtask` lists it.

mod release;

use std::path::Path;
use std::process::{Command, ExitCode};

type Result<T> = std::result::Result<T, String>;

const HELP: &str = "\
cargo xtask COMMAND

  ci                    everything a change has to pass
  bench [ARGUMENTS]     measures beside PyTorch and JAX, into the tables (benches/peers/compare.py)
  fixtures [NAME…]      makes fixtures again, all or some, with the Python libraries they come from
  gpu-check FILE        bundles what checks and measures a GPU
  fuzz SECONDS [NAME…]  fuzzes every target so long, or some; needs nightly and cargo-fuzz
  dependencies          unused ones, licences, sources and known holes; needs cargo-machete and cargo-deny
  msrv                  checks all but GPUs with the oldest Rust that Cargo.toml allows; needs that, from rustup
  release VERSION       checks that a version can be published, and says how

PYTHON names another Python than python3, such as that of a virtual environment.";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some((command, rest)) = arguments.split_first() else {
        println!("{HELP}");
        return ExitCode::SUCCESS;
    };
    match perform(command, rest) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn perform(command: &str, rest: &[String]) -> Result<()> {
    match (command, rest) {
        ("ci", []) => run(Command::new(".ci/run")),
        ("bench", arguments) => python("benches/peers/compare.py", arguments),
        ("fixtures", names) => fixtures(names),
        ("gpu-check", [file]) => python("scripts/gpu_check.py", &["bundle".into(), file.clone()]),
        ("fuzz", [seconds, names @ ..]) => fuzz(seconds, names),
        ("dependencies", []) => dependencies(),
        ("msrv", []) => msrv(),
        ("release", [version]) => release::check(version),
        _ => Err(HELP.to_owned()),
    }
}

/// The generators lie beside what they write.
fn fixtures(names: &[String]) -> Result<()> {
    for script in files("tests/fixtures", "py")? {
        if chosen(&script, names) {
            python(&format!("tests/fixtures/{script}.py"), &[])?;
        }
    }
    Ok(())
}

fn fuzz(seconds: &str, names: &[String]) -> Result<()> {
    let limit = format!("-max_total_time={seconds}");
    for target in files("fuzz/fuzz_targets", "rs")? {
        if chosen(&target, names) {
            println!("\n== {target}");
            cargo(&["+nightly", "fuzz", "run", &target, "--", &limit])?;
        }
    }
    Ok(())
}

fn dependencies() -> Result<()> {
    cargo(&["machete"])?;
    cargo(&["deny", "--workspace", "check"])
}

/// In a target folder of its own, so that what other compilers made stays.
fn msrv() -> Result<()> {
    let toolchain = concat!("+", env!("CARGO_PKG_RUST_VERSION"));
    let target = "--target-dir=target/msrv";
    cargo(&[toolchain, "check", "--workspace", "--all-targets", target])
}

fn chosen(name: &str, names: &[String]) -> bool {
    names.is_empty() || names.iter().any(|wanted| wanted == name)
}

/// The names, without their ending, of a folder's files that have it.
fn files(folder: &str, ending: &str) -> Result<Vec<String>> {
    let told = |error: std::io::Error| format!("{folder}: {error}");
    let mut names = Vec::new();
    for entry in std::fs::read_dir(root().join(folder)).map_err(told)? {
        let path = entry.map_err(told)?.path();
        if path.extension().is_some_and(|found| found == ending) {
            names.extend(
                path.file_stem()
                    .map(|stem| stem.to_string_lossy().into_owned()),
            );
        }
    }
    names.sort();
    Ok(names)
}

fn root() -> &'static Path {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent()
        .expect("this crate is a folder of the repository")
}

fn python(script: &str, arguments: &[String]) -> Result<()> {
    let mut command = Command::new(std::env::var("PYTHON").unwrap_or_else(|_| "python3".into()));
    command.arg(script).args(arguments);
    run(command)
}

fn cargo(arguments: &[&str]) -> Result<()> {
    // By name: rustup gives `+nightly` its meaning, the cargo that runs this has none.
    let mut command = Command::new("cargo");
    command.args(arguments);
    run(command)
}

/// Runs a command in the repository's root.
fn run(mut command: Command) -> Result<()> {
    let shown = format!("{command:?}");
    match command.current_dir(root()).status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{shown} ended with {status}")),
        Err(error) => Err(format!("{shown} cannot be run: {error}")),
    }
}
