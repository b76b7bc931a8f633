//! How a call failed: an answer, a trap or a limit, told apart in one place.

use std::any::Any;
use std::time::Duration;

use millstream_core::error::{FailureCause, ProcessorFailure};
use wasmtime::{Trap, WasmBacktrace};

use crate::limits::{BACKTRACE_FRAMES_MAX, STACK_BYTES_MAX};

/// Why the host ends a call of a guest that is in one of its imports.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HostRefusal {
    /// The guest did what a correct one never does.
    #[error("{0}")]
    Contract(String),
    /// The guest went past a bound.
    #[error("{0}")]
    Limit(String),
    /// The host itself can't go on.
    #[error("the host can't serve the plugin: {0}")]
    Host(String),
}

impl HostRefusal {
    pub(crate) fn contract(reason: impl ToString) -> wasmtime::Error {
        wasmtime::Error::new(Self::Contract(reason.to_string()))
    }

    pub(crate) fn limit(reason: impl ToString) -> wasmtime::Error {
        wasmtime::Error::new(Self::Limit(reason.to_string()))
    }

    pub(crate) fn host(reason: impl ToString) -> wasmtime::Error {
        wasmtime::Error::new(Self::Host(reason.to_string()))
    }
}

/// What is known of the call besides its error.
#[derive(Debug, Default)]
pub(crate) struct Circumstances {
    /// What the guest logged at level `error` during the call: the text of a panic is there.
    pub(crate) last_words: Vec<String>,
    /// What it wrote to standard error during the call: panics and tracebacks of languages with WASI are there.
    pub(crate) stderr: Vec<String>,
    /// The memory that it asked for and was refused, and the bound.
    pub(crate) memory_refused: Option<(usize, usize)>,
    /// The deadline of the call.
    pub(crate) deadline: Duration,
    /// The plugin's digest.
    pub(crate) digest: String,
}

/// Tells what happened.
pub(crate) fn classify(error: &wasmtime::Error, circumstances: Circumstances) -> ProcessorFailure {
    let Circumstances { last_words, stderr, memory_refused, deadline, digest } = circumstances;
    let (cause, mut reason) = match (error.downcast_ref::<Trap>(), error.downcast_ref::<HostRefusal>()) {
        (Some(Trap::Interrupt), _) => {
            (FailureCause::Limit, format!("the call took longer than the deadline of {deadline:?}"))
        }
        (Some(Trap::StackOverflow), _) => {
            let reason = format!("the call stack grew past {STACK_BYTES_MAX} bytes: is there an endless recursion?");
            (FailureCause::Limit, reason)
        }
        (_, Some(refusal @ HostRefusal::Limit(_))) => (FailureCause::Limit, refusal.to_string()),
        (_, Some(refusal @ HostRefusal::Host(_))) => (FailureCause::Host, refusal.to_string()),
        (_, Some(refusal @ HostRefusal::Contract(_))) => (FailureCause::Trap, refusal.to_string()),
        (Some(trap), _) => (FailureCause::Trap, trap.to_string()),
        (None, None) => (FailureCause::Trap, error.root_cause().to_string()),
    };
    let mut cause = cause;
    if let (Some((asked, max)), FailureCause::Trap) = (memory_refused, &cause) {
        cause = FailureCause::Limit;
        reason = format!("it needs {asked} bytes of memory and may have {max} (`memory-max`): {reason}");
    }
    for words in last_words {
        reason.push_str("; it said: ");
        reason.push_str(&words.replace('\n', "\n    | "));
    }
    if !stderr.is_empty() {
        reason.push_str("; its standard error:");
    }
    for line in stderr {
        reason.push_str("\n    | ");
        reason.push_str(&line);
    }
    if let Some(backtrace) = error.downcast_ref::<WasmBacktrace>() {
        append_backtrace(&mut reason, backtrace);
    }
    ProcessorFailure { cause, index: None, reason, digest }
}

/// Appends the names of the guest's functions, the innermost first, a line each.
fn append_backtrace(reason: &mut String, backtrace: &WasmBacktrace) {
    let frames = backtrace.frames();
    for frame in frames.iter().take(BACKTRACE_FRAMES_MAX) {
        let name = frame.func_name().map_or_else(|| format!("function {}", frame.func_index()), demangled);
        reason.push_str("\n    at ");
        reason.push_str(&name);
    }
    if frames.len() > BACKTRACE_FRAMES_MAX {
        reason.push_str(&format!("\n    and {} more", frames.len() - BACKTRACE_FRAMES_MAX));
    }
}

fn demangled(name: &str) -> String {
    format!("{:#}", rustc_demangle::demangle(name))
}

/// The host panicked while it served a guest.
pub(crate) fn host_panic(panic: &(dyn Any + Send), digest: String) -> ProcessorFailure {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    let reason =
        format!("the host failed while it served the plugin, which is a bug of Millstream: {}", text.unwrap_or("?"));
    ProcessorFailure { cause: FailureCause::Trap, index: None, reason, digest }
}
