use std::ffi::OsString;
#[cfg(feature = "hub")]
use std::path::Path;
use std::path::PathBuf;

use super::Hub;

impl Hub {
    /// From variables that are set and not empty, and the user's folder.
    pub(super) fn of_variables(
        variable: impl Fn(&str) -> Option<OsString>,
        user: Option<PathBuf>,
    ) -> Self {
        let path = |name: &str| {
            let path = PathBuf::from(variable(name)?);
            // As Python's `expanduser`, where no shell has done it.
            match (path.strip_prefix("~"), &user) {
                (Ok(inside), Some(user)) => Some(user.join(inside)),
                _ => Some(path),
            }
        };
        let text = |name: &str| variable(name)?.into_string().ok();
        let home = path("HF_HOME").unwrap_or_else(|| {
            let caches = path("XDG_CACHE_HOME");
            let caches = caches.or_else(|| Some(user.as_ref()?.join(".cache")));
            caches.unwrap_or_default().join("huggingface")
        });
        let offline = text("HF_HUB_OFFLINE").is_some_and(|value| {
            matches!(value.to_uppercase().as_str(), "1" | "ON" | "YES" | "TRUE")
        });
        let cache = path("HF_HUB_CACHE").or_else(|| path("HUGGINGFACE_HUB_CACHE"));
        let mut hub = Self::new(cache.unwrap_or_else(|| home.join("hub")));
        hub.offline = offline;
        #[cfg(feature = "hub")]
        {
            hub.token = token(text, path, &home);
        }
        match text("HF_ENDPOINT") {
            Some(endpoint) => hub.with_endpoint(endpoint),
            None => hub,
        }
    }
}

/// From the environment, or else from a file.
#[cfg(feature = "hub")]
fn token(
    text: impl Fn(&str) -> Option<String>,
    path: impl Fn(&str) -> Option<PathBuf>,
    home: &Path,
) -> Option<String> {
    let token = text("HF_TOKEN").or_else(|| {
        let file = path("HF_TOKEN_PATH").unwrap_or_else(|| home.join("token"));
        std::fs::read_to_string(file).ok()
    });
    let token = token?.trim().to_owned();
    (!token.is_empty()).then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::ENDPOINT;

    fn hub(variables: &[(&str, &str)]) -> Hub {
        let variable = |name: &str| {
            let mut set = variables.iter();
            set.find(|(key, _)| *key == name)
                .map(|(_, value)| OsString::from(value))
        };
        Hub::of_variables(variable, Some("/user".into()))
    }

    #[test]
    fn the_cache_is_where_huggingface_hub_has_it() {
        for (variables, cache) in [
            (&[][..], "/user/.cache/huggingface/hub"),
            (&[("XDG_CACHE_HOME", "/x")], "/x/huggingface/hub"),
            (&[("HF_HOME", "/h"), ("XDG_CACHE_HOME", "/x")], "/h/hub"),
            (&[("HF_HOME", "/h"), ("HF_HUB_CACHE", "/c")], "/c"),
            (&[("HF_HOME", "~/h")], "/user/h/hub"),
            (
                &[("HF_HOME", "/h"), ("HUGGINGFACE_HUB_CACHE", "~/c")],
                "/user/c",
            ),
        ] {
            assert_eq!(hub(variables).cache, PathBuf::from(cache), "{variables:?}");
        }
    }

    #[test]
    fn endpoint_and_offline() {
        let default = hub(&[]);
        assert_eq!(
            (default.endpoint.as_str(), default.offline),
            (ENDPOINT, false)
        );
        let other = hub(&[
            ("HF_ENDPOINT", "http://mirror/"),
            ("HF_HUB_OFFLINE", "true"),
        ]);
        assert_eq!(
            (other.endpoint.as_str(), other.offline),
            ("http://mirror", true)
        );
        assert!(!hub(&[("HF_HUB_OFFLINE", "0")]).offline);
    }

    #[cfg(feature = "hub")]
    #[test]
    fn a_token_is_read_and_not_shown() {
        let hub = hub(&[("HF_TOKEN", "hf_secret")]);
        assert_eq!(hub.token.as_deref(), Some("hf_secret"));
        assert!(!format!("{hub:?}").contains("secret"));
    }
}
