//! What the examples share; each takes a part of it.

pub(crate) mod device;
pub(crate) mod folders;
pub(crate) mod network;
mod results;
pub(crate) mod run;
pub(crate) mod settings;
pub(crate) mod task;

/// Shows what the libraries warn of, and with `RUST_LOG` more or less.
pub(crate) fn show_warnings() {
    let environment = env_logger::Env::default().default_filter_or("warn");
    env_logger::Builder::from_env(environment)
        .format_timestamp(None)
        .init();
}
