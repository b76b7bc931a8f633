//! The version of the format on disk: what a directory was written by, and whether this program may open it.

use std::fmt;
use std::path::Path;

use millstream_core::id::TaskId;
use millstream_core::{Error, Result};

use crate::error::io_error;
use crate::layout;

const MAGIC: &str = "millstream-state ";

/// A version of the state directory's format. Each released one keeps a small directory in `tests/` that must open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FormatVersion {
    /// One RocksDB per task, families `store:<name>` and `offsets`, keys and values as reference §3.7.
    V1 = 1,
}

impl FormatVersion {
    /// The version that is written.
    pub const CURRENT: Self = Self::V1;

    /// Checks the version of the directory `root`, or notes it in a new one.
    ///
    /// # Errors
    ///
    /// `Fatal` when a newer program or Kafka Streams wrote the directory, or when the disk fails.
    pub fn check_or_create(root: &Path) -> Result<Self> {
        let path = root.join(layout::FORMAT);
        match std::fs::read_to_string(&path) {
            Ok(text) => Self::parse(&text)
                .map_err(|reason| Error::fatal(format!("state directory {} {reason}", root.display()))),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Self::create(root),
            Err(error) => Err(io_error("read", &path, error)),
        }
    }

    fn create(root: &Path) -> Result<Self> {
        let names = layout::names(root).map_err(|error| io_error("list", root, error))?;
        // Kafka Streams has the same layout of directories and another one of databases: never write into its state.
        if let Some(name) = names.iter().find(|name| *name == layout::GLOBAL || name.parse::<TaskId>().is_ok()) {
            return Err(Error::fatal(format!(
                "state directory {} holds {name}, which Millstream did not write: \
                 choose another state directory, or delete this one",
                root.display()
            )));
        }
        layout::write_atomically(root, layout::FORMAT, Self::CURRENT.to_string().as_bytes())
            .map_err(|error| io_error("write", &root.join(layout::FORMAT), error))?;
        Ok(Self::CURRENT)
    }

    fn parse(text: &str) -> Result<Self, String> {
        let number = text.strip_prefix(MAGIC).and_then(|rest| rest.trim_end().parse::<u32>().ok());
        match number {
            Some(1) => Ok(Self::V1),
            Some(newer) if newer > Self::CURRENT as u32 => Err(format!(
                "has format version {newer}, and this program knows up to {}: use the newer program, \
                 or delete the directory and the state is restored from its changelogs",
                Self::CURRENT as u32
            )),
            _ => Err(format!(
                "has a damaged {} file: delete the directory and the state is restored from its changelogs",
                layout::FORMAT
            )),
        }
    }
}

impl fmt::Display for FormatVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{MAGIC}{}", *self as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        assert_eq!(FormatVersion::parse(&FormatVersion::CURRENT.to_string()), Ok(FormatVersion::CURRENT));
    }

    #[test]
    fn other_texts_are_refused() {
        for (text, expected) in [
            ("millstream-state 2\n", "knows up to 1"),
            ("millstream-state 0\n", "damaged"),
            ("millstream-state\n", "damaged"),
            ("0\n", "damaged"),
            ("", "damaged"),
        ] {
            let error = FormatVersion::parse(text).unwrap_err();
            assert!(error.contains(expected), "{text:?}: {error}");
        }
    }
}
