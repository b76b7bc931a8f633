//! Operations as bytes: the bodies of a journal's frames. Format version 1; numbers are little-endian.

use std::borrow::Cow;
use std::collections::BTreeMap;

use millstream_core::id::{Offset, TopicPartition};
use millstream_core::port::CommittedOffset;
use millstream_core::record::{Headers, Record, RecordBatch};

use crate::contents::{OffsetList, Operation};
use crate::partition::{Bounds, ChunkState};
use crate::topic::PartitionIndex;
use crate::transaction::ProducerId;

const CREATE_TOPIC: u8 = 1;
const APPEND: u8 = 2;
const ADD_OFFSETS: u8 = 3;
const END_TRANSACTION: u8 = 4;
const REGISTER_PRODUCER: u8 = 5;
const COMMIT_OFFSETS: u8 = 6;
const PURGE: u8 = 7;
const SET_BOUNDS: u8 = 8;

const STATE_COMMITTED: u8 = 0;
const STATE_ABORTED: u8 = 1;
const STATE_OPEN: u8 = 2;

const NULL_LENGTH: u32 = u32::MAX;

/// Appends the bytes of `operation`.
pub(crate) fn encode(operation: &Operation<'_>, out: &mut Vec<u8>) {
    match operation {
        Operation::CreateTopic { name, partitions, configs } => {
            out.push(CREATE_TOPIC);
            put_text(out, name);
            put_u32(out, *partitions as u32);
            put_u32(out, configs.len() as u32);
            for (name, value) in configs.iter() {
                put_text(out, name);
                put_text(out, value);
            }
        }
        Operation::Append { at, base, state, records, rows } => {
            out.push(APPEND);
            put_index(out, *at);
            put_i64(out, *base);
            put_state(out, *state);
            put_u32(out, rows.len() as u32);
            for row in rows.clone() {
                put_record(out, &records.record(row));
            }
        }
        Operation::AddOffsets { producer, group, offsets } => {
            out.push(ADD_OFFSETS);
            put_u32(out, producer.0);
            put_text(out, group);
            put_offsets(out, offsets);
        }
        Operation::EndTransaction { producer, committed } => {
            out.push(END_TRANSACTION);
            put_u32(out, producer.0);
            out.push(u8::from(*committed));
        }
        Operation::RegisterProducer { transactional_id, epoch } => {
            out.push(REGISTER_PRODUCER);
            put_text(out, transactional_id);
            put_u32(out, *epoch);
        }
        Operation::CommitOffsets { group, offsets } => {
            out.push(COMMIT_OFFSETS);
            put_text(out, group);
            put_offsets(out, offsets);
        }
        Operation::Purge { at, before } => {
            out.push(PURGE);
            put_index(out, *at);
            put_i64(out, *before);
        }
        Operation::SetBounds { at, bounds } => {
            out.push(SET_BOUNDS);
            put_index(out, *at);
            put_bounds(out, bounds);
        }
    }
}

fn put_u32(out: &mut Vec<u8>, number: u32) {
    out.extend_from_slice(&number.to_le_bytes());
}

fn put_i64(out: &mut Vec<u8>, number: i64) {
    out.extend_from_slice(&number.to_le_bytes());
}

fn put_bytes(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    put_u32(out, bytes.map_or(NULL_LENGTH, |bytes| bytes.len() as u32));
    out.extend_from_slice(bytes.unwrap_or_default());
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    put_bytes(out, Some(text.as_bytes()));
}

fn put_index(out: &mut Vec<u8>, at: PartitionIndex) {
    put_u32(out, at.topic);
    put_u32(out, at.partition);
}

fn put_state(out: &mut Vec<u8>, state: ChunkState) {
    match state {
        ChunkState::Committed => out.push(STATE_COMMITTED),
        ChunkState::Aborted => out.push(STATE_ABORTED),
        ChunkState::Open(producer) => {
            out.push(STATE_OPEN);
            put_u32(out, producer.0);
        }
    }
}

fn put_record(out: &mut Vec<u8>, record: &Record<'_>) {
    put_i64(out, record.timestamp);
    put_bytes(out, record.key);
    put_bytes(out, record.value);
    put_bytes(out, Some(record.headers.packed()));
}

fn put_offsets(out: &mut Vec<u8>, offsets: &[(TopicPartition, CommittedOffset)]) {
    put_u32(out, offsets.len() as u32);
    for (partition, committed) in offsets {
        put_text(out, partition.topic.as_str());
        put_u32(out, partition.partition as u32);
        put_i64(out, committed.offset.0);
        put_text(out, &committed.metadata);
    }
}

fn put_bounds(out: &mut Vec<u8>, bounds: &Bounds) {
    put_i64(out, bounds.start);
    put_i64(out, bounds.next);
    put_u32(out, bounds.open.len() as u32);
    for (producer, first) in &bounds.open {
        put_u32(out, producer.0);
        put_i64(out, *first);
    }
    out.push(u8::from(bounds.cleaned.is_some()));
    let (time, offset) = bounds.cleaned.unwrap_or_default();
    put_i64(out, time);
    put_i64(out, offset);
}

/// Reads an operation back; its records are put into `records`. `None` when these are not the bytes of one.
pub(crate) fn decode<'a>(body: &'a [u8], records: &'a mut RecordBatch) -> Option<Operation<'a>> {
    let mut body = Body(body);
    records.clear();
    let operation = match body.u8()? {
        CREATE_TOPIC => {
            let name = body.text()?;
            let partitions = body.u32()? as i32;
            let count = body.u32()?;
            let mut configs = BTreeMap::new();
            for _ in 0..count {
                configs.insert(body.text()?.to_owned(), body.text()?.to_owned());
            }
            Operation::CreateTopic { name, partitions, configs: Cow::Owned(configs) }
        }
        APPEND => {
            let (at, base, state, count) = (body.index()?, body.i64()?, body.state()?, body.u32()?);
            for _ in 0..count {
                records.push(body.record()?, 0);
            }
            Operation::Append { at, base, state, records, rows: 0..count as usize }
        }
        ADD_OFFSETS => {
            Operation::AddOffsets { producer: body.producer()?, group: body.text()?, offsets: body.offsets()? }
        }
        END_TRANSACTION => Operation::EndTransaction { producer: body.producer()?, committed: body.u8()? != 0 },
        REGISTER_PRODUCER => Operation::RegisterProducer { transactional_id: body.text()?, epoch: body.u32()? },
        COMMIT_OFFSETS => Operation::CommitOffsets { group: body.text()?, offsets: body.offsets()? },
        PURGE => Operation::Purge { at: body.index()?, before: body.i64()? },
        SET_BOUNDS => Operation::SetBounds { at: body.index()?, bounds: body.bounds()? },
        _ => return None,
    };
    body.0.is_empty().then_some(operation)
}

/// What is left of a body.
struct Body<'a>(&'a [u8]);

impl<'a> Body<'a> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*head)
    }

    fn u8(&mut self) -> Option<u8> {
        self.array().map(|[byte]| byte)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn i64(&mut self) -> Option<i64> {
        self.array().map(i64::from_le_bytes)
    }

    fn bytes(&mut self) -> Option<Option<&'a [u8]>> {
        let length = self.u32()?;
        if length == NULL_LENGTH {
            return Some(None);
        }
        let (head, rest) = self.0.split_at_checked(length as usize)?;
        self.0 = rest;
        Some(Some(head))
    }

    fn text(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.bytes()??).ok()
    }

    fn index(&mut self) -> Option<PartitionIndex> {
        Some(PartitionIndex { topic: self.u32()?, partition: self.u32()? })
    }

    fn producer(&mut self) -> Option<ProducerId> {
        self.u32().map(ProducerId)
    }

    fn state(&mut self) -> Option<ChunkState> {
        match self.u8()? {
            STATE_COMMITTED => Some(ChunkState::Committed),
            STATE_ABORTED => Some(ChunkState::Aborted),
            STATE_OPEN => self.producer().map(ChunkState::Open),
            _ => None,
        }
    }

    fn record(&mut self) -> Option<Record<'a>> {
        let timestamp = self.i64()?;
        let (key, value) = (self.bytes()?, self.bytes()?);
        Some(Record { key, value, timestamp, headers: Headers::from_packed(self.bytes()??) })
    }

    fn offsets(&mut self) -> Option<OffsetList<'a>> {
        let count = self.u32()?;
        let mut offsets = Vec::new();
        for _ in 0..count {
            let partition = TopicPartition::new(self.text()?, self.u32()? as i32);
            let offset = Offset(self.i64()?);
            offsets.push((partition, CommittedOffset { offset, metadata: self.text()?.to_owned() }));
        }
        Some(Cow::Owned(offsets))
    }

    fn bounds(&mut self) -> Option<Bounds> {
        let (start, next, count) = (self.i64()?, self.i64()?, self.u32()?);
        let mut open = Vec::new();
        for _ in 0..count {
            open.push((self.producer()?, self.i64()?));
        }
        let is_cleaned = self.u8()? != 0;
        let cleaned = (self.i64()?, self.i64()?);
        Some(Bounds { start, next, open, cleaned: is_cleaned.then_some(cleaned) })
    }
}

#[cfg(test)]
mod tests {
    use millstream_core::record::pack_header;

    use super::*;

    fn check(operation: &Operation<'_>) {
        let mut bytes = Vec::new();
        encode(operation, &mut bytes);
        let mut records = RecordBatch::new();
        assert_eq!(decode(&bytes, &mut records).as_ref(), Some(operation));
        for length in 0..bytes.len() {
            assert_eq!(decode(&bytes[..length], &mut records), None, "cut to {length} of {operation:?}");
        }
        bytes.push(0);
        assert_eq!(decode(&bytes, &mut records), None, "one byte too many: {operation:?}");
    }

    #[test]
    fn operations_come_back_as_they_were_written_and_not_when_cut() {
        let at = PartitionIndex { topic: 3, partition: 2 };
        let mut packed = Vec::new();
        pack_header(&mut packed, b"h", None);
        let headers = Headers::from_packed(&packed);
        let mut records = RecordBatch::new();
        records.push(Record { key: None, value: Some(b"v"), timestamp: -1, headers }, 0);
        records.push(Record { key: Some(b""), value: None, timestamp: 9, headers: Headers::EMPTY }, 0);
        let offset = CommittedOffset { offset: Offset(5), metadata: "AgA=".to_owned() };
        let offsets = vec![(TopicPartition::new("t", 1), offset)];
        let configs = BTreeMap::from([("cleanup.policy".to_owned(), "compact".to_owned())]);
        let bounds = Bounds { start: 1, next: 9, open: vec![(ProducerId(4), 3)], cleaned: Some((1, 2)) };
        check(&Operation::CreateTopic { name: "t", partitions: 2, configs: Cow::Owned(configs) });
        for state in [ChunkState::Committed, ChunkState::Aborted, ChunkState::Open(ProducerId(7))] {
            check(&Operation::Append { at, base: 7, state, records: &records, rows: 0..2 });
        }
        check(&Operation::AddOffsets { producer: ProducerId(1), group: "g", offsets: Cow::Borrowed(&offsets) });
        check(&Operation::EndTransaction { producer: ProducerId(1), committed: true });
        check(&Operation::RegisterProducer { transactional_id: "x", epoch: 8 });
        check(&Operation::CommitOffsets { group: "g", offsets: Cow::Owned(offsets) });
        check(&Operation::Purge { at, before: 4 });
        check(&Operation::SetBounds { at, bounds });
    }
}
