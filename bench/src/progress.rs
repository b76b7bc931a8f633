//! What the bench tells while it runs.

use std::fmt::Display;
use std::io::Write;

/// Writes a line to standard error.
pub fn say(text: impl Display) {
    // Nobody may be listening any more.
    let _ = writeln!(std::io::stderr(), "{text}");
}
