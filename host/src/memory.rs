//! When memory goes back to the system: not while there is work, and all of it when there is nothing to do. What a burst of records has taken
//! and freed stays with the C library's allocator otherwise, three quarters of an idle process (bench/LOG.md).

use std::time::{Duration, Instant};

/// How much later than the tasks' rest, in which they free what they can.
const AFTER_REST: Duration = Duration::from_secs(1);

/// Watches how much was done, and gives memory back once when it is no more.
#[derive(Debug)]
pub struct IdleMemory {
    done: u64,
    /// How long nothing must have happened. What is given back must be asked for again, a page at a time.
    quiet: Duration,
    /// Since when nothing was done; `None` when memory was given back since.
    quiet_since: Option<Instant>,
}

impl IdleMemory {
    /// For a process that has done nothing yet, and whose tasks rest `rest_after` the last work.
    #[must_use]
    pub fn new(now: Instant, rest_after: Duration) -> Self {
        Self { done: 0, quiet: rest_after + AFTER_REST, quiet_since: Some(now) }
    }

    /// Notes that `done` records were processed or restored, and commits made, in all until `now`. Tells whether now is the moment to give memory back.
    fn note(&mut self, done: u64, now: Instant) -> bool {
        if done != self.done {
            *self = Self { done, quiet_since: Some(now), ..*self };
            return false;
        }
        self.quiet_since.take_if(|since| now.saturating_duration_since(*since) >= self.quiet).is_some()
    }

    /// Gives memory back if nothing was done for a while, given how many records were processed or restored and commits made in all.
    pub fn look(&mut self, done: u64) {
        if self.note(done, Instant::now()) {
            give_back();
        }
    }
}

/// Tells the allocator to keep what is freed until [`IdleMemory`] gives it back. By itself it returned each buffer of fetched records and each
/// end of an arena at once, to be asked for again a page at a time: a sixth of a pass-through of records of 1 KiB (bench/LOG.md).
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[allow(unsafe_code, reason = "the C library has no other interface; it may be called at any time, from any thread")]
pub fn keep_while_busy() {
    /// Bytes that are mapped by themselves, or given back from the end of an arena: the most that the C library takes.
    const LARGE: i32 = 32 << 20;
    // SAFETY: they set two numbers, under the allocator's own lock.
    unsafe {
        libc::mallopt(libc::M_TRIM_THRESHOLD, LARGE);
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE);
    }
}

/// Other C libraries have ways of their own.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn keep_while_busy() {}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[allow(unsafe_code, reason = "the C library has no other interface; it may be called at any time, from any thread")]
fn give_back() {
    // SAFETY: it only returns pages to the system that no allocation lies on, and takes the allocator's own locks for it.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Other C libraries keep little.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn give_back() {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_given_back_once_after_each_time_of_work() {
        let start = Instant::now();
        let mut memory = IdleMemory::new(start, Duration::from_secs(1));
        let mut at = |seconds: u64, done: u64| memory.note(done, start + Duration::from_secs(seconds));
        assert!(!at(1, 10), "work");
        assert!(!at(2, 10), "quiet, but not for long");
        assert!(at(3, 10));
        assert!(!at(9, 10), "it was given back already");
        assert!(!at(10, 11), "work again");
        assert!(!at(11, 11));
        assert!(at(12, 11));
    }
}
