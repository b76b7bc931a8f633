//! Columns as a plugin hands them over, which are checked before they are used.

use crate::id::Timestamp;

use super::headers::{Headers, split_header_entry};
use super::{KEY_IS_NULL, VALUE_IS_NULL};

/// Columns as a plugin hands them over: every one bytes, the numbers little-endian. Nothing in them is trusted.
#[derive(Clone, Copy, Debug, Default)]
pub struct PackedColumns<'a> {
    /// All keys.
    pub keys: &'a [u8],
    /// Where each key ends, 4 bytes each.
    pub key_ends: &'a [u8],
    /// All values.
    pub values: &'a [u8],
    /// Where each value ends, 4 bytes each.
    pub value_ends: &'a [u8],
    /// Each record's timestamp, 8 bytes each.
    pub timestamps: &'a [u8],
    /// One byte a record, or empty: [`KEY_IS_NULL`], [`VALUE_IS_NULL`], [`Self::KEY_IS_OF_ROW`], [`Self::VALUE_IS_OF_ROW`].
    pub nulls: &'a [u8],
    /// Sparse headers, or empty.
    pub headers: &'a [u8],
    /// For each record the row it descends from, 4 bytes each; empty when record `i` descends from row `i` of `parents`.
    pub rows: &'a [u8],
    /// The rows of the source run that the records of the plugin's input descend from; empty when there is no input.
    pub parents: &'a [u32],
}

/// What is wrong with columns that a plugin handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ColumnsError {
    /// A column has a length that does not fit the number of records.
    #[error("column `{column}` has {found} bytes where {expected} are expected for {records} records")]
    Length {
        /// The column's name in `wit/types.wit`.
        column: &'static str,
        /// The bytes found.
        found: usize,
        /// The bytes expected.
        expected: usize,
        /// The number of records, which the timestamps tell.
        records: usize,
    },
    /// The ends of a column decrease, or do not end where the bytes end.
    #[error("column `{column}` does not ascend to the {bytes} bytes that it divides")]
    Ends {
        /// The column's name.
        column: &'static str,
        /// The bytes to be divided.
        bytes: usize,
    },
    /// The headers column is malformed.
    #[error("column `headers` is malformed: an entry is cut short, out of order or names a record that is not there")]
    Headers,
    /// A row is named that the input does not have.
    #[error("column `rows` names row {row}, but the input has {rows} records")]
    Row {
        /// The row named.
        row: u32,
        /// The number of input records.
        rows: usize,
    },
    /// A record says of its key or value what can't be.
    #[error(
        "column `nulls` says {bits:#06b} of record {index}: a key or value is null, or that of the row, or has bytes of its own, and in a \
             punctuation there is no row"
    )]
    Nulls {
        /// The record.
        index: usize,
        /// What its byte says.
        bits: u8,
    },
    /// A record has a timestamp below zero.
    #[error("record {index} has the negative timestamp {timestamp}")]
    Timestamp {
        /// The record.
        index: usize,
        /// Its timestamp.
        timestamp: Timestamp,
    },
}

impl PackedColumns<'_> {
    /// Bit of `nulls`: the key is the one of the row that the record descends from, and takes no bytes.
    pub const KEY_IS_OF_ROW: u8 = 4;
    /// Bit of `nulls`: the value is the one of the row that the record descends from, and takes no bytes.
    pub const VALUE_IS_OF_ROW: u8 = 8;
    /// Both of these bits.
    pub(super) const IS_OF_ROW: u8 = Self::KEY_IS_OF_ROW | Self::VALUE_IS_OF_ROW;

    /// The number of records.
    #[must_use]
    pub fn len(&self) -> usize {
        self.timestamps.len() / 8
    }

    /// Whether there is no record.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn row(&self, index: usize) -> u32 {
        self.parents.get(self.input_index(index) as usize).copied().unwrap_or(0)
    }

    /// The index in the call's input of what the record at `index` descends from.
    pub(super) fn input_index(&self, index: usize) -> u32 {
        let named = self.rows.as_chunks::<4>().0.get(index);
        named.map_or(index as u32, |bytes| u32::from_le_bytes(*bytes))
    }

    /// Whether a key or value is null.
    pub(super) fn has_nulls(&self) -> bool {
        self.all_bits() & (KEY_IS_NULL | VALUE_IS_NULL) != 0
    }

    /// Whether a key or value is that of the call's input.
    pub(super) fn inherits(&self) -> bool {
        self.all_bits() & Self::IS_OF_ROW != 0
    }

    fn all_bits(&self) -> u8 {
        self.nulls.iter().fold(0, |all, bits| all | bits)
    }

    pub(super) fn check(&self) -> Result<(), ColumnsError> {
        let records = self.len();
        let length = |column, found: usize, expected| {
            if found == expected { Ok(()) } else { Err(ColumnsError::Length { column, found, expected, records }) }
        };
        length("timestamps", self.timestamps.len(), records * 8)?;
        length("key-ends", self.key_ends.len(), records * 4)?;
        length("value-ends", self.value_ends.len(), records * 4)?;
        if !self.nulls.is_empty() {
            length("nulls", self.nulls.len(), records)?;
        }
        if !self.rows.is_empty() {
            length("rows", self.rows.len(), records * 4)?;
        }
        check_ends("key-ends", self.keys.len(), self.key_ends)?;
        check_ends("value-ends", self.values.len(), self.value_ends)?;
        self.check_nulls()?;
        self.check_timestamps()?;
        self.check_rows()?;
        self.check_headers()
    }

    fn check_nulls(&self) -> Result<(), ColumnsError> {
        const KNOWN: u8 = KEY_IS_NULL | VALUE_IS_NULL | PackedColumns::IS_OF_ROW;
        if self.all_bits() & !(KEY_IS_NULL | VALUE_IS_NULL) == 0 {
            return Ok(());
        }
        let ends = |ends: &[u8], index: usize| ends.as_chunks::<4>().0.get(index).copied().map(u32::from_le_bytes);
        let is_empty = |column: &[u8], index: usize| {
            let start = index.checked_sub(1).map_or(Some(0), |before| ends(column, before));
            ends(column, index) == start
        };
        for (index, &bits) in self.nulls.iter().enumerate() {
            let fits = |is_null: u8, is_of_row: u8, ends: &[u8]| {
                bits & is_of_row == 0 || (bits & is_null == 0 && is_empty(ends, index))
            };
            let has_row = bits & Self::IS_OF_ROW == 0 || !self.parents.is_empty();
            let key_fits = fits(KEY_IS_NULL, Self::KEY_IS_OF_ROW, self.key_ends);
            let value_fits = fits(VALUE_IS_NULL, Self::VALUE_IS_OF_ROW, self.value_ends);
            if bits & !KNOWN != 0 || !has_row || !key_fits || !value_fits {
                return Err(ColumnsError::Nulls { index, bits });
            }
        }
        Ok(())
    }

    fn check_timestamps(&self) -> Result<(), ColumnsError> {
        for (index, bytes) in self.timestamps.as_chunks::<8>().0.iter().enumerate() {
            let timestamp = i64::from_le_bytes(*bytes);
            if timestamp < 0 {
                return Err(ColumnsError::Timestamp { index, timestamp });
            }
        }
        Ok(())
    }

    /// A record forwarded by a punctuation descends from no row; otherwise each row must be one of the input.
    fn check_rows(&self) -> Result<(), ColumnsError> {
        let rows = self.parents.len();
        if rows == 0 {
            return Ok(());
        }
        if self.rows.is_empty() && self.len() > rows {
            return Err(ColumnsError::Row { row: self.len() as u32 - 1, rows });
        }
        for bytes in self.rows.as_chunks::<4>().0 {
            let row = u32::from_le_bytes(*bytes);
            if row as usize >= rows {
                return Err(ColumnsError::Row { row, rows });
            }
        }
        Ok(())
    }

    fn check_headers(&self) -> Result<(), ColumnsError> {
        let mut rest = self.headers;
        let mut last: Option<u32> = None;
        while !rest.is_empty() {
            let (record, entry, tail) = split_header_entry(rest).ok_or(ColumnsError::Headers)?;
            let ascends = last.is_none_or(|last| last < record);
            if !ascends || record as usize >= self.len() || !Headers::is_well_formed(entry) {
                return Err(ColumnsError::Headers);
            }
            last = Some(record);
            rest = tail;
        }
        Ok(())
    }
}

fn check_ends(column: &'static str, bytes: usize, ends: &[u8]) -> Result<(), ColumnsError> {
    let mut last = 0;
    for end in ends.as_chunks::<4>().0 {
        let end = u32::from_le_bytes(*end);
        if end < last {
            return Err(ColumnsError::Ends { column, bytes });
        }
        last = end;
    }
    if last as usize == bytes { Ok(()) } else { Err(ColumnsError::Ends { column, bytes }) }
}
