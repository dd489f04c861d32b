use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs what others wrote, a data set or a transform; its message if it panics.
///
/// Unwind safe: what it was working on is lost with the panic, and what it shares between threads must stand a panic
/// anyway.
pub(crate) fn guarded<T>(run: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(run)).map_err(|panic| message(&*panic).into())
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}
