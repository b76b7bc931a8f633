//! Headers of records, packed into bytes as they travel.

/// The headers of one record. Packed: for each header the key's length (4 bytes, little-endian), the key, the value's
/// length (4 bytes, `0xffff_ffff` for null), and the value.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Headers<'a> {
    packed: &'a [u8],
}

const NULL_LENGTH: u32 = u32::MAX;

impl<'a> Headers<'a> {
    /// No headers.
    pub const EMPTY: Headers<'static> = Headers { packed: &[] };

    /// Reads headers that were packed by [`pack_header`].
    #[must_use]
    pub fn from_packed(packed: &'a [u8]) -> Self {
        debug_assert!(Self::is_well_formed(packed));
        Self { packed }
    }

    /// The packed form.
    #[must_use]
    pub fn packed(&self) -> &'a [u8] {
        self.packed
    }

    /// Whether there is no header.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.packed.is_empty()
    }

    /// Iterates over keys and values in their order; a key may occur again, a value may be null.
    pub fn iter(&self) -> impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)> + use<'a> {
        let mut rest = self.packed;
        std::iter::from_fn(move || {
            let (header, tail) = split_header(rest)?;
            rest = tail;
            Some(header)
        })
    }

    pub(super) fn is_well_formed(packed: &[u8]) -> bool {
        let mut rest = packed;
        while let Some((_, tail)) = split_header(rest) {
            rest = tail;
        }
        rest.is_empty()
    }
}

impl std::fmt::Debug for Headers<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let lossy = |bytes| String::from_utf8_lossy(bytes);
        f.debug_list().entries(self.iter().map(|(key, value)| (lossy(key), value.map(lossy)))).finish()
    }
}

/// Appends a header to `packed`.
pub fn pack_header(packed: &mut Vec<u8>, key: &[u8], value: Option<&[u8]>) {
    packed.extend_from_slice(&(key.len() as u32).to_le_bytes());
    packed.extend_from_slice(key);
    let length = value.map_or(NULL_LENGTH, |value| value.len() as u32);
    packed.extend_from_slice(&length.to_le_bytes());
    packed.extend_from_slice(value.unwrap_or_default());
}

type Header<'a> = (&'a [u8], Option<&'a [u8]>);

fn split_header(packed: &[u8]) -> Option<(Header<'_>, &[u8])> {
    let (length, rest) = split_u32(packed)?;
    let (key, rest) = rest.split_at_checked(length as usize)?;
    let (length, rest) = split_u32(rest)?;
    if length == NULL_LENGTH {
        return Some(((key, None), rest));
    }
    let (value, rest) = rest.split_at_checked(length as usize)?;
    Some(((key, Some(value)), rest))
}

/// Splits the first entry off a headers column: the record it belongs to, its headers, and the rest.
pub(super) fn split_header_entry(column: &[u8]) -> Option<(u32, &[u8], &[u8])> {
    let (record, rest) = split_u32(column)?;
    let (length, rest) = split_u32(rest)?;
    let (entry, rest) = rest.split_at_checked(length as usize)?;
    Some((record, entry, rest))
}

fn split_u32(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (head, rest) = bytes.split_first_chunk::<4>()?;
    Some((u32::from_le_bytes(*head), rest))
}
