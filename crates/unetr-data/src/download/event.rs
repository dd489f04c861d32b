use std::time::Duration;

/// What a download is doing, for a progress bar or a log.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum DownloadEvent<'a> {
    /// Bytes have come in.
    Receiving {
        /// The archive.
        file: &'a str,
        /// How many bytes of it are on disk, those of earlier connections included.
        received: u64,
        /// How many it has.
        total: u64,
    },
    /// A connection failed and another will be made.
    Retrying {
        /// The archive.
        file: &'a str,
        /// What went wrong.
        problem: &'a str,
        /// The pause until then.
        pause: Duration,
    },
    /// The archive's size and checksum are being compared.
    Verifying {
        /// The archive.
        file: &'a str,
    },
    /// Files are being unpacked.
    Unpacking {
        /// The archive.
        file: &'a str,
        /// How many entries have been read.
        entries: u64,
    },
    /// The folder is whole and in its place.
    Complete {
        /// The archive.
        file: &'a str,
    },
}
