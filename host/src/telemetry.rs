//! Log lines: for people on a terminal, or JSON for machines; to standard error, never per record.

use std::env;
use std::io::{IsTerminal, stderr};

use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::layer;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use crate::cli::LogFormat;

/// The variable that says what is logged: a level, or levels of targets (`info,millstream_kafka=debug`).
pub const FILTER_VARIABLE: &str = "MILLSTREAM_LOG";

/// Starts logging, of what `default` says where the variable says nothing. Called once.
///
/// # Errors
///
/// A text when the variable `MILLSTREAM_LOG` can't be understood.
pub fn start(format: LogFormat, default: &str) -> Result<(), String> {
    let filter = filter(env::var(FILTER_VARIABLE).ok().as_deref(), default)?;
    let lines = layer().with_writer(stderr);
    let lines = match format {
        LogFormat::Text => lines.with_target(false).with_ansi(stderr().is_terminal()).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).with_thread_names(true).boxed(),
    };
    tracing_subscriber::registry().with(lines.with_filter(filter)).init();
    Ok(())
}

fn filter(directives: Option<&str>, default: &str) -> Result<Targets, String> {
    let text = directives.filter(|text| !text.is_empty()).unwrap_or(default);
    text.parse().map_err(|error| {
        format!(
            "{FILTER_VARIABLE}={text:?} is not understood ({error}): give a level (error, warn, info, debug, trace, off), or \
             levels of targets, such as \"info,millstream_kafka=debug\""
        )
    })
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[test]
    fn levels_are_given_for_all_or_for_a_target() {
        let all = filter(None, "info").expect("the default");
        assert!(all.would_enable("millstream", &Level::INFO) && !all.would_enable("millstream", &Level::DEBUG));
        let one = filter(Some("warn,millstream_kafka=debug"), "info").expect("a filter");
        assert!(one.would_enable("millstream_kafka", &Level::DEBUG) && !one.would_enable("millstream", &Level::INFO));
    }

    #[test]
    fn a_level_that_does_not_exist_is_told() {
        let error = filter(Some("millstream=loud"), "info").expect_err("no such level");
        assert!(error.contains("MILLSTREAM_LOG=\"millstream=loud\"") && error.contains("give a level"), "{error}");
    }
}
