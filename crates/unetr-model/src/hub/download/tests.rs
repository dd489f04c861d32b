//! Hubs that answer as they should not.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, channel};

use tempfile::TempDir;

use super::Hub;
use crate::Error;

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// A server of these answers, one to a connection, and the heads of the requests that it got.
fn serve(answers: Vec<String>) -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let (sender, requests) = channel();
    std::thread::spawn(move || {
        for answer in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let lines = BufReader::new(&stream).lines().map(Result::unwrap);
            let head: Vec<_> = lines.take_while(|line| !line.is_empty()).collect();
            // Before the answer, so that it is there when the download ends.
            sender.send(head.join("\n").to_lowercase()).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    (address, requests)
}

fn answer(status: u16, headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status} Any\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
    )
}

fn of(commit: &str) -> String {
    format!("X-Repo-Commit: {commit}\r\n")
}

fn redirect(location: &str, headers: &str) -> String {
    answer(307, &format!("Location: {location}\r\n{headers}"), "")
}

struct Outcome {
    cache: TempDir,
    located: Result<PathBuf, Error>,
    requests: Vec<String>,
}

impl Outcome {
    fn error(&self) -> String {
        self.located.as_ref().unwrap_err().to_string()
    }
}

/// What comes of a hub with these answers when a file of it is wanted.
fn locate(id: &str, answers: Vec<String>) -> Outcome {
    let cache = tempfile::tempdir().unwrap();
    let (address, requests) = serve(answers);
    let mut hub = Hub::new(cache.path()).with_endpoint(address);
    hub.token = Some("hf_secret".to_owned());
    Outcome {
        located: hub.locate(id, &["config.json"], &[]),
        requests: requests.try_iter().collect(),
        cache,
    }
}

fn has_token(request: &str) -> bool {
    request.contains("authorization: bearer hf_secret")
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let below = |path: PathBuf| {
        if path.is_dir() {
            files(&path)
        } else {
            vec![path]
        }
    };
    paths.flat_map(below).collect()
}

#[test]
fn a_file_lies_where_huggingface_hub_has_it() {
    let outcome = locate("a/b@v1", vec![answer(200, &of(COMMIT), "{}")]);
    let repository = outcome.cache.path().join("models--a--b");
    let folder = repository.join("snapshots").join(COMMIT);
    assert_eq!(outcome.located.unwrap(), folder);
    let (file, reference) = (folder.join("config.json"), repository.join("refs/v1"));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "{}");
    assert_eq!(std::fs::read_to_string(&reference).unwrap(), COMMIT);
    assert_eq!(files(outcome.cache.path()).len(), 2);
    assert!(outcome.requests.iter().all(|request| has_token(request)));
}

#[test]
fn a_commit_needs_no_note() {
    let id = format!("a/b@{COMMIT}");
    let outcome = locate(&id, vec![answer(200, &of(COMMIT), "{}")]);
    assert_eq!(files(&outcome.located.unwrap()).len(), 1);
    assert_eq!(files(outcome.cache.path()).len(), 1);
}

#[test]
fn the_token_is_told_to_the_hub_alone() {
    // Another port is another server.
    let (store, at_store) = serve(vec![answer(200, &of("ignored"), "{}")]);
    let outcome = locate(
        "a/b",
        vec![
            // A repository that was renamed.
            redirect("/c/d/resolve/main/config.json", ""),
            redirect("/api/resolve-cache/config.json", &of(COMMIT)),
            redirect(&format!("{store}/file"), ""),
        ],
    );
    assert!(outcome.located.unwrap().ends_with(COMMIT));
    assert_eq!(outcome.requests.len(), 3);
    assert!(outcome.requests.iter().all(|request| has_token(request)));
    assert!(outcome.requests[1].starts_with("get /c/d/resolve/main/config.json "));
    assert!(!has_token(&at_store.try_recv().unwrap()));
}

#[test]
fn what_names_no_commit_is_not_written() {
    let wrong = ["../../evil", "", &COMMIT[1..], &COMMIT.to_uppercase()];
    for headers in wrong.map(of).iter().chain([&String::new()]) {
        let outcome = locate("a/b", vec![answer(200, headers, "{}")]);
        let message = outcome.error();
        assert!(message.contains("header x-repo-commit"), "{message}");
        assert_eq!(files(outcome.cache.path()), Vec::<PathBuf>::new());
    }
    let other = COMMIT.replace('0', "1");
    let outcome = locate(
        &format!("a/b@{COMMIT}"),
        vec![answer(200, &of(&other), "{}")],
    );
    let message = outcome.error();
    assert!(
        message.contains(&format!("it is of commit {other}")),
        "{message}"
    );
    assert_eq!(files(outcome.cache.path()), Vec::<PathBuf>::new());
}

#[test]
fn what_does_not_come_whole_is_not_kept() {
    let of = of(COMMIT);
    for (headers, body, reason) in [
        ("Content-Length: 10\r\n", "{}", "it broke after 2 bytes"),
        (
            "Transfer-Encoding: chunked\r\n",
            "2\r\n{}\r\n",
            "it broke after 2 bytes",
        ),
        (
            "Content-Length: 17179869185\r\n",
            "{}",
            "17179869184 at most",
        ),
        ("", "{}", "how long the file is"),
    ] {
        let head = format!("HTTP/1.1 200 OK\r\nConnection: close\r\n{of}{headers}");
        let answer = format!("{head}\r\n{body}");
        let outcome = locate("a/b", vec![answer]);
        let message = outcome.error();
        assert!(message.contains(reason), "{message}");
        assert_eq!(files(outcome.cache.path()), Vec::<PathBuf>::new());
    }
}

#[test]
fn redirects_have_bounds() {
    let outcome = locate("a/b", vec![redirect("/again", &of(COMMIT)); 11]);
    let message = outcome.error();
    assert!(message.contains("more than 10 times"), "{message}");
    assert_eq!(outcome.requests.len(), 11);
    for location in ["http://example.com/file", "file:///etc/passwd", "//"] {
        let outcome = locate("a/b", vec![redirect(location, &of(COMMIT))]);
        let message = outcome.error();
        let expected = format!("it redirects to `{location}`, expected an https address");
        assert!(message.contains(&expected), "{message}");
    }
}

#[test]
fn a_hub_by_http_elsewhere_is_not_asked() {
    let cache = tempfile::tempdir().unwrap();
    let hub = Hub::new(cache.path()).with_endpoint("http://example.com");
    let message = hub.locate("a/b", &["f"], &[]).unwrap_err().to_string();
    assert!(
        message.contains("http://example.com is neither https nor http on this machine"),
        "{message}"
    );
}

#[test]
fn a_store_that_lacks_a_file_says_nothing_of_the_repository() {
    let cache = tempfile::tempdir().unwrap();
    let (store, _requests) = serve(vec![answer(404, "", "")]);
    let (address, _requests) = serve(vec![
        answer(200, &of(COMMIT), "{}"),
        redirect(&format!("{store}/file"), &of(COMMIT)),
        answer(404, "", ""),
    ]);
    let hub = Hub::new(cache.path()).with_endpoint(address);
    let notes = cache.path().join("models--a--b/.no_exist");
    hub.locate("a/b", &["one"], &["two"]).unwrap();
    assert!(!notes.exists());
    hub.locate("a/b", &["one"], &["two"]).unwrap();
    assert_eq!(files(&notes).len(), 1);
}
