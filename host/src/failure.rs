//! How the program ends when it can't do what it was asked: a message, and an exit code.

use crate::cli::Exit;

/// Why the program ends.
#[derive(Debug)]
pub struct Failure {
    exit: Exit,
    error: anyhow::Error,
}

impl Failure {
    /// The user has to change something.
    pub fn usage(error: impl Into<anyhow::Error>) -> Self {
        Self { exit: Exit::Usage, error: error.into() }
    }

    /// Something outside went wrong.
    pub fn outside(error: impl Into<anyhow::Error>) -> Self {
        Self { exit: Exit::Other, error: error.into() }
    }

    /// A bug.
    pub fn internal(error: impl Into<anyhow::Error>) -> Self {
        Self { exit: Exit::Internal, error: error.into() }
    }

    /// The message with its causes, on one line.
    #[must_use]
    pub fn message(&self) -> String {
        with_causes(&self.error)
    }

    /// The exit code.
    #[must_use]
    pub fn exit(&self) -> Exit {
        self.exit
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::outside(error)
    }
}

impl From<millstream_core::Error> for Failure {
    fn from(error: millstream_core::Error) -> Self {
        Self::outside(error)
    }
}

/// An error with its causes, on one line. A cause that a message tells already is not told twice.
#[must_use]
pub fn with_causes(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.contains(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
    }
    text
}
