use std::fmt;
use std::fs;
use std::path::Path;
use std::time::UNIX_EPOCH;

use serde::Serialize;

use crate::{Error, Result};

const OFFSET_BASIS: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;

/// Tells whether samples are still made from the same files by the same settings.
///
/// It is a hash of what is put in, in that order: FNV-1a of 128 bits, the same on every platform. It
/// finds changes, not forgeries. Source: G. Fowler, L. C. Noll, K.-P. Vo, D. Eastlake, T. Hansen,
/// "The FNV Non-Cryptographic Hash Algorithm", <https://datatracker.ietf.org/doc/draft-eastlake-fnv/>.
///
/// # Examples
/// ```no_run
/// use unetr_data::Fingerprint;
///
/// let fingerprint = Fingerprint::new("my photos")
///     .settings(&("red channel", 0.5))?
///     .file("photos/1.png")?
///     .file("photos/2.png")?;
/// println!("{fingerprint}");
/// # Ok::<(), unetr_data::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint(u128);

impl Fingerprint {
    /// The fingerprint of nothing yet; `kind` tells sorts of data apart.
    pub fn new(kind: &str) -> Self {
        Self(OFFSET_BASIS).text(kind)
    }

    /// Adds a text.
    #[must_use]
    pub fn text(self, text: &str) -> Self {
        // With its length, so that "a", "bc" and "ab", "c" differ.
        self.number(text.len() as u64).bytes(text.as_bytes())
    }

    /// Adds a number.
    #[must_use]
    pub fn number(self, number: u64) -> Self {
        self.bytes(&number.to_le_bytes())
    }

    /// Adds settings, in their JSON.
    ///
    /// # Errors
    /// When they can't be JSON.
    pub fn settings(self, settings: &(impl Serialize + ?Sized)) -> Result<Self> {
        let settings = serde_json::to_string(settings).map_err(Error::SettingsJson)?;
        Ok(self.text(&settings))
    }

    /// Adds a file: its name, its size and the time of its last modification.
    ///
    /// It is not opened, so that thousands take but a moment. Its folder plays no part: data that is
    /// moved or copied with its times stays the same.
    ///
    /// # Errors
    /// When the file is not there or has no such time.
    pub fn file(self, path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let metadata = fs::metadata(path).map_err(Error::io(path))?;
        let modified = metadata.modified().map_err(Error::io(path))?;
        let nanoseconds = match modified.duration_since(UNIX_EPOCH) {
            Ok(after) => after.as_nanos(),
            Err(before) => !before.duration().as_nanos(),
        };
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        Ok(self
            .text(&name)
            .number(metadata.len())
            .bytes(&nanoseconds.to_le_bytes()))
    }

    /// Adds what another fingerprint stands for.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        self.bytes(&other.to_le_bytes())
    }

    pub(crate) fn to_le_bytes(self) -> [u8; 16] {
        self.0.to_le_bytes()
    }

    pub(crate) fn from_le_bytes(bytes: [u8; 16]) -> Self {
        Self(u128::from_le_bytes(bytes))
    }

    fn bytes(self, bytes: &[u8]) -> Self {
        let hash = |hash: u128, &byte: &u8| (hash ^ u128::from(byte)).wrapping_mul(PRIME);
        Self(bytes.iter().fold(self.0, hash))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}
