use std::fs;

use unetr_data::{ArchiveSource, DownloadConfig, DownloadEvent, Error, download_archive};

use super::archive::{md5, official};
use super::server::{Answer, Server};
use super::{download, listing, quick, source};

const UNPACKED: [&str; 4] = [
    "images/",
    "images/a_1.jpg",
    "images/deeper/",
    "images/deeper/b_1.jpg",
];

#[test]
fn fetches_unpacks_and_does_it_once() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path().join("made/for/it");
    let bytes = official();
    let server = Server::new(bytes.clone(), [Answer::Whole]);
    let source = source(&server.url, &bytes);
    let mut events = Vec::new();
    let mut last_received = 0;
    let mut note = |event: DownloadEvent<'_>| {
        if let DownloadEvent::Receiving {
            received, total, ..
        } = event
        {
            assert!(received > last_received && total == bytes.len() as u64);
            last_received = received;
        }
        let name = format!("{event:?}");
        let name = name.split_whitespace().next().unwrap().to_string();
        if events.last() != Some(&name) {
            events.push(name);
        }
    };
    download_archive(&root, &source, &quick(), &mut note).unwrap();
    assert_eq!(events, ["Receiving", "Verifying", "Unpacking", "Complete"]);
    assert_eq!(last_received, bytes.len() as u64);
    assert_eq!(listing(&root), UNPACKED);
    assert_eq!(fs::read(root.join("images/deeper/b_1.jpg")).unwrap(), b"b");

    download(&root, &source).unwrap();
    assert_eq!(server.requests(), [None]);
}

#[test]
fn a_broken_connection_is_resumed() {
    let root = tempfile::tempdir().unwrap();
    let bytes = official();
    let server = Server::new(
        bytes.clone(),
        [Answer::Cut(40_000), Answer::Cut(10_000), Answer::Whole],
    );
    download(root.path(), &source(&server.url, &bytes)).unwrap();
    assert_eq!(server.requests(), [None, Some(40_000), Some(50_000)]);
    assert_eq!(listing(root.path()), UNPACKED);
}

#[test]
fn a_silent_connection_is_given_up_and_resumed() {
    let root = tempfile::tempdir().unwrap();
    let bytes = official();
    let server = Server::new(bytes.clone(), [Answer::Stall(40_000), Answer::Whole]);
    let cfg = DownloadConfig {
        timeout_secs: 1.try_into().unwrap(),
        ..quick()
    };
    let source = source(&server.url, &bytes);
    let mut problems = Vec::new();
    download_archive(root.path(), &source, &cfg, &mut |event| {
        if let DownloadEvent::Retrying { problem, .. } = event {
            problems.push(problem.to_string());
        }
    })
    .unwrap();
    assert_eq!(server.requests(), [None, Some(40_000)]);
    assert!(problems[0].contains("broke after 40000"), "{problems:?}");
    assert_eq!(listing(root.path()), UNPACKED);
}

#[test]
fn a_later_run_goes_on_where_the_first_gave_up() {
    let root = tempfile::tempdir().unwrap();
    let bytes = official();
    let answers = [
        Answer::Cut(100),
        Answer::Status(503),
        Answer::Status(429),
        Answer::Whole,
    ];
    let server = Server::new(bytes.clone(), answers);
    let source = source(&server.url, &bytes);
    let message = download(root.path(), &source).unwrap_err().to_string();
    assert!(
        message.starts_with(&server.url) && message.contains("429"),
        "{message}"
    );
    assert_eq!(listing(root.path()), ["images.tar.gz.part"]);
    download(root.path(), &source).unwrap();
    assert_eq!(server.requests(), [None, Some(100), Some(100), Some(100)]);
    assert_eq!(listing(root.path()), UNPACKED);
}

#[test]
fn a_server_without_ranges_is_read_from_the_start() {
    for second in [Answer::NoRange, Answer::NoLength] {
        let root = tempfile::tempdir().unwrap();
        let bytes = official();
        let server = Server::new(bytes.clone(), [Answer::Cut(40_000), second]);
        download(root.path(), &source(&server.url, &bytes)).unwrap();
        assert_eq!(server.requests(), [None, Some(40_000)]);
        assert_eq!(listing(root.path()), UNPACKED);
    }
}

#[test]
fn an_unusable_range_starts_over() {
    for second in [Answer::WrongRange, Answer::Status(416)] {
        let root = tempfile::tempdir().unwrap();
        let bytes = official();
        let server = Server::new(bytes.clone(), [Answer::Cut(40_000), second, Answer::Whole]);
        download(root.path(), &source(&server.url, &bytes)).unwrap();
        assert_eq!(server.requests(), [None, Some(40_000), None]);
    }
}

#[test]
fn a_wrong_checksum_leaves_nothing() {
    let root = tempfile::tempdir().unwrap();
    let bytes = official();
    let server = Server::new(bytes.clone(), [Answer::Whole]);
    let source = ArchiveSource {
        md5: md5(b"another"),
        ..source(&server.url, &bytes)
    };
    let error = download(root.path(), &source).unwrap_err();
    let Error::Checksum {
        found, expected, ..
    } = &error
    else {
        panic!("{error}")
    };
    assert_eq!(
        (found, expected),
        (&format!("MD5 {}", md5(&bytes)), &md5(b"another"))
    );
    // Not worth another attempt at the same URL.
    assert_eq!(server.requests(), [None]);
    assert!(listing(root.path()).is_empty());
}

#[test]
fn a_wrong_start_of_an_earlier_run_is_fetched_anew() {
    let root = tempfile::tempdir().unwrap();
    let bytes = official();
    fs::write(root.path().join("images.tar.gz.part"), "something else").unwrap();
    let server = Server::new(bytes.clone(), [Answer::Whole, Answer::Whole]);
    download(root.path(), &source(&server.url, &bytes)).unwrap();
    assert_eq!(server.requests(), [Some(14), None]);
    assert_eq!(listing(root.path()), UNPACKED);
}

#[test]
fn a_wrong_size_is_refused_before_it_is_stored() {
    for answer in [Answer::Whole, Answer::NoLength] {
        let root = tempfile::tempdir().unwrap();
        let bytes = official();
        let server = Server::new(bytes.clone(), [answer]);
        let source = source(&server.url, &bytes[..1_000]);
        let message = download(root.path(), &source).unwrap_err().to_string();
        assert!(message.contains("expected 1000"), "{message}");
        assert!(!root.path().join("images").exists());
    }
}

#[test]
fn the_next_url_is_tried_when_one_fails() {
    let root = tempfile::tempdir().unwrap();
    let bytes = official();
    let gone = Server::new(Vec::new(), [Answer::Status(404)]);
    let mirror = Server::new(bytes.clone(), [Answer::Whole]);
    let mut source = source(&gone.url, &bytes);
    let message = download(root.path(), &source).unwrap_err().to_string();
    assert!(message.contains("status 404"), "{message}");
    assert!(listing(root.path()).is_empty());

    source.urls.push(mirror.url.clone());
    download(root.path(), &source).unwrap();
    assert_eq!((gone.requests().len(), mirror.requests().len()), (2, 1));
    assert_eq!(listing(root.path()), UNPACKED);
}

#[test]
fn an_archive_put_there_by_hand_is_checked_and_used() {
    let root = tempfile::tempdir().unwrap();
    let bytes = official();
    let archive = root.path().join("images.tar.gz");
    let source = source("http://127.0.0.1:9/nobody", &bytes);
    fs::write(&archive, &bytes[1..]).unwrap();
    let error = download(root.path(), &source).unwrap_err();
    assert!(matches!(error, Error::Checksum { .. }), "{error}");
    assert_eq!(listing(root.path()), ["images.tar.gz"]);
    fs::write(&archive, &bytes).unwrap();
    download(root.path(), &source).unwrap();
    assert_eq!(listing(root.path()), UNPACKED);
}

#[test]
fn an_unreachable_server_is_an_error_that_names_it() {
    let root = tempfile::tempdir().unwrap();
    let error = download(root.path(), &source("http://127.0.0.1:1/x", b"archive")).unwrap_err();
    assert!(
        error.to_string().starts_with("http://127.0.0.1:1/x: "),
        "{error}"
    );
}

#[test]
fn names_that_lead_elsewhere_are_refused() {
    let root = tempfile::tempdir().unwrap();
    for name in ["", "..", "a/b", "/etc", "C:\\x"] {
        let error = download(
            root.path(),
            &ArchiveSource {
                folder: name.into(),
                ..source("http://127.0.0.1:1/x", b"archive")
            },
        );
        assert!(matches!(error, Err(Error::Archive { .. })), "{name}");
    }
    assert!(listing(root.path()).is_empty());
}

#[test]
fn the_official_archives_are_known() {
    let [images, annotations] = ArchiveSource::oxford_pets();
    assert_eq!(
        images.urls[0],
        "https://thor.robots.ox.ac.uk/datasets/pets/images.tar.gz"
    );
    assert_eq!(
        annotations.urls[1],
        "https://www.robots.ox.ac.uk/~vgg/data/pets/data/annotations.tar.gz"
    );
    assert_eq!(images.size + annotations.size, 811_092_049);
    let json = serde_json::to_string(&images).unwrap();
    assert_eq!(
        serde_json::from_str::<ArchiveSource>(&json).unwrap(),
        images
    );
}
