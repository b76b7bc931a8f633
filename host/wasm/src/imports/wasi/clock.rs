//! The clocks of WASI, and waiting, which takes no time.
//!
//! The wall clock says what `context.wall-clock-time` says, and stands still during a call. The monotonic clock runs: it is for
//! measuring how long something takes. Whoever waits for a time of it finds it come at once, because the clock is put forward to
//! that time: the thread serves other tasks, so nothing may sleep on it.

use std::collections::BTreeMap;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use wasmtime::component::Resource;
use wasmtime_wasi::p2::DynPollable;
use wasmtime_wasi::p2::bindings::clocks::{monotonic_clock, wall_clock};
use wasmtime_wasi::p2::bindings::sync::io::poll;

use super::HostState;
use crate::failure::HostRefusal;

/// Where the monotonic clock begins, in nanoseconds: not at 0, which Go takes for a clock that doesn't run.
const BEGIN: u64 = 1_000_000_000;

/// The pollable that is always ready: that of a stream.
const READY: u32 = 0;

/// The monotonic clock of an instance, and what waits for it.
pub(super) struct Clocks {
    started: Instant,
    /// Nanoseconds by which it was put forward.
    ahead: u64,
    /// The instants that are waited for, by pollable.
    timers: BTreeMap<u32, u64>,
    last_timer: u32,
}

impl Clocks {
    pub(super) fn new() -> Self {
        Self { started: Instant::now(), ahead: 0, timers: BTreeMap::new(), last_timer: READY }
    }

    fn now(&self) -> u64 {
        let elapsed = u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX);
        BEGIN.saturating_add(elapsed).saturating_add(self.ahead)
    }

    fn subscribe(&mut self, when: u64) -> Resource<DynPollable> {
        // A guest holds a bounded number of handles, so a number is free long before they have all been used.
        loop {
            self.last_timer = self.last_timer.checked_add(1).unwrap_or(READY + 1);
            if let std::collections::btree_map::Entry::Vacant(free) = self.timers.entry(self.last_timer) {
                free.insert(when);
                return Resource::new_own(self.last_timer);
            }
        }
    }

    /// When a pollable is ready; streams always are.
    fn due(&self, pollable: u32) -> u64 {
        self.timers.get(&pollable).copied().unwrap_or(0)
    }

    /// Puts the clock forward to `when`, unless it has come already.
    fn advance(&mut self, when: u64) {
        self.ahead = self.ahead.saturating_add(when.saturating_sub(self.now()));
    }
}

/// A pollable of a stream: always ready.
pub(super) fn ready() -> Resource<DynPollable> {
    Resource::new_own(READY)
}

impl wall_clock::Host for HostState {
    fn now(&mut self) -> wasmtime::Result<wall_clock::Datetime> {
        let milliseconds = self.context.as_deref().and_then(|context| u64::try_from(context.wall_clock_time).ok());
        // While an instance is made, and in a function, there is no task that could say.
        let milliseconds = milliseconds.unwrap_or_else(|| {
            let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX)
        });
        let nanoseconds = (milliseconds % 1_000) as u32 * 1_000_000;
        Ok(wall_clock::Datetime { seconds: milliseconds / 1_000, nanoseconds })
    }

    fn resolution(&mut self) -> wasmtime::Result<wall_clock::Datetime> {
        Ok(wall_clock::Datetime { seconds: 0, nanoseconds: 1_000_000 })
    }
}

impl monotonic_clock::Host for HostState {
    fn now(&mut self) -> wasmtime::Result<u64> {
        Ok(self.wasi().clocks.now())
    }

    fn resolution(&mut self) -> wasmtime::Result<u64> {
        Ok(1)
    }

    fn subscribe_instant(&mut self, when: u64) -> wasmtime::Result<Resource<DynPollable>> {
        Ok(self.wasi().clocks.subscribe(when))
    }

    fn subscribe_duration(&mut self, duration: u64) -> wasmtime::Result<Resource<DynPollable>> {
        let clocks = &mut self.wasi().clocks;
        let when = clocks.now().saturating_add(duration);
        Ok(clocks.subscribe(when))
    }
}

impl poll::Host for HostState {
    /// The pollables that are ready; if none is, time goes on to the first of them.
    fn poll(&mut self, pollables: Vec<Resource<DynPollable>>) -> wasmtime::Result<Vec<u32>> {
        let clocks = &mut self.wasi().clocks;
        let due: Vec<u64> = pollables.iter().map(|pollable| clocks.due(pollable.rep())).collect();
        let Some(first) = due.iter().min() else {
            return Err(HostRefusal::contract("`poll` of wasi:io was called with nothing to wait for"));
        };
        clocks.advance(*first);
        let now = clocks.now();
        Ok((0..).zip(due).filter_map(|(index, due)| (due <= now).then_some(index)).collect())
    }
}

impl poll::HostPollable for HostState {
    fn ready(&mut self, pollable: Resource<DynPollable>) -> wasmtime::Result<bool> {
        let clocks = &self.wasi().clocks;
        Ok(clocks.due(pollable.rep()) <= clocks.now())
    }

    fn block(&mut self, pollable: Resource<DynPollable>) -> wasmtime::Result<()> {
        let clocks = &mut self.wasi().clocks;
        let due = clocks.due(pollable.rep());
        clocks.advance(due);
        Ok(())
    }

    fn drop(&mut self, pollable: Resource<DynPollable>) -> wasmtime::Result<()> {
        self.wasi().clocks.timers.remove(&pollable.rep());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_puts_the_clock_forward_and_takes_no_time() {
        let mut clocks = Clocks::new();
        let hour = 3_600_000_000_000;
        let when = clocks.now() + hour;
        let timer = clocks.subscribe(when);
        assert!(clocks.due(timer.rep()) > clocks.now());
        clocks.advance(when);
        assert!(clocks.now() >= when && clocks.now() < when + hour / 2);
        clocks.advance(0);
        assert!(clocks.now() < when + hour / 2, "a time that has passed is no reason to go back, or on");
        clocks.advance(u64::MAX);
        assert_eq!(clocks.now(), u64::MAX);
    }

    #[test]
    fn streams_are_always_ready() {
        let clocks = Clocks::new();
        assert!(clocks.due(ready().rep()) <= clocks.now());
    }
}
