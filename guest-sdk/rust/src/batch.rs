//! A batch of records, borrowed from its columns.

use crate::Timestamp;
use crate::headers::Headers;
use crate::record::Record;

const KEY_IS_NULL: u8 = 1;
const VALUE_IS_NULL: u8 = 2;

/// A batch of records as it came from the host; see `wit/types.wit`.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    keys: &'a [u8],
    key_ends: &'a [[u8; 4]],
    values: &'a [u8],
    value_ends: &'a [[u8; 4]],
    timestamps: &'a [[u8; 8]],
    nulls: &'a [u8],
    headers: &'a [u8],
}

impl<'a> Batch<'a> {
    pub(crate) fn new(columns: &'a crate::columns::OwnedColumns) -> Self {
        Self {
            keys: &columns.keys,
            key_ends: columns.key_ends.as_chunks().0,
            values: &columns.values,
            value_ends: columns.value_ends.as_chunks().0,
            timestamps: columns.timestamps.as_chunks().0,
            nulls: &columns.nulls,
            headers: &columns.headers,
        }
    }

    /// The number of records.
    #[must_use]
    pub fn len(&self) -> usize {
        self.timestamps.len()
    }

    /// Whether there is no record.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.timestamps.is_empty()
    }

    /// All keys, one after the other.
    #[must_use]
    pub fn keys(&self) -> &'a [u8] {
        self.keys
    }

    /// All values, one after the other.
    #[must_use]
    pub fn values(&self) -> &'a [u8] {
        self.values
    }

    /// All timestamps.
    pub fn timestamps(&self) -> impl ExactSizeIterator<Item = Timestamp> + 'a {
        self.timestamps.iter().map(|timestamp| Timestamp::from_le_bytes(*timestamp))
    }

    /// The records with their rows.
    #[must_use]
    pub fn records(&self) -> Records<'a> {
        Records { batch: *self, row: 0, key_start: 0, value_start: 0, headers: self.headers }
    }
}

/// Walks over the records of a batch.
#[derive(Clone, Debug)]
pub struct Records<'a> {
    batch: Batch<'a>,
    row: usize,
    key_start: usize,
    value_start: usize,
    /// The headers column from the first entry on that may belong to `row`.
    headers: &'a [u8],
}

impl<'a> Records<'a> {
    fn take_headers(&mut self) -> Headers<'a> {
        let Some((record, rest)) = self.headers.split_first_chunk::<4>() else {
            return Headers::default();
        };
        if u32::from_le_bytes(*record) as usize != self.row {
            return Headers::default();
        }
        let Some((length, rest)) = rest.split_first_chunk::<4>() else {
            return Headers::default();
        };
        let (packed, rest) = rest.split_at(u32::from_le_bytes(*length) as usize);
        self.headers = rest;
        Headers::from_packed(packed)
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = (u32, Record<'a>);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let row = self.row;
        let timestamp = i64::from_le_bytes(*self.batch.timestamps.get(row)?);
        let key_end = u32::from_le_bytes(self.batch.key_ends[row]) as usize;
        let value_end = u32::from_le_bytes(self.batch.value_ends[row]) as usize;
        let nulls = self.batch.nulls.get(row).copied().unwrap_or(0);
        let key = (nulls & KEY_IS_NULL == 0).then(|| &self.batch.keys[self.key_start..key_end]);
        let value = (nulls & VALUE_IS_NULL == 0).then(|| &self.batch.values[self.value_start..value_end]);
        let headers = if self.headers.is_empty() { Headers::default() } else { self.take_headers() };
        self.key_start = key_end;
        self.value_start = value_end;
        self.row += 1;
        Some((row as u32, Record::new(key, value, timestamp).with_headers(headers).at_row(row as u32)))
    }
}

impl<'a> IntoIterator for Batch<'a> {
    type Item = (u32, Record<'a>);
    type IntoIter = Records<'a>;

    fn into_iter(self) -> Records<'a> {
        self.records()
    }
}
