//! One record, borrowed from its batch.

use std::fmt;

use crate::error::Result;
use crate::headers::Headers;
use crate::view::View;
use crate::{Error, Timestamp};

/// A record. It borrows everything, so copying it copies no bytes; the `with_*` methods give a changed copy, and what
/// they don't change is passed along: timestamp and headers too, as in Kafka Streams.
#[derive(Clone, Copy, Default)]
pub struct Record<'a> {
    key: Option<&'a [u8]>,
    value: Option<&'a [u8]>,
    timestamp: Timestamp,
    headers: Headers<'a>,
    origin: Origin,
}

/// What a record still has of a row of the batch: that need not be forwarded byte by byte.
#[derive(Clone, Copy, Debug, Default)]
struct Origin {
    row: u32,
    /// [`KEY_IS_OF_ROW`] and [`VALUE_IS_OF_ROW`].
    parts: u8,
}

/// Bit of the column `nulls` of what is forwarded: the key is that of the row; see `wit/context.wit`.
pub(crate) const KEY_IS_OF_ROW: u8 = 4;
/// Bit of the column `nulls` of what is forwarded: the value is that of the row; see `wit/context.wit`.
pub(crate) const VALUE_IS_OF_ROW: u8 = 8;

impl Origin {
    fn without(self, part: u8) -> Self {
        Self { parts: self.parts & !part, ..self }
    }
}

impl fmt::Debug for Record<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, value, timestamp, headers, origin: _ } = self;
        let mut text = f.debug_struct("Record");
        text.field("key", key).field("value", value).field("timestamp", timestamp).field("headers", headers).finish()
    }
}

impl PartialEq for Record<'_> {
    fn eq(&self, other: &Self) -> bool {
        let of = |record: &Self| (record.key, record.value, record.timestamp);
        of(self) == of(other) && self.headers == other.headers
    }
}

impl Eq for Record<'_> {}

impl<'a> Record<'a> {
    /// A record without headers. In `process`, prefer to derive it from the one that came in.
    #[must_use]
    pub fn new(key: Option<&'a [u8]>, value: Option<&'a [u8]>, timestamp: Timestamp) -> Self {
        Self { key, value, timestamp, headers: Headers::default(), origin: Origin::default() }
    }

    /// The record, marked as the one at `row` of the batch.
    pub(crate) fn at_row(self, row: u32) -> Self {
        Self { origin: Origin { row, parts: KEY_IS_OF_ROW | VALUE_IS_OF_ROW }, ..self }
    }

    /// Which parts are still those of `row`: [`KEY_IS_OF_ROW`], [`VALUE_IS_OF_ROW`].
    pub(crate) fn parts_of_row(&self, row: Option<u32>) -> u8 {
        if row == Some(self.origin.row) { self.origin.parts } else { 0 }
    }

    /// The key's bytes, if there is a key.
    #[must_use]
    pub fn key(&self) -> Option<&'a [u8]> {
        self.key
    }

    /// The value's bytes; `None` is a tombstone.
    #[must_use]
    pub fn value(&self) -> Option<&'a [u8]> {
        self.value
    }

    /// Milliseconds since the epoch.
    #[must_use]
    pub fn timestamp(&self) -> Timestamp {
        self.timestamp
    }

    /// The headers.
    #[must_use]
    pub fn headers(&self) -> Headers<'a> {
        self.headers
    }

    /// The key as `T`: `&str`, `&[u8]`, `i32`, `i64`, `f64`, [`Json`](crate::Json), or an `Option` of one of them.
    ///
    /// # Errors
    ///
    /// When it is null (unless `T` is an `Option`) or has another form; the policy of the plugin decides then.
    pub fn key_as<T: View<'a>>(&self) -> Result<T> {
        T::view(self.key).map_err(|problem| Error::fatal(format_args!("the key {problem}")))
    }

    /// The value as `T`, as [`Self::key_as`].
    ///
    /// # Errors
    ///
    /// As [`Self::key_as`].
    pub fn value_as<T: View<'a>>(&self) -> Result<T> {
        T::view(self.value).map_err(|problem| Error::fatal(format_args!("the value {problem}")))
    }

    /// The record with another key.
    #[must_use]
    pub fn with_key<'b>(self, key: &'b (impl AsRef<[u8]> + ?Sized)) -> Record<'b>
    where
        'a: 'b,
    {
        Record { key: Some(key.as_ref()), origin: self.origin.without(KEY_IS_OF_ROW), ..self }
    }

    /// The record with another value.
    #[must_use]
    pub fn with_value<'b>(self, value: &'b (impl AsRef<[u8]> + ?Sized)) -> Record<'b>
    where
        'a: 'b,
    {
        Record { value: Some(value.as_ref()), origin: self.origin.without(VALUE_IS_OF_ROW), ..self }
    }

    /// The record without a key.
    #[must_use]
    pub fn with_null_key(self) -> Self {
        Self { key: None, origin: self.origin.without(KEY_IS_OF_ROW), ..self }
    }

    /// The record without a value: a tombstone.
    #[must_use]
    pub fn with_null_value(self) -> Self {
        Self { value: None, origin: self.origin.without(VALUE_IS_OF_ROW), ..self }
    }

    /// The record with another timestamp; it must not be negative.
    #[must_use]
    pub fn with_timestamp(self, timestamp: Timestamp) -> Self {
        Self { timestamp, ..self }
    }

    /// The record with other headers; see [`HeadersBuilder`](crate::HeadersBuilder).
    #[must_use]
    pub fn with_headers<'b>(self, headers: Headers<'b>) -> Record<'b>
    where
        'a: 'b,
    {
        Record { headers, ..self }
    }

    /// The record without headers.
    #[must_use]
    pub fn without_headers(self) -> Self {
        Self { headers: Headers::default(), ..self }
    }
}
