//! The headers of a record, packed as in `wit/types.wit`.

use std::fmt;

/// The length that stands for a null value.
const NULL_LENGTH: u32 = u32::MAX;

/// The headers of one record, borrowed.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Headers<'a> {
    packed: &'a [u8],
}

impl<'a> Headers<'a> {
    pub(crate) fn from_packed(packed: &'a [u8]) -> Self {
        Self { packed }
    }

    pub(crate) fn packed(&self) -> &'a [u8] {
        self.packed
    }

    /// Whether there is no header.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.packed.is_empty()
    }

    /// Keys and values in their order; a key may occur again, a value may be null.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, Option<&'a [u8]>)> + use<'a> {
        let mut rest = self.packed;
        std::iter::from_fn(move || {
            let (key, tail) = split_field(rest)?;
            let (value, tail) = split_field(tail)?;
            rest = tail;
            Some((std::str::from_utf8(key.unwrap_or_default()).unwrap_or("\u{fffd}"), value))
        })
    }

    /// The value of the last header with this key; the inner `None` is a null value.
    #[must_use]
    pub fn last(&self, key: &str) -> Option<Option<&'a [u8]>> {
        self.iter().filter(|(name, _)| *name == key).map(|(_, value)| value).last()
    }
}

impl fmt::Debug for Headers<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter().map(|(key, value)| (key, value.map(String::from_utf8_lossy)))).finish()
    }
}

/// Headers in the making: those of a record, changed, or new ones.
#[derive(Clone, Debug, Default)]
pub struct HeadersBuilder {
    packed: Vec<u8>,
}

impl HeadersBuilder {
    /// No headers yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Begins with the headers of a record.
    #[must_use]
    pub fn from_headers(headers: Headers<'_>) -> Self {
        Self { packed: headers.packed.to_vec() }
    }

    /// Appends a header; others with the same key stay.
    #[must_use]
    pub fn with(mut self, key: &str, value: Option<&[u8]>) -> Self {
        self.packed.extend_from_slice(&(key.len() as u32).to_le_bytes());
        self.packed.extend_from_slice(key.as_bytes());
        let length = value.map_or(NULL_LENGTH, |value| value.len() as u32);
        self.packed.extend_from_slice(&length.to_le_bytes());
        self.packed.extend_from_slice(value.unwrap_or_default());
        self
    }

    /// Removes all headers with this key.
    #[must_use]
    pub fn without(self, key: &str) -> Self {
        let kept = self.headers().iter().filter(|(name, _)| *name != key);
        kept.fold(Self::new(), |builder, (name, value)| builder.with(name, value))
    }

    /// The headers.
    #[must_use]
    pub fn headers(&self) -> Headers<'_> {
        Headers { packed: &self.packed }
    }
}

/// Splits a length and as many bytes off; `None` inside stands for null.
fn split_field(packed: &[u8]) -> Option<(Option<&[u8]>, &[u8])> {
    let (length, rest) = packed.split_first_chunk::<4>()?;
    let length = u32::from_le_bytes(*length);
    if length == NULL_LENGTH {
        return Some((None, rest));
    }
    let (bytes, rest) = rest.split_at_checked(length as usize)?;
    Some((Some(bytes), rest))
}
