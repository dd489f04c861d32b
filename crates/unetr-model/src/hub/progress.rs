use std::io::{IsTerminal, Write};
use std::path::Path;
use std::time::{Duration, Instant};

const PAUSE: Duration = Duration::from_secs(1);

/// How far a download is, in one line of the terminal; nothing where there is none, and nothing for what is there at
/// once.
#[derive(Debug)]
pub(super) struct Progress {
    name: String,
    total: Option<u64>,
    last: Instant,
    is_shown: bool,
}

impl Progress {
    pub(super) fn new(path: &Path, total: Option<u64>) -> Self {
        let name = path.file_name().unwrap_or_default();
        Self {
            name: name.to_string_lossy().into_owned(),
            total,
            last: Instant::now(),
            is_shown: false,
        }
    }

    pub(super) fn show(&mut self, received: u64) {
        let mut terminal = std::io::stderr();
        if self.last.elapsed() < PAUSE || !terminal.is_terminal() {
            return;
        }
        let megabytes = |bytes: u64| bytes.div_ceil(1_000_000);
        let of = self
            .total
            .map_or(String::new(), |total| format!(" of {}", megabytes(total)));
        // A terminal that is gone does not stop a download.
        let _ = write!(terminal, "\r{}: {}{of} MB", self.name, megabytes(received));
        self.last = Instant::now();
        self.is_shown = true;
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.is_shown {
            let _ = writeln!(std::io::stderr());
        }
    }
}
