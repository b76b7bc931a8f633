//! The host's clocks, in the place of those of the standard library, which has none on the target of plugins and panics.

use std::time::{Duration, SystemTime};

use crate::host;

/// The wall-clock time, as [`Context::wall_clock_time`](crate::Context::wall_clock_time) tells it: it stands still during
/// a call. In a native test it is the test's.
#[must_use]
pub fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + host::now()
}

/// A moment of the host's monotonic clock, to measure how long something takes. It runs also during a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(Duration);

impl Instant {
    /// This moment.
    #[must_use]
    pub fn now() -> Self {
        Self(host::monotonic_time())
    }

    /// The time since this moment.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        Self::now().duration_since(*self)
    }

    /// The time from `earlier` to this moment; none if `earlier` is later.
    #[must_use]
    pub fn duration_since(&self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}
