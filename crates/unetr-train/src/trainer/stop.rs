use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Asks a training run to stop after its current update, from another thread or a signal handler.
///
/// # Examples
/// ```
/// use unetr_train::StopSignal;
///
/// let stop = StopSignal::default();
/// let handle = stop.clone();
/// // ctrlc::set_handler(move || handle.raise())?;
/// handle.raise();
/// assert!(stop.is_raised());
/// ```
#[derive(Debug, Clone, Default)]
pub struct StopSignal(Arc<AtomicBool>);

impl StopSignal {
    /// Asks for the stop.
    pub fn raise(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether a stop was asked for.
    pub fn is_raised(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
