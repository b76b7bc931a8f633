//! Why a record was not processed, and what is to be done about it.

use std::fmt;

/// A result whose error is [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What the host is to do about a record that was not processed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reaction {
    /// Leave it out, count it, go on.
    Skip,
    /// Send it to the dead-letter topic, go on.
    DeadLetter,
    /// A dependency is away, the record is good: give it again later.
    Retry,
    /// Do what the plugin's policy in the manifest says: stop the task (the default), skip, or dead-letter.
    Fatal,
}

/// A record can't be processed: the reaction asked for, and the reason.
///
/// Every error of another kind becomes one by `?`, with [`Reaction::Fatal`], so that the application's owner decides
/// what happens to a record that can't be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    reaction: Reaction,
    reason: String,
}

impl Error {
    /// Asks for `reaction`, for `reason`.
    pub fn new(reaction: Reaction, reason: impl fmt::Display) -> Self {
        Self { reaction, reason: reason.to_string() }
    }

    /// Asks to leave the record out.
    pub fn skip(reason: impl fmt::Display) -> Self {
        Self::new(Reaction::Skip, reason)
    }

    /// Asks to send the record to the dead-letter topic.
    pub fn dead_letter(reason: impl fmt::Display) -> Self {
        Self::new(Reaction::DeadLetter, reason)
    }

    /// Asks to be given the record again later.
    pub fn retry(reason: impl fmt::Display) -> Self {
        Self::new(Reaction::Retry, reason)
    }

    /// Leaves it to the plugin's policy.
    pub fn fatal(reason: impl fmt::Display) -> Self {
        Self::new(Reaction::Fatal, reason)
    }

    /// The same reason with another reaction: `parse(text).map_err(|error|
    /// Error::from(error).with_reaction(Reaction::Skip))?`.
    #[must_use]
    pub fn with_reaction(self, reaction: Reaction) -> Self {
        Self { reaction, ..self }
    }

    /// The reaction asked for.
    #[must_use]
    pub fn reaction(&self) -> Reaction {
        self.reaction
    }

    /// The reason.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// Whether later records of the batch may still be processed.
    pub(crate) fn goes_on(&self) -> bool {
        matches!(self.reaction, Reaction::Skip | Reaction::DeadLetter)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl<E: std::error::Error> From<E> for Error {
    fn from(error: E) -> Self {
        let mut reason = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            reason.push_str(": ");
            reason.push_str(&cause.to_string());
            source = cause.source();
        }
        Self { reaction: Reaction::Fatal, reason }
    }
}
