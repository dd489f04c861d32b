#[cfg(feature = "hub")]
use std::fmt::Display;
use std::io;
#[cfg(feature = "hub")]
use std::path::Path;
use std::path::PathBuf;

/// Why a file was not downloaded, and what to do.
#[derive(Debug, thiserror::Error)]
#[cfg_attr(
    not(feature = "hub"),
    allow(dead_code, reason = "nothing is downloaded then")
)]
pub(super) enum Failure {
    #[error(
        "nothing is downloaded while the hub is offline; unset `HF_HUB_OFFLINE`, or do without `Hub::offline`"
    )]
    Offline,
    #[cfg(not(feature = "hub"))]
    #[error("nothing is downloaded without the feature `hub` of unetr-model; turn it on")]
    FeatureOff,
    #[error("no file was asked for")]
    Empty,
    #[error(
        "the hub's address {endpoint} is neither https nor http on this machine; set `HF_ENDPOINT` to one that is, or \
         unset it"
    )]
    Endpoint { endpoint: String },
    #[error(
        "{url} gave status {status}; check the name, the revision and that the repository has the file, or set \
         `HF_TOKEN` if it is private"
    )]
    Status { url: String, status: u16 },
    #[error("{url} was not answered as by the hub ({reason}); check `HF_ENDPOINT`")]
    Answer { url: String, reason: String },
    #[error("{url} could not be downloaded ({reason}); try again")]
    Lost { url: String, reason: String },
    #[error("{} could not be written ({error}); mend that or set `HF_HUB_CACHE`", .path.display())]
    Disk { path: PathBuf, error: io::Error },
}

#[cfg(feature = "hub")]
impl Failure {
    pub(super) fn answer(url: &str, reason: impl Display) -> Self {
        Self::Answer {
            url: url.to_owned(),
            reason: reason.to_string(),
        }
    }

    pub(super) fn lost(url: &str, reason: impl Display) -> Self {
        Self::Lost {
            url: url.to_owned(),
            reason: reason.to_string(),
        }
    }

    pub(super) fn disk(path: &Path) -> impl Fn(io::Error) -> Self {
        move |error| Self::Disk {
            path: path.to_owned(),
            error,
        }
    }
}
