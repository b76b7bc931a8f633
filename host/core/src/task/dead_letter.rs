//! Dead letters: records that could not be processed, with the headers of KIP-1034 (reference §3.15).

use crate::error::{Coordinates, Result};
use crate::id::{NodeName, Timestamp, TopicName};
use crate::port::ProducerRecord;
use crate::record::{Headers, Record, pack_header};
use crate::record_collector::RecordCollector;

/// Why a record is sent to the dead-letter topic.
pub(super) struct DeadLetter<'a> {
    /// The topic.
    pub topic: &'a TopicName,
    /// The node that failed.
    pub node_name: &'a NodeName,
    /// Why.
    pub reason: &'a str,
    /// Where the source record came from; `None` when a punctuation made it.
    pub origin: Option<&'a Coordinates>,
}

impl DeadLetter<'_> {
    /// Sends the *source* record, in the transaction of the rest.
    ///
    /// # Errors
    ///
    /// When the broker refuses.
    pub fn send(&self, record: Record<'_>, collector: &mut RecordCollector) -> Result<()> {
        let mut headers = record.headers.packed().to_vec();
        let mut header = |key: &str, value: Option<&str>| {
            let key = format!("__streams.errors.{key}");
            pack_header(&mut headers, key.as_bytes(), value.map(str::as_bytes));
        };
        let (topic, partition, offset) = match self.origin {
            Some(Coordinates { partition, offset }) => (Some(partition.topic.as_str()), partition.partition, offset.0),
            None => (None, -1, -1),
        };
        header("exception", Some("millstream.ProcessorFailure"));
        header("message", Some(&format!("node `{}`: {}", self.node_name, self.reason)));
        header("stacktrace", Some(self.reason));
        header("topic", topic);
        header("partition", Some(&partition.to_string()));
        header("offset", Some(&offset.to_string()));
        collector.send(ProducerRecord {
            topic: self.topic,
            partition: None,
            key: record.key,
            value: record.value,
            timestamp: record.timestamp,
            headers: Headers::from_packed(&headers),
        })
    }
}

/// What stands for the source record in a punctuation, which has none.
pub(super) fn no_record(timestamp: Timestamp) -> Record<'static> {
    Record { key: None, value: None, timestamp, headers: Headers::EMPTY }
}
