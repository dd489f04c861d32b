use std::fs;

use tar::EntryType;
use unetr_data::{DownloadConfig, Error, UnpackLimits, download_archive};

use super::archive::{ArchiveBuilder, gzip, official};
use super::{listing, quick, source};

/// Unpacks an archive that was put in place by hand, and expects to be refused without a trace.
fn refused(bytes: &[u8], cfg: &DownloadConfig) -> String {
    let parent = tempfile::tempdir().unwrap();
    let root = parent.path().join("root");
    fs::create_dir(&root).unwrap();
    fs::write(root.join("images.tar.gz"), bytes).unwrap();
    let error = download_archive(&root, &source("", bytes), cfg, &mut |_| {}).unwrap_err();
    assert!(matches!(error, Error::Archive { .. }), "{error}");
    assert_eq!(
        listing(parent.path()),
        ["root/", "root/images.tar.gz"],
        "{error}"
    );
    error.to_string()
}

#[test]
fn paths_that_lead_out_are_refused() {
    for path in [
        "/tmp/evil",
        "../evil",
        "images/../../evil",
        "images/..",
        "/images/a.jpg",
    ] {
        let bytes = ArchiveBuilder::new()
            .file("images/a.jpg", b"a")
            .file(path, b"evil")
            .gzip();
        let message = refused(&bytes, &quick());
        assert!(
            message.contains(path) && message.contains("leads out"),
            "{message}"
        );
    }
    for path in ["images\\evil", "C:evil"] {
        let bytes = ArchiveBuilder::new()
            .file("images/a.jpg", b"a")
            .file(path, b"evil")
            .gzip();
        assert!(refused(&bytes, &quick()).contains("not a portable name"));
    }
}

#[test]
fn everything_but_files_and_folders_is_refused() {
    for kind in [
        EntryType::Symlink,
        EntryType::Link,
        EntryType::Char,
        EntryType::Block,
        EntryType::Fifo,
        EntryType::GNULongName,
        EntryType::GNULongLink,
        EntryType::GNUSparse,
        EntryType::Continuous,
    ] {
        let bytes = ArchiveBuilder::new()
            .file("images/a.jpg", b"a")
            .entry("images/evil", kind, b"", "/etc/passwd")
            .file("images/evil/b.jpg", b"b")
            .gzip();
        let message = refused(&bytes, &quick());
        assert!(message.contains("neither a file nor a folder"), "{message}");
    }
}

#[test]
fn limits_hold() {
    let bytes = ArchiveBuilder::new()
        .file("images/a.jpg", &[0; 1_000])
        .file("images/b.jpg", &[0; 3_000])
        .file("images/c.jpg", &[0; 1_000])
        .gzip();
    let limited = |limits| refused(&bytes, &DownloadConfig { limits, ..quick() });
    let entries = limited(UnpackLimits {
        entries: 2,
        ..UnpackLimits::default()
    });
    assert!(entries.contains("more than 2 entries"), "{entries}");
    let total = limited(UnpackLimits {
        total_bytes: 4_999,
        ..UnpackLimits::default()
    });
    assert!(total.contains("4999 bytes"), "{total}");
    let file = limited(UnpackLimits {
        file_bytes: 2_999,
        ..UnpackLimits::default()
    });
    assert!(file.contains("`images/b.jpg` has 3000 bytes"), "{file}");
}

#[test]
fn broken_archives_are_refused() {
    let whole = official();
    for cut in [10, whole.len() / 2, whole.len() - 4] {
        assert!(refused(&whole[..cut], &quick()).contains("cannot be read"));
    }
    let mut flipped = whole.clone();
    let end = flipped.len() - 8;
    flipped[end] ^= 1;
    assert!(refused(&flipped, &quick()).contains("cannot be read"));
    assert!(refused(b"no archive at all", &quick()).contains("cannot be read"));
    assert!(refused(&gzip(b""), &quick()).contains("no file in a folder `images`"));
}

#[test]
fn a_folder_of_another_name_is_not_unpacked() {
    let bytes = ArchiveBuilder::new().file("photos/a.jpg", b"a").gzip();
    assert!(refused(&bytes, &quick()).contains("no file in a folder `images`"));
}

#[test]
fn extension_headers_that_name_the_next_file_are_refused() {
    for kind in [EntryType::XHeader, EntryType::XGlobalHeader] {
        for (record, shown) in [
            ("22 path=images/\u{e4}.jpg\n", "`path=images/\u{e4}.jpg`"),
            ("9 size=9\n", "`size=9`"),
            // Behind a value of more than a line.
            (
                "8 a=\n\nb\n23 GNU.sparse.name=a.b\n",
                "`GNU.sparse.name=a.b`",
            ),
        ] {
            let bytes = ArchiveBuilder::new()
                .entry("pax", kind, record.as_bytes(), "")
                .file("images/?.jpg", b"a")
                .gzip();
            let message = refused(&bytes, &quick());
            assert!(message.contains(shown), "{message}");
            assert!(message.contains("--format=ustar"), "{message}");
        }
    }
}

#[test]
fn a_damaged_extension_header_is_refused() {
    for record in [
        "x",
        "999999999999999999999 a=b\n",
        "8 path=a\n",
        "7 a=b\n",
        "5 a=b\n",
    ] {
        let records = [b"6 a=b\n", record.as_bytes()].concat();
        let bytes = ArchiveBuilder::new()
            .entry("pax", EntryType::XHeader, &records, "")
            .file("images/a.jpg", b"a")
            .gzip();
        let message = refused(&bytes, &quick());
        assert!(
            message.contains("an extension header is damaged"),
            "{record:?}: {message}"
        );
    }
}

#[test]
fn other_extension_headers_are_skipped() {
    let root = tempfile::tempdir().unwrap();
    let bytes = ArchiveBuilder::new()
        .entry(
            "pax",
            EntryType::XHeader,
            b"20 mtime=1350244992\n15 xattr=\xFF\n\n\0!\n",
            "",
        )
        .file("images/a.jpg", b"a")
        .gzip();
    fs::write(root.path().join("images.tar.gz"), &bytes).unwrap();
    download_archive(root.path(), &source("", &bytes), &quick(), &mut |_| {}).unwrap();
    assert_eq!(listing(root.path()), ["images/", "images/a.jpg"]);
}

#[test]
fn what_a_crash_left_is_removed() {
    let root = tempfile::tempdir().unwrap();
    let bytes = official();
    let left = root.path().join(".images.unpacking/images");
    fs::create_dir_all(&left).unwrap();
    fs::write(left.join("half.jpg"), "half").unwrap();
    fs::create_dir(root.path().join("images")).unwrap();
    fs::write(root.path().join("images.tar.gz"), &bytes).unwrap();
    download_archive(root.path(), &source("", &bytes), &quick(), &mut |_| {}).unwrap();
    assert_eq!(
        listing(root.path()),
        [
            "images/",
            "images/a_1.jpg",
            "images/deeper/",
            "images/deeper/b_1.jpg"
        ]
    );
}
