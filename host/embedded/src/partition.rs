//! One partition: records in segments of columns, and what each transaction decided about them.

use std::collections::VecDeque;
use std::ops::Range;

use millstream_core::id::Offset;
use millstream_core::port::Fetched;
use millstream_core::record::RecordBatch;

use crate::transaction::ProducerId;

/// Which records a reader sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolation {
    /// All up to the end, aborted ones and those of open transactions included.
    ReadUncommitted,
    /// The committed ones before the first open transaction.
    ReadCommitted,
}

/// What was decided about a run of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ChunkState {
    /// Outside a transaction, or its transaction was committed.
    Committed,
    /// Its transaction was aborted.
    Aborted,
    /// The transaction of this producer is open.
    Open(ProducerId),
}

/// Records of one state with consecutive offsets.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chunk {
    /// The first record's offset.
    pub base: i64,
    /// The first record's index in the segment.
    pub row: u32,
    /// The number of records, at least 1.
    pub count: u32,
    /// What was decided about them.
    pub state: ChunkState,
}

impl Chunk {
    /// The offset after the last record.
    pub fn end(&self) -> i64 {
        self.base + i64::from(self.count)
    }

    fn rows_from(&self, offset: i64, count_max: usize) -> Range<usize> {
        let passed = (offset - self.base).max(0) as usize;
        let first = self.row as usize + passed;
        first..first + (self.count as usize - passed).min(count_max)
    }
}

/// A stretch of the partition that is dropped as a whole. Markers have no chunk: they are gaps between chunks.
#[derive(Debug, Default)]
pub(crate) struct Segment {
    /// The records of all chunks.
    pub records: RecordBatch,
    /// In offset order, never empty once the segment is in a partition.
    pub chunks: Vec<Chunk>,
}

impl Segment {
    fn base(&self) -> i64 {
        self.chunks.first().map_or(0, |chunk| chunk.base)
    }

    fn end(&self) -> i64 {
        self.chunks.last().map_or(0, Chunk::end)
    }

    fn byte_len(&self) -> usize {
        byte_len(&self.records)
    }
}

/// A segment that holds this much is closed: small enough that purging frees memory soon, large enough that its
/// columns are copied in few pieces.
const SEGMENT_BYTES: usize = 1 << 20;

/// One read stops after so many bytes, so that the columns of a batch stay far below the 4 GiB that their ends can
/// name.
const READ_BYTES_MAX: usize = 64 << 20;

/// What a record costs beside its bytes: ends, timestamp, row.
const RECORD_BYTES: usize = 20;

/// The memory that `records` take.
pub(crate) fn byte_len(records: &RecordBatch) -> usize {
    records.byte_len() + RECORD_BYTES * records.len()
}

/// What is known of a partition beside its records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bounds {
    /// The offset of the oldest record.
    pub start: i64,
    /// The offset that the next record or marker gets.
    pub next: i64,
    /// The open transactions that have, or had, records here, and the first offset of each.
    pub open: Vec<(ProducerId, i64)>,
    /// See [`Partition::cleaned`].
    pub cleaned: Option<(i64, i64)>,
}

/// The log of one partition.
#[derive(Debug, Default)]
pub(crate) struct Partition {
    /// The offset of the oldest record that was not purged.
    start: i64,
    /// The offset that the next record or marker gets.
    next: i64,
    segments: VecDeque<Segment>,
    /// The open transactions that have records here, and the first offset of each.
    open: Vec<(ProducerId, i64)>,
    bytes: usize,
    /// When and up to where a compaction saw all tombstones; see [`crate::compaction`].
    pub(crate) cleaned: Option<(i64, i64)>,
    /// The size at which the partition is compacted again.
    pub(crate) compact_at_bytes: usize,
}

impl Partition {
    /// The offset of the oldest record that was not purged.
    pub fn start_offset(&self) -> Offset {
        Offset(self.start)
    }

    /// The offset after the last record or marker.
    pub fn end_offset(&self) -> Offset {
        Offset(self.next)
    }

    /// The offset where the first open transaction begins, or the end: read-committed readers stop here.
    pub fn stable_offset(&self) -> Offset {
        let first = self.open.iter().map(|(_, first)| *first).min().unwrap_or(self.next);
        Offset(first.max(self.start))
    }

    /// The offset where a reader with `isolation` stops.
    pub fn readable_offset(&self, isolation: Isolation) -> Offset {
        match isolation {
            Isolation::ReadUncommitted => self.end_offset(),
            Isolation::ReadCommitted => self.stable_offset(),
        }
    }

    /// The memory that the records take, roughly.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn segments(&self) -> impl Iterator<Item = &Segment> {
        self.segments.iter()
    }

    /// Appends records whose first gets the offset `base`, which may leave a gap but not go back.
    pub fn append(&mut self, base: i64, state: ChunkState, records: &RecordBatch, rows: Range<usize>) {
        debug_assert!(base >= self.next);
        if rows.is_empty() {
            return;
        }
        self.next = base + rows.len() as i64;
        self.push(base, state, records, rows);
        if let ChunkState::Open(producer) = state
            && !self.open.iter().any(|(open, _)| *open == producer)
        {
            self.open.push((producer, base));
        }
    }

    /// Stores records without moving the end.
    pub(crate) fn push(&mut self, base: i64, state: ChunkState, records: &RecordBatch, rows: Range<usize>) {
        if self.segments.back().is_none_or(|segment| segment.byte_len() >= SEGMENT_BYTES) {
            self.segments.push_back(Segment::default());
        }
        let Some(segment) = self.segments.back_mut() else { return };
        let before = segment.byte_len();
        let count = rows.len() as u32;
        let row = segment.records.len() as u32;
        segment.records.push_range(records, rows);
        self.bytes += segment.byte_len() - before;
        match segment.chunks.last_mut() {
            Some(last) if last.end() == base && last.state == state => last.count += count,
            _ => segment.chunks.push(Chunk { base, row, count, state }),
        }
    }

    /// Ends the transaction of `producer` here: its records are decided and a marker takes the next offset.
    pub fn end_transaction(&mut self, producer: ProducerId, committed: bool) {
        let Some(found) = self.open.iter().position(|(open, _)| *open == producer) else { return };
        let (_, first) = self.open.swap_remove(found);
        let state = if committed { ChunkState::Committed } else { ChunkState::Aborted };
        let from = self.segment_of(first);
        for segment in self.segments.iter_mut().skip(from) {
            for chunk in segment.chunks.iter_mut().filter(|chunk| chunk.state == ChunkState::Open(producer)) {
                chunk.state = state;
            }
        }
        self.next += 1;
    }

    /// Drops the records before `before`.
    pub fn purge(&mut self, before: Offset) {
        self.start = self.start.max(before.0.min(self.next));
        while let Some(segment) = self.segments.pop_front_if(|segment| segment.end() <= self.start) {
            self.bytes -= segment.byte_len();
        }
    }

    /// What a snapshot must keep of the partition beside its records.
    pub fn bounds(&self) -> Bounds {
        Bounds { start: self.start, next: self.next, open: self.open.clone(), cleaned: self.cleaned }
    }

    /// Sets what a snapshot kept; its records have been appended.
    pub fn set_bounds(&mut self, bounds: &Bounds) {
        self.next = self.next.max(bounds.next);
        self.open.clone_from(&bounds.open);
        self.cleaned = bounds.cleaned;
        self.purge(Offset(bounds.start));
    }

    /// Appends up to `records_max` records that `isolation` shows, from `from` on, and returns the position after them:
    /// after the last one, or, when there are no more, after all that is decided.
    pub fn read(&self, from: Offset, isolation: Isolation, records_max: usize, into: &mut Fetched) -> Offset {
        let limit = self.readable_offset(isolation).0;
        let mut position = from.0.max(self.start);
        let mut wanted = records_max;
        let first = self.segment_of(position);
        for segment in self.segments.iter().skip(first) {
            let skipped = segment.chunks.partition_point(|chunk| chunk.end() <= position);
            for chunk in &segment.chunks[skipped..] {
                if chunk.base >= limit {
                    return Offset(position.max(limit));
                }
                if isolation == Isolation::ReadCommitted && chunk.state != ChunkState::Committed {
                    continue;
                }
                if wanted == 0 || into.records.byte_len() >= READ_BYTES_MAX {
                    return Offset(position);
                }
                let offset = position.max(chunk.base);
                let rows = chunk.rows_from(offset, wanted.min((limit - offset) as usize));
                wanted -= rows.len();
                position = offset + rows.len() as i64;
                into.offsets.extend((offset..position).map(Offset));
                into.records.push_range(&segment.records, rows);
                if position < chunk.end() {
                    return Offset(position);
                }
            }
        }
        Offset(position.max(limit))
    }

    /// The index of the segment that holds `offset`, or of the one after it.
    fn segment_of(&self, offset: i64) -> usize {
        let after = self.segments.partition_point(|segment| segment.base() <= offset);
        after.saturating_sub(1)
    }

    /// Takes all segments out, to be compacted and pushed again.
    pub(crate) fn take_segments(&mut self) -> VecDeque<Segment> {
        self.bytes = 0;
        std::mem::take(&mut self.segments)
    }
}

#[cfg(test)]
mod tests {
    use millstream_core::record::{Headers, Record};

    use super::*;

    fn batch(values: &[&str]) -> RecordBatch {
        let mut batch = RecordBatch::new();
        for value in values {
            let record = Record { key: None, value: Some(value.as_bytes()), timestamp: 1, headers: Headers::EMPTY };
            batch.push(record, 0);
        }
        batch
    }

    fn append(partition: &mut Partition, state: ChunkState, values: &[&str]) {
        partition.append(partition.end_offset().0, state, &batch(values), 0..values.len());
    }

    /// What a reader sees from `from` on, and its next position.
    fn seen(partition: &Partition, from: i64, isolation: Isolation, max: usize) -> (Vec<(i64, String)>, i64) {
        let mut fetched = Fetched::default();
        let next = partition.read(Offset(from), isolation, max, &mut fetched);
        let values = fetched.records.iter().map(|record| String::from_utf8(record.value.unwrap().to_vec()).unwrap());
        (fetched.offsets.iter().map(|offset| offset.0).zip(values).collect(), next.0)
    }

    fn pairs(expected: &[(i64, &str)]) -> Vec<(i64, String)> {
        expected.iter().map(|(offset, value)| (*offset, (*value).to_owned())).collect()
    }

    const COMMITTED: Isolation = Isolation::ReadCommitted;
    const UNCOMMITTED: Isolation = Isolation::ReadUncommitted;

    #[test]
    fn an_open_transaction_holds_back_what_follows_it() {
        let mut partition = Partition::default();
        append(&mut partition, ChunkState::Committed, &["a"]);
        append(&mut partition, ChunkState::Open(ProducerId(0)), &["b"]);
        append(&mut partition, ChunkState::Committed, &["c"]);
        assert_eq!(seen(&partition, 0, COMMITTED, 9), (pairs(&[(0, "a")]), 1));
        assert_eq!(seen(&partition, 0, UNCOMMITTED, 9), (pairs(&[(0, "a"), (1, "b"), (2, "c")]), 3));
        partition.end_transaction(ProducerId(0), true);
        assert_eq!(partition.end_offset(), Offset(4), "the marker takes an offset");
        assert_eq!(seen(&partition, 1, COMMITTED, 9), (pairs(&[(1, "b"), (2, "c")]), 4));
    }

    #[test]
    fn aborted_records_are_passed_over_and_interleaved_ones_are_not() {
        let mut partition = Partition::default();
        append(&mut partition, ChunkState::Open(ProducerId(0)), &["a", "b"]);
        append(&mut partition, ChunkState::Open(ProducerId(1)), &["c"]);
        append(&mut partition, ChunkState::Open(ProducerId(0)), &["d"]);
        partition.end_transaction(ProducerId(0), false);
        assert_eq!(partition.stable_offset(), Offset(2));
        assert_eq!(seen(&partition, 0, COMMITTED, 9), (pairs(&[]), 2));
        partition.end_transaction(ProducerId(1), true);
        assert_eq!(seen(&partition, 0, COMMITTED, 9), (pairs(&[(2, "c")]), 6));
        assert_eq!(seen(&partition, 0, COMMITTED, 1), (pairs(&[(2, "c")]), 6), "nothing visible is left");
    }

    #[test]
    fn a_limited_read_goes_on_where_it_stopped() {
        let mut partition = Partition::default();
        append(&mut partition, ChunkState::Committed, &["a", "b", "c"]);
        assert_eq!(seen(&partition, 0, COMMITTED, 2), (pairs(&[(0, "a"), (1, "b")]), 2));
        assert_eq!(seen(&partition, 2, COMMITTED, 2), (pairs(&[(2, "c")]), 3));
        assert_eq!(seen(&partition, 3, COMMITTED, 2), (pairs(&[]), 3));
        assert_eq!(seen(&partition, 0, COMMITTED, 0), (pairs(&[]), 0));
    }

    #[test]
    fn purged_records_are_gone_and_their_memory_too() {
        let mut partition = Partition::default();
        let large = "x".repeat(SEGMENT_BYTES / 2);
        for _ in 0..8 {
            append(&mut partition, ChunkState::Committed, &[&large]);
        }
        partition.purge(Offset(5));
        assert_eq!(partition.start_offset(), Offset(5));
        assert_eq!(seen(&partition, 0, COMMITTED, 1).0[0].0, 5);
        assert!(partition.bytes() <= 4 * large.len() + 400, "{}", partition.bytes());
        partition.purge(Offset(2));
        assert_eq!(partition.start_offset(), Offset(5), "the start never goes back");
        partition.purge(Offset(99));
        assert_eq!((partition.start_offset(), partition.bytes()), (Offset(8), 0));
    }
}
