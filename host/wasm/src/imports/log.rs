//! `log.wit`: lines for the host's log, bounded in length and number.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use wasmtime::StoreContextMut;
use wasmtime::component::{ComponentType, Lift, LinkerInstance, WasmStr};

use super::HostState;
use crate::limits::{LAST_WORDS_LINES_MAX, LAST_WORDS_MAX, LOG_LINE_BYTES_MAX, LOG_LINES_PER_SECOND_MAX};

#[derive(Clone, Copy, Debug, PartialEq, Eq, ComponentType, Lift)]
#[component(enum)]
#[repr(u8)]
#[allow(dead_code, reason = "guests make the values")]
pub(super) enum Level {
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

/// On whose behalf an instance runs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Origin {
    pub(super) application: String,
    pub(super) plugin: String,
    pub(super) node: String,
    pub(super) task: String,
}

impl Origin {
    pub(crate) fn new(names: [&str; 4]) -> Self {
        let [application, plugin, node, task] = names.map(str::to_owned);
        Self { application, plugin, node, task }
    }
}

/// What an instance logs, and on whose behalf.
#[derive(Debug)]
pub(crate) struct Log {
    origin: Origin,
    /// When the second began in which lines are counted.
    since: Option<Instant>,
    lines: u32,
    last_words: Vec<String>,
}

impl Log {
    pub(crate) fn new(origin: Origin) -> Self {
        Self { origin, since: None, lines: 0, last_words: Vec::new() }
    }

    pub(super) fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Forgets the errors logged before the call that begins.
    pub(crate) fn begin_call(&mut self) {
        self.last_words.clear();
    }

    /// The last lines of level `error` of the call.
    pub(crate) fn take_last_words(&mut self) -> Vec<String> {
        std::mem::take(&mut self.last_words)
    }

    /// Writes a line; `at` says which records it is about, and is asked only if the line is shown.
    fn write(&mut self, level: Level, message: &str, at: impl FnOnce() -> Option<String>) {
        if self.count() {
            self.emit(level, &escaped(message), at().as_deref());
        }
        if level == Level::Error {
            if self.last_words.len() == LAST_WORDS_MAX {
                self.last_words.remove(0);
            }
            // With a trap there is room for a backtrace's lines.
            let lines = message.lines().filter(|line| !line.trim().is_empty()).take(LAST_WORDS_LINES_MAX);
            self.last_words.push(lines.map(indented).collect::<Vec<_>>().join("\n"));
        }
    }

    /// Counts a line; whether it is among those of its second that are shown.
    fn count(&mut self) -> bool {
        let now = Instant::now();
        if self.since.is_none_or(|since| now.duration_since(since) >= Duration::from_secs(1)) {
            let dropped = self.lines.saturating_sub(LOG_LINES_PER_SECOND_MAX);
            if dropped > 0 {
                let Origin { plugin, node, task, .. } = &self.origin;
                tracing::warn!(plugin, node, task, dropped, "plugin logs too much");
            }
            self.since = Some(now);
            self.lines = 0;
        }
        self.lines = self.lines.saturating_add(1);
        self.lines <= LOG_LINES_PER_SECOND_MAX
    }

    fn emit(&self, level: Level, line: &str, record: Option<&str>) {
        let Origin { plugin, node, task, .. } = &self.origin;
        match level {
            Level::Trace => tracing::trace!(target: "millstream::plugin", plugin, node, task, record, "{line}"),
            Level::Debug => tracing::debug!(target: "millstream::plugin", plugin, node, task, record, "{line}"),
            Level::Info => tracing::info!(target: "millstream::plugin", plugin, node, task, record, "{line}"),
            Level::Warn => tracing::warn!(target: "millstream::plugin", plugin, node, task, record, "{line}"),
            Level::Error => tracing::error!(target: "millstream::plugin", plugin, node, task, record, "{line}"),
        }
    }
}

impl HostState {
    /// Writes a line, with the records that the call is about.
    pub(super) fn log(&mut self, level: Level, message: &str) {
        let Self { log, context, .. } = self;
        log.write(level, message, || {
            let (first, last) = context.as_deref()?.input_coordinates()?;
            Some(if first == last { first.to_string() } else { format!("{first} to {}", last.offset) })
        });
    }
}

/// A line without line breaks and other control characters, which could forge lines or drive a terminal.
pub(super) fn escaped(message: &str) -> String {
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

/// A line of a text of several, whose tabs may stay: as blanks.
pub(super) fn indented(line: &str) -> String {
    escaped(&line.trim_end().replace('\t', "    "))
}

pub(super) fn add_to_linker(interface: &mut LinkerInstance<'_, HostState>) -> wasmtime::Result<()> {
    interface.func_wrap("log", |mut store: StoreContextMut<'_, HostState>, (level, message): (Level, WasmStr)| {
        let message = message.to_str(&store)?.into_owned();
        store.data_mut().log(level, &message);
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
        let mut log = Log::new(Origin::new(["application", "plugin", "node", "0_0"]));
        let shown = (0..LOG_LINES_PER_SECOND_MAX + 10).filter(|_| log.count()).count();
        assert_eq!(shown, LOG_LINES_PER_SECOND_MAX as usize);
        for number in 0..10 {
            log.write(Level::Error, &number.to_string(), || None);
        }
        assert_eq!(log.take_last_words(), ["6", "7", "8", "9"]);
        log.write(Level::Error, "panic: boom\n\n\tat a\r\n", || None);
        assert_eq!(log.take_last_words(), ["panic: boom\n    at a"]);
    }
}
