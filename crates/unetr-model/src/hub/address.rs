//! Which addresses are asked, and which of them are told the token.

use ureq::http::Uri;

/// The address of the hub.
#[derive(Debug)]
pub(super) struct Endpoint(Uri);

impl Endpoint {
    /// An address by https, or by http on this machine: what goes by http elsewhere can be read and changed on its way.
    pub(super) fn parse(address: &str) -> Option<Self> {
        let uri = address.parse().ok()?;
        (is_https(&uri) || is_local(&uri)).then_some(Self(uri))
    }

    /// Whether this is an address of the hub itself, by scheme, host and port. No other is told the token.
    pub(super) fn serves(&self, uri: &Uri) -> bool {
        origin(&self.0).is_some_and(|hub| Some(hub) == origin(uri))
    }

    /// Where a redirect leads, if that may be asked: a hub elsewhere cannot send anyone to this machine.
    pub(super) fn redirect(&self, from: &Uri, location: &str) -> Option<Uri> {
        let to = join(from, location)?;
        (is_https(&to) || (is_local(&self.0) && is_local(&to))).then_some(to)
    }
}

fn is_https(uri: &Uri) -> bool {
    uri.scheme_str() == Some("https") && uri.host().is_some()
}

/// By http, on this machine.
pub(super) fn is_local(uri: &Uri) -> bool {
    let is_name = |host: &str| ["localhost", "127.0.0.1", "[::1]"].contains(&host);
    let host = uri.host().map(str::to_ascii_lowercase);
    uri.scheme_str() == Some("http") && host.is_some_and(|host| is_name(&host))
}

fn origin(uri: &Uri) -> Option<(&str, String, u16)> {
    let scheme = uri.scheme_str()?;
    let usual = if scheme == "https" { 443 } else { 80 };
    let port = uri.port_u16().unwrap_or(usual);
    Some((scheme, uri.host()?.to_ascii_lowercase(), port))
}

/// A `Location` as an address of its own. Source: RFC 3986, section 5.2, but for dots in paths, which are left to the
/// server.
fn join(from: &Uri, location: &str) -> Option<Uri> {
    if location.is_empty() {
        return None;
    }
    let (scheme, authority) = (from.scheme_str()?, from.authority()?);
    let mut parts = location.split(['/', '?', '#']);
    let has_scheme = parts.next().is_some_and(|first| first.contains(':'));
    let address = if has_scheme {
        location.to_owned()
    } else if location.starts_with("//") {
        format!("{scheme}:{location}")
    } else if location.starts_with('/') {
        format!("{scheme}://{authority}{location}")
    } else {
        let folder = from
            .path()
            .rsplit_once('/')
            .map_or("", |(folder, _)| folder);
        format!("{scheme}://{authority}{folder}/{location}")
    };
    address.parse().ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_hub_is_asked_by_https_or_on_this_machine() {
        for address in [
            "https://huggingface.co",
            "HTTPS://mirror:8443/hub",
            "http://localhost",
            "http://LOCALHOST:80",
            "http://127.0.0.1:8080",
            "http://[::1]:8080/hub",
        ] {
            assert!(Endpoint::parse(address).is_some(), "{address}");
        }
        for address in [
            "",
            "huggingface.co",
            "http://huggingface.co",
            "http://127.0.0.1.evil.com",
            "http://localhost@evil.com",
            "http://localhost:80@evil.com",
            "ftp://localhost",
            "file:///etc/passwd",
            "https://",
        ] {
            assert!(Endpoint::parse(address).is_none(), "{address}");
        }
    }

    #[test]
    fn the_hub_is_a_scheme_a_host_and_a_port() {
        let hub = Endpoint::parse("https://hub.co/path").unwrap();
        for (uri, serves) in [
            ("https://hub.co/a/b", true),
            ("https://HUB.co:443/a", true),
            ("https://hub.co:444/a", false),
            ("http://hub.co/a", false),
            ("http://hub.co:443/a", false),
            ("https://cdn.hub.co/a", false),
            ("https://hub.co@evil.com/a", false),
            ("https://hub.co.evil.com/a", false),
        ] {
            assert_eq!(hub.serves(&uri.parse().unwrap()), serves, "{uri}");
        }
    }

    #[test]
    fn where_redirects_lead() {
        let hub = Endpoint::parse("https://hub.co").unwrap();
        let from: Uri = "https://hub.co/a/b/file?x=/y".parse().unwrap();
        let to = |location: &str| hub.redirect(&from, location).map(|uri| uri.to_string());
        for (location, expected) in [
            ("https://cdn.co/f?k=1#part", "https://cdn.co/f?k=1"),
            ("//cdn.co/f", "https://cdn.co/f"),
            (
                "/c/d?from=https://e.co",
                "https://hub.co/c/d?from=https://e.co",
            ),
            ("other", "https://hub.co/a/b/other"),
        ] {
            assert_eq!(to(location).as_deref(), Some(expected), "{location}");
        }
        for location in [
            "http://cdn.co/f",
            "http://127.0.0.1/f",
            "file:///etc/passwd",
            "javascript:1",
            "https://",
            "https://cdn.co/a b",
            "",
        ] {
            assert_eq!(to(location), None, "{location}");
        }
        let local = Endpoint::parse("http://127.0.0.1:1").unwrap();
        let local = |location: &str| local.redirect(&from, location);
        assert!(local("http://localhost:2/f").is_some());
        assert!(local("http://cdn.co/f").is_none());
    }
}
