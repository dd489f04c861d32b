use std::fs::File;
use std::io;

/// A file that several threads read, each at places of its own.
///
/// It is read, not mapped into memory: a map needs `unsafe`, which this crate forbids, and where a
/// mapped file is cut off by somebody the process dies of SIGBUS, while a read is an error. The bytes
/// come from the page cache in both cases; a read copies them once.
#[derive(Debug)]
pub(super) struct PositionedFile(#[cfg(unix)] File, #[cfg(not(unix))] std::sync::Mutex<File>);

impl PositionedFile {
    #[cfg(unix)]
    pub(super) fn new(file: File) -> Self {
        Self(file)
    }

    #[cfg(not(unix))]
    pub(super) fn new(file: File) -> Self {
        Self(std::sync::Mutex::new(file))
    }

    /// Fills `bytes` with those from `offset` on.
    #[cfg(unix)]
    pub(super) fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        std::os::unix::fs::FileExt::read_exact_at(&self.0, bytes, offset)
    }

    /// Fills `bytes` with those from `offset` on; one thread at a time.
    #[cfg(not(unix))]
    pub(super) fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        use std::io::{Read, Seek, SeekFrom};

        let mut file = self
            .0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        file.seek(SeekFrom::Start(offset))?;
        file.read_exact(bytes)
    }
}
