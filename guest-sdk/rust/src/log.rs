//! Lines for the log of the host.

use std::fmt;
use std::sync::Once;

use crate::host;

/// How much a line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Every detail.
    Trace,
    /// What helps to find a mistake.
    Debug,
    /// What an operator may want to know.
    Info,
    /// Something is odd, but it goes on.
    Warn,
    /// Something failed.
    Error,
}

/// Writes a line.
pub fn log(level: Level, message: impl fmt::Display) {
    host::log(level, &message.to_string());
}

/// Writes a line at level `debug`.
pub fn debug(message: impl fmt::Display) {
    log(Level::Debug, message);
}

/// Writes a line at level `info`.
pub fn info(message: impl fmt::Display) {
    log(Level::Info, message);
}

/// Writes a line at level `warn`.
pub fn warn(message: impl fmt::Display) {
    log(Level::Warn, message);
}

/// Writes a line at level `error`.
pub fn error(message: impl fmt::Display) {
    log(Level::Error, message);
}

/// Sends the text of panics to the host's log, where it is shown with the trap that follows.
pub(crate) fn log_panics() {
    static ONCE: Once = Once::new();
    if cfg!(target_arch = "wasm32") {
        ONCE.call_once(|| {
            std::panic::set_hook(Box::new(|panic| {
                error(panic);
                if let Some(advice) = panic.payload_as_str().and_then(advice) {
                    error(advice);
                }
            }));
        });
    }
}

/// What to do where the standard library panics, because it has no operating system below it.
fn advice(panic: &str) -> Option<&'static str> {
    match panic {
        "time not implemented on this platform" => Some(
            "the clocks of std are not there in a plugin: use `context.wall_clock_time()`, `millstream_sdk::time::now()`, \
             or `millstream_sdk::time::Instant` to measure",
        ),
        "can't sleep" => Some("a plugin doesn't wait: schedule a punctuation, or answer `Error::retry`"),
        _ => None,
    }
}
