use std::num::NonZeroU32;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How persistently an archive is fetched and how much it may hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DownloadConfig {
    /// How often a connection is made before giving up, over all URLs; 8 by default.
    pub attempts: NonZeroU32,
    /// The pause before the second attempt in milliseconds, doubled before each further one up to
    /// 30 seconds; 1,000 by default.
    pub backoff_ms: u64,
    /// How long to wait for a connection, an answer or the next bytes, in seconds; 60 by default.
    pub timeout_secs: NonZeroU32,
    /// What an archive may hold.
    pub limits: UnpackLimits,
}

impl Default for DownloadConfig {
    fn default() -> Self {
        Self {
            attempts: const { NonZeroU32::new(8).expect("8 is not 0") },
            backoff_ms: 1_000,
            timeout_secs: const { NonZeroU32::new(60).expect("60 is not 0") },
            limits: UnpackLimits::default(),
        }
    }
}

impl DownloadConfig {
    /// The pause before this attempt, counted from 0.
    pub(super) fn backoff(&self, attempt: u32) -> Duration {
        const LONGEST: Duration = Duration::from_secs(30);
        let doublings = attempt.saturating_sub(1).min(16);
        Duration::from_millis(self.backoff_ms.saturating_mul(1 << doublings)).min(LONGEST)
    }
}

/// What an archive may hold at most; beyond it, nothing is unpacked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UnpackLimits {
    /// Entries of any kind; 100,000 by default.
    pub entries: u64,
    /// Bytes of one file; 64 MiB by default.
    pub file_bytes: u64,
    /// Bytes of all entries together; 4 GiB by default.
    pub total_bytes: u64,
}

impl Default for UnpackLimits {
    fn default() -> Self {
        Self {
            entries: 100_000,
            file_bytes: 64 << 20,
            total_bytes: 4 << 30,
        }
    }
}
