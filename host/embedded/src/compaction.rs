//! Compaction of changelog topics: only the newest record of each key is kept.
//!
//! As in Kafka, offsets stay what they are, records from the first open transaction on are not touched, and a
//! tombstone stays for `delete.retention.ms` after the first compaction that saw it, so that a store which lags
//! behind still learns of it. Under `compact,delete` records older than `retention.ms` go too; their age is measured
//! from the newest timestamp of the partition, not from the wall clock, so that replayed old data is not lost.

use std::collections::{HashMap, VecDeque};

use millstream_core::id::Timestamp;

use crate::partition::{ChunkState, Partition, Segment};

/// When records may go, from a topic's configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CompactionRules {
    /// `delete.retention.ms`.
    pub tombstone_retention_millis: i64,
    /// `retention.ms` under `compact,delete`.
    pub record_retention_millis: Option<i64>,
}

/// Compacts `partition` at the wall-clock time `now`.
pub(crate) fn compact(partition: &mut Partition, rules: CompactionRules, now: Timestamp) {
    let limit = partition.stable_offset().0;
    let start = partition.start_offset().0;
    let tombstones_before = match partition.cleaned {
        Some((time, offset)) if now.saturating_sub(time) >= rules.tombstone_retention_millis => {
            partition.cleaned = Some((now, limit));
            offset
        }
        Some(_) => i64::MIN,
        None => {
            partition.cleaned = Some((now, limit));
            i64::MIN
        }
    };
    let segments = partition.take_segments();
    let newest = newest_records(&segments, start, limit);
    let oldest_time = match rules.record_retention_millis {
        Some(retention) => newest.time.saturating_sub(retention),
        None => i64::MIN,
    };
    for segment in &segments {
        for chunk in &segment.chunks {
            let rows = chunk.row as usize..(chunk.row + chunk.count) as usize;
            let is_open = matches!(chunk.state, ChunkState::Open(_));
            if is_open || chunk.base >= limit {
                partition.push(chunk.base, chunk.state, &segment.records, rows);
                continue;
            }
            if chunk.state != ChunkState::Committed {
                continue;
            }
            for (row, offset) in rows.zip(chunk.base..) {
                let record = segment.records.record(row);
                let is_newest = newest.offsets.get(record.key.unwrap_or_default()) == Some(&offset);
                let is_tombstone_due = record.value.is_none() && offset < tombstones_before;
                if is_newest && !is_tombstone_due && record.timestamp >= oldest_time {
                    partition.push(offset, ChunkState::Committed, &segment.records, row..row + 1);
                }
            }
        }
    }
}

struct NewestRecords<'a> {
    /// Each key's newest offset.
    offsets: HashMap<&'a [u8], i64>,
    /// The newest timestamp.
    time: Timestamp,
}

fn newest_records(segments: &VecDeque<Segment>, start: i64, limit: i64) -> NewestRecords<'_> {
    let mut newest = NewestRecords { offsets: HashMap::new(), time: i64::MIN };
    for segment in segments {
        for chunk in &segment.chunks {
            if chunk.base >= limit || chunk.state != ChunkState::Committed {
                continue;
            }
            for (row, offset) in (chunk.row as usize..).zip(chunk.base..chunk.end()) {
                if offset >= start {
                    newest.offsets.insert(segment.records.key(row).unwrap_or_default(), offset);
                    newest.time = newest.time.max(segment.records.timestamp(row));
                }
            }
        }
    }
    newest
}

#[cfg(test)]
mod tests {
    use millstream_core::id::Offset;
    use millstream_core::port::Fetched;
    use millstream_core::record::{Headers, Record, RecordBatch};

    use super::*;
    use crate::partition::Isolation;
    use crate::transaction::ProducerId;

    const RULES: CompactionRules = CompactionRules { tombstone_retention_millis: 100, record_retention_millis: None };

    fn append(partition: &mut Partition, state: ChunkState, key: &str, value: Option<&str>, timestamp: Timestamp) {
        let mut batch = RecordBatch::new();
        let value = value.map(str::as_bytes);
        batch.push(Record { key: Some(key.as_bytes()), value, timestamp, headers: Headers::EMPTY }, 0);
        partition.append(partition.end_offset().0, state, &batch, 0..1);
    }

    fn offsets(partition: &Partition) -> Vec<i64> {
        let mut fetched = Fetched::default();
        partition.read(Offset(0), Isolation::ReadUncommitted, 100, &mut fetched);
        fetched.offsets.iter().map(|offset| offset.0).collect()
    }

    #[test]
    fn the_newest_record_of_each_key_stays_at_its_offset() {
        let mut partition = Partition::default();
        for (key, value) in [("a", "1"), ("b", "1"), ("a", "2"), ("c", "1"), ("b", "2")] {
            append(&mut partition, ChunkState::Committed, key, Some(value), 0);
        }
        let before = partition.bytes();
        compact(&mut partition, RULES, 0);
        assert_eq!(offsets(&partition), [2, 3, 4]);
        assert_eq!(partition.end_offset(), Offset(5));
        assert!(partition.bytes() < before);
    }

    #[test]
    fn records_of_and_after_an_open_transaction_are_not_touched() {
        let mut partition = Partition::default();
        append(&mut partition, ChunkState::Committed, "a", Some("1"), 0);
        append(&mut partition, ChunkState::Open(ProducerId(0)), "a", Some("2"), 0);
        append(&mut partition, ChunkState::Committed, "a", Some("3"), 0);
        compact(&mut partition, RULES, 0);
        assert_eq!(offsets(&partition), [0, 1, 2]);
        partition.end_transaction(ProducerId(0), false);
        compact(&mut partition, RULES, 0);
        assert_eq!(offsets(&partition), [2]);
    }

    #[test]
    fn a_tombstone_stays_for_its_retention() {
        let mut partition = Partition::default();
        append(&mut partition, ChunkState::Committed, "a", Some("1"), 0);
        append(&mut partition, ChunkState::Committed, "a", None, 0);
        compact(&mut partition, RULES, 1_000);
        assert_eq!(offsets(&partition), [1]);
        compact(&mut partition, RULES, 1_099);
        assert_eq!(offsets(&partition), [1]);
        append(&mut partition, ChunkState::Committed, "b", None, 0);
        compact(&mut partition, RULES, 1_100);
        assert_eq!(offsets(&partition), [2], "the younger one stays");
    }

    #[test]
    fn records_past_their_retention_go_by_the_partitions_own_time() {
        let mut partition = Partition::default();
        append(&mut partition, ChunkState::Committed, "a", Some("1"), 10);
        append(&mut partition, ChunkState::Committed, "b", Some("1"), 60);
        compact(&mut partition, CompactionRules { record_retention_millis: Some(50), ..RULES }, i64::MAX);
        assert_eq!(offsets(&partition), [0, 1]);
        compact(&mut partition, CompactionRules { record_retention_millis: Some(49), ..RULES }, i64::MAX);
        assert_eq!(offsets(&partition), [1]);
    }
}
