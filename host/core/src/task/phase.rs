//! The life of a task.
//!
//! ```text
//!              +-----------+  changelogs read   +-----------+
//!   assigned ->| Restoring |------------------->|  Running  |<--+
//!              +-----------+                    +-----------+   | assigned again
//!                    |                             |     |      |
//!                    |                     revoked |     |   +-----------+
//!                    |                             |     +-->| Suspended |
//!                    v                             v         +-----------+
//!              +------------------------------------------------+  |
//!              |                     Closed                     |<-+
//!              +------------------------------------------------+
//! ```
//!
//! A task that fails for good is closed and remembered by its thread as failed.

use std::fmt;

/// See the file's documentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskPhase {
    /// Its stores are filled from their changelogs; nothing is processed.
    Restoring,
    /// It processes records.
    Running,
    /// It is committed and waits for the assignment that tells whether it stays.
    Suspended,
    /// It has ended.
    Closed,
}

impl TaskPhase {
    /// Whether a task may go from this phase to `next`.
    #[must_use]
    pub fn can_become(self, next: Self) -> bool {
        use TaskPhase::{Closed, Restoring, Running, Suspended};
        matches!(
            (self, next),
            (Restoring, Running | Suspended | Closed) | (Running, Suspended | Closed) | (Suspended, Running | Closed)
        ) || (self, next) == (Suspended, Restoring)
    }
}

impl fmt::Display for TaskPhase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Restoring => "RESTORING",
            Self::Running => "RUNNING",
            Self::Suspended => "SUSPENDED",
            Self::Closed => "CLOSED",
        })
    }
}
