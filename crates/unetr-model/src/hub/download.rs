//! One file of the hub, by its protocol over HTTP.
//!
//! What answers is not trusted. Nothing of an answer becomes a path but a commit, which is 40 digits; the token is told
//! to the hub's own address alone; sizes, waits and redirects have bounds.
//!
//! Source: `file_download.py` of <https://github.com/huggingface/huggingface_hub>

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::time::Duration;

use ureq::http::{Response, Uri};
use ureq::{Agent, Body};

use super::Hub;
use super::address::{Endpoint, is_local};
use super::cache::{RepositoryCache, Snapshot, is_commit};
use super::failure::Failure;
use super::id::Id;
use super::part;
use super::progress::Progress;

const REDIRECTS: usize = 10;
/// For a connection, for an answer to a request, and for each read.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Far more than the weights of any network here.
const MAX_BYTES: u64 = 16 << 30;
const BUFFER: usize = 128 << 10;
const COMMIT: &str = "x-repo-commit";

/// Downloads a file into the cache, notes there the commit of the revision, and returns the files of that commit.
pub(super) fn file(
    hub: &Hub,
    cache: &RepositoryCache,
    id: &Id,
    file: &str,
) -> Result<Snapshot, Failure> {
    let url = id.url(&hub.endpoint, file);
    let (commit, response) = ask(hub, &url)?;
    if is_commit(&id.revision) && commit != id.revision {
        return Err(Failure::answer(&url, format!("it is of commit {commit}")));
    }
    let snapshot = cache.at(commit);
    // `huggingface_hub` writes into `blobs` and links from here. Where it cannot make links it writes plain files here
    // as well, and it reads them everywhere; so nothing has to be named by what the hub says of a file.
    let path = snapshot.file(file);
    part::write(&path, |aside| receive(response, &url, &path, aside))?;
    if snapshot.commit != id.revision {
        cache.note_commit(&snapshot.commit)?;
    }
    Ok(snapshot)
}

/// A file's commit, and the answer that holds the file: the hub's own, or that of the store it redirects to.
fn ask(hub: &Hub, url: &str) -> Result<(String, Response<Body>), Failure> {
    let endpoint = Endpoint::parse(&hub.endpoint).ok_or_else(|| Failure::Endpoint {
        endpoint: hub.endpoint.clone(),
    })?;
    let agent = agent();
    let mut commit = None;
    let mut address = url.parse::<Uri>().map_err(|e| Failure::lost(url, e))?;
    // By hand, since it is to be known at each step who is asked. Before the first answer with a commit there may be
    // others of the hub, where a repository was renamed.
    for _ in 0..=REDIRECTS {
        let is_hub = endpoint.serves(&address);
        let token = hub.token.as_deref().filter(|_| is_hub);
        let response = get(&agent, &address, token).map_err(|e| Failure::lost(url, e))?;
        let is_redirect = match response.status().as_u16() {
            200 => false,
            301 | 302 | 303 | 307 | 308 => true,
            status if is_hub => {
                let url = url.to_owned();
                return Err(Failure::Status { url, status });
            }
            // The hub has the file; its store may have it another time.
            status => {
                let host = address.host().unwrap_or_default();
                return Err(Failure::lost(url, format!("{host} gave status {status}")));
            }
        };
        if is_hub && commit.is_none() {
            commit = commit_of(&response).map_err(|reason| Failure::answer(url, reason))?;
        }
        if is_redirect {
            let location = header(&response, "location").unwrap_or_default();
            address = endpoint.redirect(&address, location).ok_or_else(|| {
                let expected = "expected an https address";
                Failure::answer(
                    url,
                    format!("it redirects to `{location:.200}`, {expected}"),
                )
            })?;
        } else {
            return match commit {
                Some(commit) => Ok((commit, response)),
                None => Err(Failure::answer(url, format!("it has no header {COMMIT}"))),
            };
        }
    }
    let reason = format!("it redirects more than {REDIRECTS} times");
    Err(Failure::answer(url, reason))
}

fn agent() -> Agent {
    Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .user_agent(concat!("unetr-model/", env!("CARGO_PKG_VERSION")))
        // The length is that of what is written, whatever features of ureq other crates turn on.
        .accept_encoding("identity")
        .timeout_connect(Some(TIMEOUT))
        .timeout_recv_response(Some(TIMEOUT))
        .timeout_per_read(Some(TIMEOUT))
        .build()
        .new_agent()
}

fn get(agent: &Agent, address: &Uri, token: Option<&str>) -> Result<Response<Body>, ureq::Error> {
    let mut request = agent.get(address);
    if let Some(token) = token {
        request = request.header("Authorization", format!("Bearer {token}"));
    }
    if is_local(address) {
        // A proxy has another idea of this machine, and would be told the token in the clear.
        request = request.config().proxy(None).build();
    }
    request.call()
}

fn header<'a>(response: &'a Response<Body>, name: &str) -> Option<&'a str> {
    response.headers().get(name)?.to_str().ok()
}

fn commit_of(response: &Response<Body>) -> Result<Option<String>, String> {
    match header(response, COMMIT) {
        Some(commit) if !is_commit(commit) => Err(format!(
            "its header {COMMIT} is `{commit:.80}`, expected 40 lower-case hexadecimal digits"
        )),
        commit => Ok(commit.map(str::to_owned)),
    }
}

/// Writes what an answer holds into a file, which will be at `path`.
fn receive(
    response: Response<Body>,
    url: &str,
    path: &Path,
    file: &mut File,
) -> Result<(), Failure> {
    let says_where_it_ends = ["content-length", "transfer-encoding"]
        .iter()
        .any(|name| response.headers().contains_key(*name));
    if !says_where_it_ends {
        let reason = "it does not say how long the file is";
        return Err(Failure::answer(url, reason));
    }
    let mut body = response.into_body();
    let total = body.content_length();
    let check = |bytes: u64| match bytes {
        ..=MAX_BYTES => Ok(()),
        _ => {
            let reason = format!("it sends {bytes} bytes, expected {MAX_BYTES} at most");
            Err(Failure::answer(url, reason))
        }
    };
    check(total.unwrap_or(0))?;

    let mut progress = Progress::new(path, total);
    let mut reader = body.as_reader();
    let mut buffer = vec![0; BUFFER];
    let mut received = 0;
    loop {
        let count = reader.read(&mut buffer).map_err(|error| {
            Failure::lost(url, format!("it broke after {received} bytes: {error}"))
        })?;
        if count == 0 {
            break;
        }
        received += count as u64;
        check(received)?;
        file.write_all(&buffer[..count])
            .map_err(Failure::disk(path))?;
        progress.show(received);
    }
    match total {
        Some(total) if total != received => {
            let reason = format!("it ended after {received} of {total} bytes");
            Err(Failure::lost(url, reason))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
