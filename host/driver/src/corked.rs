//! A consumer and a changelog reader whose partitions can be corked: nothing comes out, and the lag is what the test says.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use millstream_core::Result;
use millstream_core::id::{Offset, TopicPartition};
use millstream_core::port::{
    ChangelogReader, CommittedOffset, Consumer, Fetched, GroupMetadata, Lag, LogBounds, MembershipEvent,
};

/// What is corked; a clone is another handle of the same.
#[derive(Clone, Debug, Default)]
pub struct Corks {
    partitions: Rc<RefCell<BTreeMap<TopicPartition, Lag>>>,
    last_wait: Rc<Cell<Option<Duration>>>,
}

impl Corks {
    /// Holds a partition back, with this answer to the question for its lag.
    pub fn cork(&self, topic: &str, partition: i32, lag: Lag) {
        self.partitions.borrow_mut().insert(TopicPartition::new(topic, partition), lag);
    }

    /// Lets a partition go.
    pub fn pull(&self, topic: &str, partition: i32) {
        self.partitions.borrow_mut().remove(&TopicPartition::new(topic, partition));
    }

    /// How long the thread meant to wait when it waited last; nobody waits really, for nobody else would move time on.
    #[must_use]
    pub fn take_last_wait(&self) -> Option<Duration> {
        self.last_wait.take()
    }

    fn lag(&self, partition: &TopicPartition) -> Option<Lag> {
        self.partitions.borrow().get(partition).copied()
    }
}

/// See the file's documentation.
pub struct Corked<T> {
    /// The true one.
    pub inner: T,
    /// What is corked.
    pub corks: Corks,
}

impl<T: Consumer> Consumer for Corked<T> {
    fn poll_event(&mut self) -> Result<Option<MembershipEvent>> {
        self.inner.poll_event()
    }

    fn acknowledge_revoked(&mut self) -> Result<()> {
        self.inner.acknowledge_revoked()
    }

    fn assign(&mut self, partitions: &[(TopicPartition, Offset)]) -> Result<()> {
        self.inner.assign(partitions)
    }

    fn seek(&mut self, partition: &TopicPartition, offset: Offset) -> Result<()> {
        self.inner.seek(partition, offset)
    }

    fn take(&mut self, partition: &TopicPartition, records_max: usize, into: &mut Fetched) -> Result<usize> {
        match self.corks.lag(partition) {
            Some(_) => Ok(0),
            None => self.inner.take(partition, records_max, into),
        }
    }

    fn lag(&self, partition: &TopicPartition) -> Lag {
        self.corks.lag(partition).unwrap_or_else(|| self.inner.lag(partition))
    }

    fn position(&self, partition: &TopicPartition) -> Option<Offset> {
        self.inner.position(partition)
    }

    fn wait(&mut self, timeout: Duration) {
        self.corks.last_wait.set(Some(timeout));
        self.inner.wait(Duration::ZERO);
    }

    fn committed(&mut self, partitions: &[TopicPartition]) -> Result<Vec<Option<CommittedOffset>>> {
        self.inner.committed(partitions)
    }

    fn log_bounds(&mut self, partitions: &[TopicPartition]) -> Result<Vec<LogBounds>> {
        self.inner.log_bounds(partitions)
    }

    fn commit(&mut self, offsets: &[(TopicPartition, CommittedOffset)]) -> Result<()> {
        self.inner.commit(offsets)
    }

    fn group_metadata(&self) -> GroupMetadata {
        self.inner.group_metadata()
    }

    fn close(&mut self, leave: bool) {
        self.inner.close(leave);
    }
}

impl<T: ChangelogReader> ChangelogReader for Corked<T> {
    fn start(&mut self, partition: &TopicPartition, from: Option<Offset>) -> Result<Offset> {
        self.inner.start(partition, from)
    }

    fn take(&mut self, partition: &TopicPartition, records_max: usize, into: &mut Fetched) -> Result<usize> {
        match self.corks.lag(partition) {
            Some(_) => Ok(0),
            None => self.inner.take(partition, records_max, into),
        }
    }

    fn position(&self, partition: &TopicPartition) -> Option<Offset> {
        self.inner.position(partition)
    }

    fn stop(&mut self, partition: &TopicPartition) {
        self.inner.stop(partition);
    }
}
