//! Log lines: for people on a terminal, or JSON for machines; to standard error, never per record.

use std::io::{IsTerminal, stderr};

use tracing_subscriber::EnvFilter;

use crate::cli::LogFormat;

/// The variable that says what is logged, in the syntax of `tracing`'s `EnvFilter`; `info` by default.
const FILTER_VARIABLE: &str = "MILLSTREAM_LOG";

/// Starts logging. Called once.
pub fn start(format: LogFormat) {
    let filter = EnvFilter::try_from_env(FILTER_VARIABLE).unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(stderr);
    match format {
        LogFormat::Text => builder.with_target(false).with_ansi(stderr().is_terminal()).init(),
        LogFormat::Json => builder.json().flatten_event(true).with_thread_names(true).init(),
    }
}
