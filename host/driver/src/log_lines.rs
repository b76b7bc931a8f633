//! What is logged while a driver works, kept instead of shown.

use std::fmt::{self, Debug, Display, Write as _};
use std::sync::{Arc, Mutex, PoisonError};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// What the targets of lines begin with that a plugin has written.
pub const PLUGIN_TARGET: &str = "millstream::plugin";

/// A line: its level, its text, and its fields, each behind a space (` plugin=words node=split`).
#[derive(Clone, Debug)]
pub struct LogLine {
    /// How much it matters.
    pub level: Level,
    /// The text.
    pub message: String,
    /// The fields.
    pub fields: String,
}

impl Display for LogLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>5} {}{}", self.level, self.message, self.fields)
    }
}

/// The lines that were logged under [`Self::during`]. Clones share them.
#[derive(Clone, Debug)]
pub struct LogLines {
    is_wanted: fn(&Metadata<'_>) -> bool,
    lines_max: usize,
    lines: Arc<Mutex<Vec<LogLine>>>,
}

impl LogLines {
    /// Keeps the first `lines_max` lines for which `is_wanted` says yes.
    #[must_use]
    pub fn new(is_wanted: fn(&Metadata<'_>) -> bool, lines_max: usize) -> Self {
        Self { is_wanted, lines_max, lines: Arc::default() }
    }

    /// Keeps what is logged while `work` works.
    pub fn during<T>(&self, work: impl FnOnce() -> T) -> T {
        tracing::subscriber::with_default(self.clone(), work)
    }

    /// The lines since the last call.
    pub fn take(&self) -> Vec<LogLine> {
        std::mem::take(&mut self.lines.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether a line contains `text`; the lines stay.
    #[must_use]
    pub fn contain(&self, text: &str) -> bool {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).iter().any(|line| line.message.contains(text))
    }
}

impl Visit for LogLine {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            self.message = format!("{value:?}");
        } else {
            let _ = write!(self.fields, " {}={value:?}", field.name());
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        let _ = write!(self.fields, " {}={value}", field.name());
    }
}

impl Subscriber for LogLines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        (self.is_wanted)(metadata)
    }

    fn event(&self, event: &Event<'_>) {
        let mut line = LogLine { level: *event.metadata().level(), message: String::new(), fields: String::new() };
        event.record(&mut line);
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() < self.lines_max {
            lines.push(line);
        }
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}
