//! Records in packed columns, in the making.

use crate::headers::Headers;
use crate::record::{KEY_IS_OF_ROW, Record, VALUE_IS_OF_ROW};

/// A batch that this side owns, laid out as in `wit/types.wit`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnedColumns {
    /// The bytes of all keys.
    pub keys: Vec<u8>,
    /// Where each key ends.
    pub key_ends: Vec<u8>,
    /// The bytes of all values.
    pub values: Vec<u8>,
    /// Where each value ends.
    pub value_ends: Vec<u8>,
    /// Each record's timestamp.
    pub timestamps: Vec<u8>,
    /// One byte a record, or empty: bits for what is null, and in what is forwarded for what is that of the row.
    pub nulls: Vec<u8>,
    /// Sparse headers.
    pub headers: Vec<u8>,
}

impl OwnedColumns {
    /// The number of records.
    pub(crate) fn len(&self) -> usize {
        self.timestamps.len() / 8
    }

    /// The bytes of keys, values and headers.
    pub(crate) fn byte_len(&self) -> usize {
        self.keys.len() + self.values.len() + self.headers.len()
    }

    /// Removes all records and keeps the memory.
    pub(crate) fn clear(&mut self) {
        for column in [
            &mut self.keys,
            &mut self.key_ends,
            &mut self.values,
            &mut self.value_ends,
            &mut self.timestamps,
            &mut self.nulls,
            &mut self.headers,
        ] {
            column.clear();
        }
    }

    /// Appends a record. `of_row` says what of it the host has already, and takes no bytes.
    #[inline]
    pub(crate) fn push(&mut self, record: &Record<'_>, of_row: u8) {
        let index = self.len();
        let mut nulls = of_row;
        if of_row & KEY_IS_OF_ROW == 0 {
            self.keys.extend_from_slice(record.key().unwrap_or_default());
            nulls |= u8::from(record.key().is_none());
        }
        self.key_ends.extend_from_slice(&(self.keys.len() as u32).to_le_bytes());
        if of_row & VALUE_IS_OF_ROW == 0 {
            self.values.extend_from_slice(record.value().unwrap_or_default());
            nulls |= u8::from(record.value().is_none()) << 1;
        }
        self.value_ends.extend_from_slice(&(self.values.len() as u32).to_le_bytes());
        self.timestamps.extend_from_slice(&record.timestamp().to_le_bytes());
        if nulls != 0 || !self.nulls.is_empty() {
            self.nulls.resize(index, 0);
            self.nulls.push(nulls);
        }
        if !record.headers().is_empty() {
            self.push_headers(index, record.headers());
        }
    }

    fn push_headers(&mut self, index: usize, headers: Headers<'_>) {
        self.headers.extend_from_slice(&(index as u32).to_le_bytes());
        self.headers.extend_from_slice(&(headers.packed().len() as u32).to_le_bytes());
        self.headers.extend_from_slice(headers.packed());
    }

    /// Removes the records from `length` on.
    pub(crate) fn truncate(&mut self, length: usize) {
        let end = |ends: &[u8]| {
            let last = length.checked_sub(1).and_then(|last| ends.as_chunks::<4>().0.get(last));
            last.map_or(0, |end| u32::from_le_bytes(*end) as usize)
        };
        self.keys.truncate(end(&self.key_ends));
        self.values.truncate(end(&self.value_ends));
        self.key_ends.truncate(length * 4);
        self.value_ends.truncate(length * 4);
        self.timestamps.truncate(length * 8);
        self.nulls.truncate(length);
        let mut kept = 0;
        while let Some((record, rest)) = self.headers[kept..].split_first_chunk::<4>() {
            let Some((entry, _)) = rest.split_first_chunk::<4>() else { break };
            if u32::from_le_bytes(*record) as usize >= length {
                break;
            }
            kept += 8 + u32::from_le_bytes(*entry) as usize;
        }
        self.headers.truncate(kept);
    }
}
