//! `log.wit`: lines for the host's log, bounded in length and number.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use wasmtime::StoreContextMut;
use wasmtime::component::{ComponentType, Lift, LinkerInstance, WasmStr};

use super::HostState;
use crate::limits::{LAST_WORDS_MAX, LOG_LINE_BYTES_MAX, LOG_LINES_PER_SECOND_MAX};

#[derive(Clone, Copy, Debug, PartialEq, Eq, ComponentType, Lift)]
#[component(enum)]
#[repr(u8)]
#[expect(dead_code, reason = "guests make the values")]
enum Level {
    #[component(name = "trace")]
    Trace,
    #[component(name = "debug")]
    Debug,
    #[component(name = "info")]
    Info,
    #[component(name = "warn")]
    Warn,
    #[component(name = "error")]
    Error,
}

/// What an instance logs, and on whose behalf.
#[derive(Debug)]
pub(crate) struct Log {
    plugin: String,
    node: String,
    task: String,
    /// When the second began in which lines are counted.
    since: Option<Instant>,
    lines: u32,
    last_words: Vec<String>,
}

impl Log {
    pub(crate) fn new(plugin: &str, node: &str, task: String) -> Self {
        Self { plugin: plugin.to_owned(), node: node.to_owned(), task, since: None, lines: 0, last_words: Vec::new() }
    }

    /// Forgets the errors logged before the call that begins.
    pub(crate) fn begin_call(&mut self) {
        self.last_words.clear();
    }

    /// The last lines of level `error` of the call.
    pub(crate) fn take_last_words(&mut self) -> Vec<String> {
        std::mem::take(&mut self.last_words)
    }

    fn write(&mut self, level: Level, message: &str) {
        let line = escaped(message);
        let is_within = self.count();
        if is_within {
            self.emit(level, &line);
        }
        if level == Level::Error {
            if self.last_words.len() == LAST_WORDS_MAX {
                self.last_words.remove(0);
            }
            self.last_words.push(line);
        }
    }

    /// Counts a line; whether it is among those of its second that are shown.
    fn count(&mut self) -> bool {
        let now = Instant::now();
        if self.since.is_none_or(|since| now.duration_since(since) >= Duration::from_secs(1)) {
            let dropped = self.lines.saturating_sub(LOG_LINES_PER_SECOND_MAX);
            if dropped > 0 {
                tracing::warn!(
                    plugin = self.plugin,
                    node = self.node,
                    task = self.task,
                    dropped,
                    "plugin logs too much"
                );
            }
            self.since = Some(now);
            self.lines = 0;
        }
        self.lines = self.lines.saturating_add(1);
        self.lines <= LOG_LINES_PER_SECOND_MAX
    }

    fn emit(&self, level: Level, line: &str) {
        let Self { plugin, node, task, .. } = self;
        match level {
            Level::Trace => tracing::trace!(target: "millstream::plugin", plugin, node, task, "{line}"),
            Level::Debug => tracing::debug!(target: "millstream::plugin", plugin, node, task, "{line}"),
            Level::Info => tracing::info!(target: "millstream::plugin", plugin, node, task, "{line}"),
            Level::Warn => tracing::warn!(target: "millstream::plugin", plugin, node, task, "{line}"),
            Level::Error => tracing::error!(target: "millstream::plugin", plugin, node, task, "{line}"),
        }
    }
}

/// A line without line breaks and other control characters, which could forge lines or drive a terminal.
fn escaped(message: &str) -> String {
    let mut line = String::with_capacity(message.len().min(LOG_LINE_BYTES_MAX));
    for character in message.chars() {
        if line.len() >= LOG_LINE_BYTES_MAX {
            line.push('…');
            break;
        }
        if character.is_control() {
            let _ = write!(line, "{}", character.escape_default());
        } else {
            line.push(character);
        }
    }
    line
}

pub(super) fn add_to_linker(interface: &mut LinkerInstance<'_, HostState>) -> wasmtime::Result<()> {
    interface.func_wrap("log", |mut store: StoreContextMut<'_, HostState>, (level, message): (Level, WasmStr)| {
        let message = message.to_str(&store)?.into_owned();
        store.data_mut().log.write(level, &message);
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped_and_long_lines_cut() {
        assert_eq!(escaped("a\nb\u{1b}[31m\tÄ"), "a\\nb\\u{1b}[31m\\tÄ");
        let cut = escaped(&"x".repeat(LOG_LINE_BYTES_MAX + 5));
        assert_eq!(cut.len(), LOG_LINE_BYTES_MAX + '…'.len_utf8());
    }

    #[test]
    fn only_the_lines_within_the_bound_are_shown_and_the_last_errors_are_kept() {
        let mut log = Log::new("plugin", "node", "0_0".to_owned());
        let shown = (0..LOG_LINES_PER_SECOND_MAX + 10).filter(|_| log.count()).count();
        assert_eq!(shown, LOG_LINES_PER_SECOND_MAX as usize);
        for number in 0..10 {
            log.write(Level::Error, &number.to_string());
        }
        assert_eq!(log.take_last_words(), ["6", "7", "8", "9"]);
    }
}
