//! What a processor can do besides reading and writing stores.

use std::cell::Cell;
use std::ops::ControlFlow;
use std::rc::Rc;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::host;
use crate::output::Output;
use crate::record::Record;
use crate::store::KeyValueStore;
use crate::{Batch, Timestamp};

/// Which time a punctuation follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PunctuationType {
    /// The task's stream time: the highest timestamp of its records. It stands still without records.
    StreamTime,
    /// The time of the machine's clock.
    WallClockTime,
}

/// A punctuation that was scheduled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Punctuation(pub(crate) u32);

/// A node below this one; see [`Setup::child`](crate::Setup::child).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Child(pub(crate) u32);

/// Where a record came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// The topic; empty in a punctuation.
    pub topic: String,
    /// The partition; -1 in a punctuation.
    pub partition: i32,
    /// The offset; -1 in a punctuation.
    pub offset: i64,
}

type Punctuator = Box<dyn FnMut(Timestamp, &mut Context) -> Result<()>>;

/// What a processor can do while it is called: forward, schedule, ask for times and for where a record came from.
#[derive(Default)]
pub struct Context {
    pub(crate) output: Output,
    stores: Vec<KeyValueStore>,
    /// The timestamp that stores write by default: that of the record, or of the punctuation.
    clock: Rc<Cell<Timestamp>>,
    /// Those of the records of the batch.
    timestamps: Vec<Timestamp>,
    /// The row of the record that is processed; none outside of `process`.
    row: Option<u32>,
    punctuators: Vec<(Punctuation, Option<Punctuator>)>,
    failures: Vec<(u32, Error)>,
}

impl Context {
    /// Forwards a record to every child. Children get it after the call; see `wit/context.wit`.
    #[inline]
    pub fn forward(&mut self, record: Record<'_>) {
        self.output.push(None, &record, self.row);
    }

    /// Forwards a record to one child.
    #[inline]
    pub fn forward_to(&mut self, child: Child, record: Record<'_>) {
        self.output.push(Some(child.0), &record, self.row);
    }

    /// Calls [`Processor::punctuate`](crate::Processor::punctuate) every `interval`. By stream time first as soon as
    /// the stream time is known, by wall-clock time after one interval; intervals that nobody had time for are skipped.
    ///
    /// # Errors
    ///
    /// When the interval is less than a millisecond, or the processor has too many punctuations.
    pub fn schedule(&mut self, interval: Duration, kind: PunctuationType) -> Result<Punctuation> {
        self.schedule_from(None, interval, kind)
    }

    /// As [`Self::schedule`], first due at `start`, and in that rhythm.
    ///
    /// # Errors
    ///
    /// As [`Self::schedule`]; also when `start` is negative.
    pub fn schedule_at(&mut self, start: Timestamp, interval: Duration, kind: PunctuationType) -> Result<Punctuation> {
        self.schedule_from(Some(start), interval, kind)
    }

    /// As [`Self::schedule`], but calls `punctuator` instead. It may share a store with the processor: clone the
    /// store's handle.
    ///
    /// # Errors
    ///
    /// As [`Self::schedule`].
    pub fn schedule_with(
        &mut self,
        interval: Duration,
        kind: PunctuationType,
        punctuator: impl FnMut(Timestamp, &mut Context) -> Result<()> + 'static,
    ) -> Result<Punctuation> {
        let id = self.schedule(interval, kind)?;
        self.punctuators.push((id, Some(Box::new(punctuator))));
        Ok(id)
    }

    /// As [`Self::schedule_at`], but calls `punctuator` instead, as [`Self::schedule_with`] does.
    ///
    /// # Errors
    ///
    /// As [`Self::schedule_at`].
    pub fn schedule_at_with(
        &mut self,
        start: Timestamp,
        interval: Duration,
        kind: PunctuationType,
        punctuator: impl FnMut(Timestamp, &mut Context) -> Result<()> + 'static,
    ) -> Result<Punctuation> {
        let id = self.schedule_at(start, interval, kind)?;
        self.punctuators.push((id, Some(Box::new(punctuator))));
        Ok(id)
    }

    fn schedule_from(
        &mut self,
        start: Option<Timestamp>,
        interval: Duration,
        kind: PunctuationType,
    ) -> Result<Punctuation> {
        let interval_ms = u64::try_from(interval.as_millis()).unwrap_or(u64::MAX);
        host::schedule(start, interval_ms, kind).map(Punctuation).map_err(Error::fatal)
    }

    /// Ends a punctuation; it may be the one that is being called.
    pub fn cancel(&mut self, punctuation: Punctuation) {
        host::cancel(punctuation.0);
        self.punctuators.retain(|(id, _)| *id != punctuation);
    }

    /// The task's stream time at the record that is processed; -1 before any record.
    #[must_use]
    pub fn stream_time(&self) -> Timestamp {
        host::stream_time(self.row.unwrap_or(0))
    }

    /// The wall-clock time; it stands still during a batch.
    #[must_use]
    pub fn wall_clock_time(&self) -> Timestamp {
        host::wall_clock_time()
    }

    /// Where the record that is processed came from; empty topic and -1 in a punctuation, none in `init`.
    #[must_use]
    pub fn metadata(&self) -> Option<Metadata> {
        host::metadata(self.row.unwrap_or(0))
    }

    /// Asks for a commit soon.
    pub fn commit(&mut self) {
        host::commit();
    }

    /// Does the work for the record at `row` of the batch: what `work` forwards and writes belongs to that record, and
    /// is taken back if it fails. Breaks when the rest of the batch must not be processed. For
    /// [`Processor::process_batch`](crate::Processor::process_batch); rows must ascend.
    ///
    /// # Panics
    ///
    /// If the batch has no such row.
    #[inline]
    pub fn row(&mut self, row: u32, work: impl FnOnce(&mut Self) -> Result<()>) -> ControlFlow<()> {
        self.row = Some(row);
        self.clock.set(self.timestamps[row as usize]);
        for store in &self.stores {
            store.begin_record();
        }
        match work(self) {
            Ok(()) => {
                self.output.hand_over_when_large();
                ControlFlow::Continue(())
            }
            Err(error) => self.fail(row, error),
        }
    }

    #[cold]
    fn fail(&mut self, row: u32, error: Error) -> ControlFlow<()> {
        self.output.take_back(row);
        for store in &self.stores {
            store.take_back();
        }
        let goes_on = error.goes_on();
        self.failures.push((row, error));
        if goes_on { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    }

    // === For the calls from the host ===

    /// Opens a store; the same handle again if it is open already.
    pub(crate) fn open_store(&mut self, name: &str) -> Result<KeyValueStore> {
        if let Some(store) = self.stores.iter().find(|store| store.name() == name) {
            return Ok(store.clone());
        }
        let store = KeyValueStore::open(name, Rc::clone(&self.clock))?;
        self.stores.push(store.clone());
        Ok(store)
    }

    pub(crate) fn begin_batch(&mut self, batch: &Batch<'_>) {
        self.output.begin(batch.len() == 1);
        self.timestamps.clear();
        self.timestamps.extend(batch.timestamps());
        for store in &self.stores {
            store.begin_batch(batch);
        }
    }

    pub(crate) fn begin_punctuation(&mut self, timestamp: Timestamp) {
        self.output.begin(true);
        self.row = None;
        self.clock.set(timestamp);
        for store in &self.stores {
            store.begin_record();
        }
    }

    /// Hands everything to the host.
    pub(crate) fn end(&mut self) {
        for store in &self.stores {
            store.end();
        }
        self.output.hand_over();
        self.row = None;
    }

    /// Forgets what a punctuation did.
    pub(crate) fn take_back_punctuation(&mut self) {
        self.output.clear();
        for store in &self.stores {
            store.take_back();
        }
    }

    pub(crate) fn take_failures(&mut self) -> Vec<(u32, Error)> {
        std::mem::take(&mut self.failures)
    }

    /// Calls the punctuation's own punctuator; none if it has none.
    pub(crate) fn call_punctuator(&mut self, id: Punctuation, timestamp: Timestamp) -> Option<Result<()>> {
        let place = self.punctuators.iter_mut().find(|(other, _)| *other == id)?;
        let mut punctuator = place.1.take()?;
        let result = punctuator(timestamp, self);
        // It may have cancelled itself; then its place is gone.
        if let Some(place) = self.punctuators.iter_mut().find(|(other, _)| *other == id) {
            place.1 = Some(punctuator);
        }
        Some(result)
    }
}
