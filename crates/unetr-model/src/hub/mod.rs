//! Networks and encoders by name: a folder, or a repository of the Hugging Face hub.
//!
//! A repository's files are kept where `huggingface_hub` of Python keeps them and are shared with it. What is in that
//! cache is used without asking the hub, whether the feature `hub` is on or not; only with it is what lacks
//! downloaded. All files are of one commit: the one that the cache knows for the revision, or the newest where it
//! knows none. To follow a branch that has moved, remove the repository's folder from the cache.
//!
//! Source: <https://huggingface.co/docs/huggingface_hub/guides/manage-cache>

#[cfg(feature = "hub")]
mod address;
mod cache;
#[cfg(feature = "hub")]
mod download;
mod environment;
mod failure;
mod id;
#[cfg(feature = "hub")]
mod part;
#[cfg(feature = "hub")]
mod progress;

use std::fmt;
use std::path::{Path, PathBuf};

use candle_core::Device;

use crate::pretrained::{CONFIG, WEIGHTS};
use crate::{EncoderWeights, Error, Parameters, Unetr};
use cache::{RepositoryCache, Snapshot};
use failure::Failure;
use id::Id;

const ENDPOINT: &str = "https://huggingface.co";

/// [`Hub::locate`] with the settings of the environment.
///
/// # Errors
/// As [`Hub::locate`].
pub fn locate(source: &str, required: &[&str], optional: &[&str]) -> Result<PathBuf, Error> {
    Hub::from_env().locate(source, required, optional)
}

/// The Hugging Face hub, and the folder that keeps what was downloaded from it.
///
/// # Examples
/// ```
/// use unetr_model::hub::Hub;
///
/// let folder = std::env::temp_dir();
/// let hub = Hub::new(folder.join("cache")).offline();
/// // A folder is taken as it is.
/// let located = hub.locate(folder.to_str().unwrap(), &["config.json"], &[])?;
/// assert_eq!(located, folder);
/// // Anything else is an id.
/// let error = hub.locate("owner/name@v1", &["config.json"], &[]).unwrap_err();
/// assert!(error.to_string().contains("/owner/name/resolve/v1/config.json"));
/// # Ok::<(), unetr_model::Error>(())
/// ```
#[derive(Clone)]
pub struct Hub {
    endpoint: String,
    cache: PathBuf,
    offline: bool,
    #[cfg(feature = "hub")]
    token: Option<String>,
}

impl Hub {
    /// The hub with this folder as its cache and without a token, whatever the environment says.
    pub fn new(cache: impl Into<PathBuf>) -> Self {
        Self {
            endpoint: ENDPOINT.to_owned(),
            cache: cache.into(),
            offline: false,
            #[cfg(feature = "hub")]
            token: None,
        }
    }

    /// The settings that `huggingface_hub` reads from the environment: the cache is `HF_HUB_CACHE`, or else `hub`
    /// below `HF_HOME`, which is `~/.cache/huggingface` if not set; `HF_ENDPOINT` is the address of another hub, as in
    /// [`with_endpoint`](Self::with_endpoint); with `HF_HUB_OFFLINE=1` nothing is downloaded; `HF_TOKEN`, or the file
    /// that `hf auth login` wrote, opens private repositories. The token is told to that address alone.
    ///
    /// Source: <https://huggingface.co/docs/huggingface_hub/package_reference/environment_variables>
    pub fn from_env() -> Self {
        let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        Self::of_variables(variable, std::env::home_dir())
    }

    /// Another hub's address with the same cache: one by https, or by http on this machine.
    #[must_use]
    pub fn with_endpoint(self, endpoint: impl Into<String>) -> Self {
        let endpoint = endpoint.into().trim_end_matches('/').to_owned();
        Self { endpoint, ..self }
    }

    /// The cache alone: nothing is downloaded.
    #[must_use]
    pub fn offline(self) -> Self {
        Self {
            offline: true,
            ..self
        }
    }

    /// A local folder with the files of `source`, which is a folder that exists or an id of the hub, `owner/name` or
    /// `owner/name@revision`.
    ///
    /// A folder is taken as it is. Of a repository, all `required` files are in the folder afterwards, and those
    /// `optional` ones that the repository has and that could be downloaded. A file has 16 GiB at most. A line on the
    /// terminal shows how far a download is.
    ///
    /// # Errors
    /// When `source` is neither, or when a required file is not in the cache and cannot be downloaded; the error
    /// says what to download by hand.
    pub fn locate(
        &self,
        source: &str,
        required: &[&str],
        optional: &[&str],
    ) -> Result<PathBuf, Error> {
        if Path::new(source).is_dir() {
            return Ok(source.into());
        }
        let id = Id::parse(source).ok_or_else(|| Error::Source {
            name: source.to_owned(),
            files: required.join(" and "),
        })?;
        let cache = RepositoryCache::new(&self.cache, &id);
        let mut snapshot = cache.snapshot();
        for file in required {
            if !snapshot.as_ref().is_some_and(|folder| folder.has(file)) {
                let fetched = self.fetch(&cache, &id, snapshot.as_ref(), file);
                snapshot = Some(fetched.map_err(|failure| self.error(&id, required, &failure))?);
            }
        }
        let Some(snapshot) = snapshot else {
            return Err(self.error(&id, required, &Failure::Empty));
        };
        for file in optional {
            if snapshot.has(file) || snapshot.is_known_to_lack(file) {
                continue;
            }
            match self.fetch(&cache, &id, Some(&snapshot), file) {
                Ok(_) => {}
                Err(Failure::Status { status: 404, .. }) => snapshot.note_lack(file),
                // Without a connection the others would fail too, each after a while.
                Err(_) => break,
            }
        }
        Ok(snapshot.into_path())
    }

    /// [`Unetr::from_pretrained`] with these settings.
    ///
    /// # Errors
    /// As [`locate`](Self::locate) and [`Unetr::load`].
    pub fn load_unetr(&self, source: &str, device: &Device) -> Result<(Unetr, Parameters), Error> {
        Unetr::load(self.locate(source, &[CONFIG, WEIGHTS], &[])?, device)
    }

    /// [`EncoderWeights::from_pretrained`] with these settings.
    ///
    /// # Errors
    /// As [`locate`](Self::locate) and [`EncoderWeights::open`].
    pub fn load_encoder(&self, source: &str) -> Result<EncoderWeights, Error> {
        const PICKLE: &str = "pytorch_model.bin";
        const BESIDE: [&str; 2] = [CONFIG, "preprocessor_config.json"];
        if Path::new(source).is_file() {
            return EncoderWeights::open(source);
        }
        let cache = self.clone().offline();
        let is_cached = |file: &str| cache.locate(source, &[file], &[]).is_ok();
        let folder = match [WEIGHTS, PICKLE].iter().find(|file| is_cached(file)) {
            Some(file) => self.locate(source, &[file], &BESIDE)?,
            None => self.locate(source, &[WEIGHTS], &BESIDE).or_else(|error| {
                // What the first lacked is what most repositories have.
                self.locate(source, &[PICKLE], &BESIDE).map_err(|_| error)
            })?,
        };
        let weights = match folder.join(PICKLE) {
            pickle if pickle.is_file() && !folder.join(WEIGHTS).is_file() => pickle,
            _ => folder.join(WEIGHTS),
        };
        EncoderWeights::open(weights)
    }

    #[cfg_attr(
        not(feature = "hub"),
        allow(unused_variables, reason = "nothing is downloaded then")
    )]
    fn fetch(
        &self,
        cache: &RepositoryCache,
        id: &Id,
        snapshot: Option<&Snapshot>,
        file: &str,
    ) -> Result<Snapshot, Failure> {
        if self.offline {
            return Err(Failure::Offline);
        }
        #[cfg(feature = "hub")]
        return match snapshot {
            // All files are of one commit.
            Some(snapshot) => download::file(self, cache, &id.at(&snapshot.commit), file),
            None => download::file(self, cache, id, file),
        };
        #[cfg(not(feature = "hub"))]
        Err(Failure::FeatureOff)
    }

    fn error(&self, id: &Id, files: &[&str], failure: &Failure) -> Error {
        let urls = match failure {
            // There is none by hand either, or none to be trusted.
            Failure::Status { status: 404, .. } | Failure::Endpoint { .. } => Vec::new(),
            _ => files
                .iter()
                .map(|file| id.url(&self.endpoint, file))
                .collect(),
        };
        Error::Hub {
            id: id.to_string(),
            cache: self.cache.clone(),
            reason: failure.to_string(),
            urls,
        }
    }
}

/// Without the token.
impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub")
            .field("endpoint", &self.endpoint)
            .field("cache", &self.cache)
            .field("offline", &self.offline)
            .finish_non_exhaustive()
    }
}
