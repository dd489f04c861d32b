use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use md5::{Digest, Md5};
use ureq::Agent;

use super::{ArchiveSource, DownloadConfig, DownloadEvent};
use crate::{Error, Result};

const BUFFER: usize = 128 << 10;

/// Why a connection brought no whole archive.
enum Failure {
    /// Another connection may bring the rest.
    Transient(Error),
    /// This URL will never bring it.
    Permanent(Error),
    /// No URL can help: the disk can't be written.
    Fatal(Error),
}

/// The verified archive of `source` in `root`, fetched if it isn't there.
pub(super) fn fetch(
    root: &Path,
    source: &ArchiveSource,
    cfg: &DownloadConfig,
    progress: &mut dyn FnMut(DownloadEvent<'_>),
) -> Result<PathBuf> {
    let archive = root.join(&source.file);
    if archive.exists() {
        verify(&archive, source, progress)?;
        return Ok(archive);
    }
    let part = root.join(format!("{}.part", source.file));
    let agent = agent(cfg);
    let mut urls: Vec<_> = source.urls.iter().collect();
    let mut last_error = Error::Http {
        url: source.file.clone(),
        problem: "there is no URL to fetch it from".into(),
    };
    for attempt in 0..cfg.attempts.get() {
        if urls.is_empty() {
            break;
        }
        if attempt > 0 {
            let pause = cfg.backoff(attempt);
            let problem = last_error.to_string();
            log::warn!("{problem}; next attempt in {pause:?}");
            progress(DownloadEvent::Retrying {
                file: &source.file,
                problem: &problem,
                pause,
            });
            thread::sleep(pause);
        }
        let turn = attempt as usize % urls.len();
        let received = receive(&agent, urls[turn], &part, source, progress)
            .and_then(|resumed_at| accept(&part, source, resumed_at, progress));
        match received {
            Ok(()) => {
                fs::rename(&part, &archive).map_err(Error::io(&archive))?;
                return Ok(archive);
            }
            Err(Failure::Transient(error)) => last_error = error,
            Err(Failure::Permanent(error)) => {
                urls.remove(turn);
                last_error = error;
            }
            Err(Failure::Fatal(error)) => return Err(error),
        }
    }
    Err(last_error)
}

fn agent(cfg: &DownloadConfig) -> Agent {
    let timeout = Some(Duration::from_secs(cfg.timeout_secs.get().into()));
    Agent::config_builder()
        .http_status_as_error(false)
        .user_agent(concat!("unetr-data/", env!("CARGO_PKG_VERSION")))
        // The length is that of what is written, whatever features of ureq other crates turn on.
        .accept_encoding("identity")
        .timeout_connect(timeout)
        .timeout_recv_response(timeout)
        .timeout_per_read(timeout)
        .build()
        .new_agent()
}

/// Appends to `part` what is missing of the archive and returns where it went on.
fn receive(
    agent: &Agent,
    url: &str,
    part: &Path,
    source: &ArchiveSource,
    progress: &mut dyn FnMut(DownloadEvent<'_>),
) -> Result<u64, Failure> {
    let http = |problem: String| Error::Http {
        url: url.into(),
        problem,
    };
    let disk = |e: io::Error| Failure::Fatal(Error::io(part)(e));
    let kept = part.metadata().map_or(0, |meta| meta.len());
    if kept == source.size {
        return Ok(kept);
    }
    let kept = if kept > source.size { 0 } else { kept };

    let mut request = agent.get(url);
    if kept > 0 {
        request = request.header("Range", format!("bytes={kept}-"));
    }
    let response = request
        .call()
        .map_err(|e| Failure::Transient(http(e.to_string())))?;
    let start = match response.status().as_u16() {
        // A server that knows no ranges sends the whole file.
        200 => 0,
        206 if resumes_at(&response, kept) => kept,
        206 | 416 => {
            fs::remove_file(part).map_err(disk)?;
            return Err(Failure::Transient(http(
                "it cannot resume; starting over".into(),
            )));
        }
        status @ (408 | 429 | 500..) => {
            return Err(Failure::Transient(http(format!("status {status}"))));
        }
        status => {
            return Err(Failure::Permanent(http(format!(
                "status {status}, expected 200"
            ))));
        }
    };
    let mut body = response.into_body();
    let wrong_size = |found: u64| {
        Failure::Permanent(http(format!(
            "it sends {found} bytes, expected {}",
            source.size
        )))
    };
    if let Some(length) = body
        .content_length()
        .filter(|length| start + length != source.size)
    {
        return Err(wrong_size(start + length));
    }

    let mut file = OpenOptions::new()
        .create(true)
        .append(start > 0)
        .write(true)
        .truncate(start == 0)
        .open(part)
        .map_err(disk)?;
    let mut reader = body.as_reader();
    let mut buffer = vec![0; BUFFER];
    let mut received = start;
    while received <= source.size {
        let count = reader.read(&mut buffer).map_err(|e| {
            let place = format!("broke after {received} of {} bytes: {e}", source.size);
            Failure::Transient(http(place))
        })?;
        if count == 0 {
            break;
        }
        file.write_all(&buffer[..count]).map_err(disk)?;
        received += count as u64;
        progress(DownloadEvent::Receiving {
            file: &source.file,
            received,
            total: source.size,
        });
    }
    file.sync_all().map_err(disk)?;
    match received {
        _ if received > source.size => Err(wrong_size(received)),
        _ if received < source.size => {
            let problem = format!("ended after {received} of {} bytes", source.size);
            Err(Failure::Transient(http(problem)))
        }
        _ => Ok(start),
    }
}

fn resumes_at(response: &ureq::http::Response<ureq::Body>, start: u64) -> bool {
    let range = response
        .headers()
        .get("content-range")
        .and_then(|value| value.to_str().ok());
    range.is_some_and(|range| range.starts_with(&format!("bytes {start}-")))
}

/// Verifies a received archive; a wrong one is removed, and fetched again from the same URL only
/// if it was pieced together.
fn accept(
    part: &Path,
    source: &ArchiveSource,
    resumed_at: u64,
    progress: &mut dyn FnMut(DownloadEvent<'_>),
) -> Result<(), Failure> {
    let Err(error) = verify(part, source, progress) else {
        return Ok(());
    };
    fs::remove_file(part).map_err(|e| Failure::Fatal(Error::io(part)(e)))?;
    Err(if resumed_at > 0 {
        Failure::Transient(error)
    } else {
        Failure::Permanent(error)
    })
}

/// Compares a file's size and MD5 with what they should be.
fn verify(
    path: &Path,
    source: &ArchiveSource,
    progress: &mut dyn FnMut(DownloadEvent<'_>),
) -> Result<()> {
    progress(DownloadEvent::Verifying { file: &source.file });
    let wrong = |found, expected| Error::Checksum {
        path: path.into(),
        found,
        expected,
    };
    let mut file = File::open(path).map_err(Error::io(path))?;
    let size = file.metadata().map_err(Error::io(path))?.len();
    if size != source.size {
        return Err(wrong(format!("{size} bytes"), source.size.to_string()));
    }
    let mut hasher = Md5::new();
    io::copy(&mut file, &mut hasher).map_err(Error::io(path))?;
    let found: String = hasher
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    if !found.eq_ignore_ascii_case(&source.md5) {
        return Err(wrong(format!("MD5 {found}"), source.md5.clone()));
    }
    Ok(())
}
