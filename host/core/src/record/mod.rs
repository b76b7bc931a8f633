//! Records in packed columns: the one form in which they travel from the broker to the plugins and back.
//!
//! A batch owns a few flat buffers, whatever its number of records: nothing is allocated for a single record. The
//! layout of each column is the one of `wit/types.wit`, so that a batch crosses into a plugin by memory copies.

mod derived;
mod headers;
mod packed;

use std::ops::Range;

use crate::id::Timestamp;

pub use derived::{DerivedBatch, TooManyBytes};
pub use headers::{Headers, pack_header};
pub use packed::{ColumnsError, PackedColumns};

use headers::split_header_entry;

/// Bit of [`RecordBatch::nulls`]: the record has no key.
pub const KEY_IS_NULL: u8 = 1;
/// Bit of [`RecordBatch::nulls`]: the record has no value.
pub const VALUE_IS_NULL: u8 = 2;

/// A run of records in columns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecordBatch {
    keys: Vec<u8>,
    key_ends: Vec<u32>,
    values: Vec<u8>,
    value_ends: Vec<u32>,
    timestamps: Vec<Timestamp>,
    /// One byte a record, or empty while no record has a null.
    nulls: Vec<u8>,
    /// Packed headers of the records that have some; see [`Headers`].
    headers: Vec<u8>,
    /// For each record with headers its index, and where its entry starts and ends in `headers`.
    header_spans: Vec<HeaderSpan>,
    /// For each record the row of the source run that it descends from.
    rows: Vec<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct HeaderSpan {
    record: u32,
    start: u32,
    end: u32,
}

/// One record, borrowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// The key, if the record has one.
    pub key: Option<&'a [u8]>,
    /// The value; `None` is a tombstone.
    pub value: Option<&'a [u8]>,
    /// The record's timestamp.
    pub timestamp: Timestamp,
    /// The record's headers.
    pub headers: Headers<'a>,
}

impl RecordBatch {
    /// An empty batch.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The number of records.
    #[must_use]
    pub fn len(&self) -> usize {
        self.timestamps.len()
    }

    /// Whether the batch holds no record.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.timestamps.is_empty()
    }

    /// The bytes of keys, values and headers held.
    #[must_use]
    pub fn byte_len(&self) -> usize {
        self.keys.len() + self.values.len() + self.headers.len()
    }

    /// The bytes of the keys and values of the records `range`.
    #[must_use]
    pub fn range_byte_len(&self, range: Range<usize>) -> usize {
        let between = |ends: &[u32]| match range.end.checked_sub(1).filter(|last| *last >= range.start) {
            None => 0,
            Some(last) => (ends[last] - range.start.checked_sub(1).map_or(0, |before| ends[before])) as usize,
        };
        between(&self.key_ends) + between(&self.value_ends)
    }

    /// Removes all records and keeps the memory.
    pub fn clear(&mut self) {
        self.keys.clear();
        self.key_ends.clear();
        self.values.clear();
        self.value_ends.clear();
        self.timestamps.clear();
        self.nulls.clear();
        self.headers.clear();
        self.header_spans.clear();
        self.rows.clear();
    }

    /// The record at `index`.
    ///
    /// # Panics
    ///
    /// If there is no such record.
    #[must_use]
    pub fn record(&self, index: usize) -> Record<'_> {
        Record {
            key: self.key(index),
            value: self.value(index),
            timestamp: self.timestamps[index],
            headers: self.headers(index),
        }
    }

    /// Iterates over all records.
    pub fn iter(&self) -> impl Iterator<Item = Record<'_>> {
        (0..self.len()).map(|index| self.record(index))
    }

    /// The key of the record at `index`.
    #[must_use]
    pub fn key(&self, index: usize) -> Option<&[u8]> {
        let bytes = span(&self.keys, &self.key_ends, index);
        (self.null_bits(index) & KEY_IS_NULL == 0).then_some(bytes)
    }

    /// The value of the record at `index`.
    #[must_use]
    pub fn value(&self, index: usize) -> Option<&[u8]> {
        let bytes = span(&self.values, &self.value_ends, index);
        (self.null_bits(index) & VALUE_IS_NULL == 0).then_some(bytes)
    }

    /// The timestamp of the record at `index`.
    #[must_use]
    pub fn timestamp(&self, index: usize) -> Timestamp {
        self.timestamps[index]
    }

    /// Gives the record at `index` another timestamp.
    pub fn set_timestamp(&mut self, index: usize, timestamp: Timestamp) {
        self.timestamps[index] = timestamp;
    }

    /// The row of the source run from which the record at `index` descends.
    #[must_use]
    pub fn row(&self, index: usize) -> u32 {
        self.rows[index]
    }

    /// The headers of the record at `index`.
    #[must_use]
    pub fn headers(&self, index: usize) -> Headers<'_> {
        let index = index as u32;
        let Ok(found) = self.header_spans.binary_search_by_key(&index, |span| span.record) else {
            return Headers::EMPTY;
        };
        let span = self.header_spans[found];
        Headers::from_packed(&self.headers[span.start as usize..span.end as usize])
    }

    /// Whether any record has headers.
    #[must_use]
    pub fn has_headers(&self) -> bool {
        !self.header_spans.is_empty()
    }

    fn null_bits(&self, index: usize) -> u8 {
        self.nulls.get(index).copied().unwrap_or(0)
    }

    /// Appends a record that descends from `row` of the source run.
    pub fn push(&mut self, record: Record<'_>, row: u32) {
        let index = self.len();
        self.keys.extend_from_slice(record.key.unwrap_or_default());
        self.key_ends.push(self.keys.len() as u32);
        self.values.extend_from_slice(record.value.unwrap_or_default());
        self.value_ends.push(self.values.len() as u32);
        self.timestamps.push(record.timestamp);
        self.rows.push(row);
        let bits = null_bits_of(&record);
        if bits != 0 || !self.nulls.is_empty() {
            self.nulls.resize(index, 0);
            self.nulls.push(bits);
        }
        if !record.headers.is_empty() {
            let start = self.headers.len() as u32;
            self.headers.extend_from_slice(record.headers.packed());
            self.header_spans.push(HeaderSpan { record: index as u32, start, end: self.headers.len() as u32 });
        }
    }

    /// Appends the records `range` of `other`, each with the row it has there.
    pub fn push_range(&mut self, other: &RecordBatch, range: Range<usize>) {
        if range.is_empty() {
            return;
        }
        append_spans(&mut self.keys, &mut self.key_ends, &other.keys, &other.key_ends, &range);
        append_spans(&mut self.values, &mut self.value_ends, &other.values, &other.value_ends, &range);
        if !other.nulls.is_empty() || !self.nulls.is_empty() {
            let first = self.len();
            self.nulls.resize(first, 0);
            let known = other.nulls.get(range.clone());
            self.nulls.extend_from_slice(known.unwrap_or_default());
            self.nulls.resize(first + range.len(), 0);
        }
        self.push_range_of_others(other, range);
    }

    /// Appends the records `range` of `other` with empty keys and values.
    fn push_range_without_bytes(&mut self, other: &RecordBatch, range: Range<usize>) {
        let count = self.len() + range.len();
        self.key_ends.resize(count, self.keys.len() as u32);
        self.value_ends.resize(count, self.values.len() as u32);
        if !self.nulls.is_empty() {
            self.nulls.resize(count, 0);
        }
        self.push_range_of_others(other, range);
    }

    /// The columns beside keys and values.
    fn push_range_of_others(&mut self, other: &RecordBatch, range: Range<usize>) {
        let first = self.len();
        self.timestamps.extend_from_slice(&other.timestamps[range.clone()]);
        self.rows.extend_from_slice(&other.rows[range.clone()]);
        let spans = &other.header_spans;
        let from = spans.partition_point(|span| (span.record as usize) < range.start);
        for span in spans[from..].iter().take_while(|span| (span.record as usize) < range.end) {
            let start = self.headers.len() as u32;
            self.headers.extend_from_slice(&other.headers[span.start as usize..span.end as usize]);
            let record = (span.record as usize - range.start + first) as u32;
            self.header_spans.push(HeaderSpan { record, start, end: self.headers.len() as u32 });
        }
    }

    /// Numbers the rows from 0: this batch becomes the source run that later records descend from.
    pub fn number_rows(&mut self) {
        self.rows.clear();
        self.rows.extend(0..self.timestamps.len() as u32);
    }

    /// The columns, as they cross into a plugin.
    #[must_use]
    pub fn columns(&self) -> Columns<'_> {
        Columns {
            keys: &self.keys,
            key_ends: &self.key_ends,
            values: &self.values,
            value_ends: &self.value_ends,
            timestamps: &self.timestamps,
            nulls: &self.nulls,
        }
    }

    /// Writes the sparse headers column of `wit/types.wit` to `out`: for each record with headers its index (4 bytes),
    /// the length of its entry (4 bytes), and the entry. Nothing is written when no record has headers.
    pub fn write_headers_column(&self, out: &mut Vec<u8>) {
        for span in &self.header_spans {
            out.extend_from_slice(&span.record.to_le_bytes());
            out.extend_from_slice(&(span.end - span.start).to_le_bytes());
            out.extend_from_slice(&self.headers[span.start as usize..span.end as usize]);
        }
    }

    /// Appends records given as columns by a plugin; all or nothing. What they take from the call's input stays empty: see
    /// [`DerivedBatch`].
    ///
    /// # Errors
    ///
    /// [`ColumnsError`] when the columns disagree with each other.
    pub fn push_columns(&mut self, columns: &PackedColumns<'_>) -> Result<(), ColumnsError> {
        columns.check()?;
        let first = self.len();
        append_packed(&mut self.keys, &mut self.key_ends, columns.keys, columns.key_ends);
        append_packed(&mut self.values, &mut self.value_ends, columns.values, columns.value_ends);
        let timestamps = columns.timestamps.as_chunks::<8>().0;
        self.timestamps.extend(timestamps.iter().map(|bytes| i64::from_le_bytes(*bytes)));
        self.rows.extend((0..columns.len()).map(|index| columns.row(index)));
        if columns.has_nulls() || !self.nulls.is_empty() {
            self.nulls.resize(first, 0);
            self.nulls.extend(columns.nulls.iter().map(|bits| bits & (KEY_IS_NULL | VALUE_IS_NULL)));
            self.nulls.resize(first + columns.len(), 0);
        }
        let mut rest = columns.headers;
        while let Some((record, entry, tail)) = split_header_entry(rest) {
            let start = self.headers.len() as u32;
            self.headers.extend_from_slice(entry);
            let end = self.headers.len() as u32;
            self.header_spans.push(HeaderSpan { record: first as u32 + record, start, end });
            rest = tail;
        }
        Ok(())
    }
}

/// The numeric and byte columns of a batch, borrowed.
#[derive(Clone, Copy, Debug)]
pub struct Columns<'a> {
    /// All keys, one after the other; a null key takes no bytes.
    pub keys: &'a [u8],
    /// Where each key ends in `keys`.
    pub key_ends: &'a [u32],
    /// All values, one after the other; a null value takes no bytes.
    pub values: &'a [u8],
    /// Where each value ends in `values`.
    pub value_ends: &'a [u32],
    /// Each record's timestamp.
    pub timestamps: &'a [Timestamp],
    /// One byte a record ([`KEY_IS_NULL`], [`VALUE_IS_NULL`]), or empty when nothing is null.
    pub nulls: &'a [u8],
}

fn null_bits_of(record: &Record<'_>) -> u8 {
    let key = if record.key.is_none() { KEY_IS_NULL } else { 0 };
    let value = if record.value.is_none() { VALUE_IS_NULL } else { 0 };
    key | value
}

fn span<'a>(bytes: &'a [u8], ends: &[u32], index: usize) -> &'a [u8] {
    let start = if index == 0 { 0 } else { ends[index - 1] as usize };
    &bytes[start..ends[index] as usize]
}

fn append_spans(bytes: &mut Vec<u8>, ends: &mut Vec<u32>, from: &[u8], from_ends: &[u32], range: &Range<usize>) {
    let start = if range.start == 0 { 0 } else { from_ends[range.start - 1] };
    let end = from_ends[range.end - 1];
    let base = bytes.len() as u32;
    bytes.extend_from_slice(&from[start as usize..end as usize]);
    ends.extend(from_ends[range.clone()].iter().map(|end| end - start + base));
}

fn append_packed(bytes: &mut Vec<u8>, ends: &mut Vec<u32>, from: &[u8], from_ends: &[u8]) {
    let base = bytes.len() as u32;
    bytes.extend_from_slice(from);
    ends.extend(from_ends.as_chunks::<4>().0.iter().map(|end| u32::from_le_bytes(*end) + base));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record<'a>(key: Option<&'a str>, value: Option<&'a str>, headers: Headers<'a>) -> Record<'a> {
        Record { key: key.map(str::as_bytes), value: value.map(str::as_bytes), timestamp: 7, headers }
    }

    fn sample() -> RecordBatch {
        let mut packed = Vec::new();
        pack_header(&mut packed, b"trace", Some(b"1"));
        pack_header(&mut packed, b"trace", None);
        let mut batch = RecordBatch::new();
        batch.push(record(Some("a"), Some("one"), Headers::EMPTY), 0);
        batch.push(record(None, Some(""), Headers::from_packed(&packed)), 1);
        batch.push(record(Some("ccc"), None, Headers::EMPTY), 1);
        batch.push(record(Some(""), Some("four"), Headers::from_packed(&packed)), 2);
        batch
    }

    #[test]
    fn records_come_back_as_they_were_pushed() {
        let batch = sample();
        assert_eq!(batch.len(), 4);
        assert_eq!(batch.key(1), None);
        assert_eq!(batch.value(1), Some(&b""[..]));
        assert_eq!(batch.value(2), None);
        assert_eq!(batch.key(3), Some(&b""[..]));
        let headers: Vec<_> = batch.headers(3).iter().collect();
        assert_eq!(headers, [(&b"trace"[..], Some(&b"1"[..])), (&b"trace"[..], None)]);
        assert!(batch.headers(2).is_empty());
    }

    #[test]
    fn a_range_appends_the_same_records() {
        let batch = sample();
        for start in 0..=batch.len() {
            for end in start..=batch.len() {
                let mut copy = sample();
                copy.push_range(&batch, start..end);
                let expected: Vec<_> = batch.iter().chain(batch.iter().skip(start).take(end - start)).collect();
                assert_eq!(copy.iter().collect::<Vec<_>>(), expected, "{start}..{end}");
            }
        }
    }

    fn packed_numbers<const N: usize>(numbers: impl Iterator<Item = [u8; N]>) -> Vec<u8> {
        numbers.flatten().collect()
    }

    #[test]
    fn columns_round_trip() {
        let batch = sample();
        let columns = batch.columns();
        let mut headers = Vec::new();
        batch.write_headers_column(&mut headers);
        let packed = PackedColumns {
            keys: columns.keys,
            key_ends: &packed_numbers(columns.key_ends.iter().map(|end| end.to_le_bytes())),
            values: columns.values,
            value_ends: &packed_numbers(columns.value_ends.iter().map(|end| end.to_le_bytes())),
            timestamps: &packed_numbers(columns.timestamps.iter().map(|time| time.to_le_bytes())),
            nulls: columns.nulls,
            headers: &headers,
            rows: &packed_numbers([0_u32, 1, 1, 2].iter().map(|row| row.to_le_bytes())),
            parents: &[0, 1, 2],
        };
        let mut copy = RecordBatch::new();
        assert_eq!(copy.push_columns(&packed), Ok(()));
        assert_eq!(copy, batch);
    }

    #[test]
    fn columns_that_disagree_are_refused_and_change_nothing() {
        let time = 5_i64.to_le_bytes();
        let end = 1_u32.to_le_bytes();
        let good = PackedColumns {
            keys: b"k",
            key_ends: &end,
            values: b"v",
            value_ends: &end,
            timestamps: &time,
            parents: &[0],
            ..PackedColumns::default()
        };
        let two = 2_u32.to_le_bytes();
        let negative = (-1_i64).to_le_bytes();
        let wrong = [
            PackedColumns { key_ends: &[], ..good },
            PackedColumns { key_ends: &two, ..good },
            PackedColumns { keys: b"", ..good },
            PackedColumns { nulls: &[0, 0], ..good },
            PackedColumns { rows: &two, ..good },
            PackedColumns { headers: &[1], ..good },
            PackedColumns { headers: &[9, 0, 0, 0, 0, 0, 0, 0], ..good },
            PackedColumns { timestamps: &negative, ..good },
            PackedColumns { timestamps: &time[..7], ..good },
        ];
        let mut batch = RecordBatch::new();
        for columns in wrong {
            assert!(batch.push_columns(&columns).is_err(), "{columns:?}");
        }
        assert!(batch.is_empty());
        assert_eq!(batch.push_columns(&good), Ok(()));
    }
}
