//! The host, as the rest of the SDK sees it: the imports of the contract in Wasm, a stand-in in native tests.

#[cfg(target_arch = "wasm32")]
mod wasm;
#[cfg(target_arch = "wasm32")]
pub(crate) use wasm::*;

#[cfg(not(target_arch = "wasm32"))]
pub(crate) use crate::testing::host::*;

/// A value from a store and its timestamp.
pub(crate) struct Stored {
    pub(crate) value: Vec<u8>,
    pub(crate) timestamp: i64,
}

/// Values in columns; see `wit/state.wit`.
pub(crate) struct Values {
    pub(crate) values: Vec<u8>,
    pub(crate) value_ends: Vec<u8>,
    pub(crate) nulls: Vec<u8>,
    pub(crate) timestamps: Vec<u8>,
}

/// Entries in columns, written or read; see `wit/state.wit`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Entries {
    pub(crate) keys: Vec<u8>,
    pub(crate) key_ends: Vec<u8>,
    pub(crate) values: Vec<u8>,
    pub(crate) value_ends: Vec<u8>,
    pub(crate) nulls: Vec<u8>,
    pub(crate) timestamps: Vec<u8>,
}

impl Entries {
    pub(crate) fn clear(&mut self) {
        self.keys.clear();
        self.key_ends.clear();
        self.values.clear();
        self.value_ends.clear();
        self.nulls.clear();
        self.timestamps.clear();
    }

    pub(crate) fn len(&self) -> usize {
        self.key_ends.len() / 4
    }

    pub(crate) fn push(&mut self, key: &[u8], value: Option<&[u8]>, timestamp: i64) {
        self.keys.extend_from_slice(key);
        self.key_ends.extend_from_slice(&(self.keys.len() as u32).to_le_bytes());
        self.values.extend_from_slice(value.unwrap_or_default());
        self.value_ends.extend_from_slice(&(self.values.len() as u32).to_le_bytes());
        self.nulls.push(u8::from(value.is_none()));
        self.timestamps.extend_from_slice(&timestamp.to_le_bytes());
    }
}

/// The number at `index` of a column of ends.
pub(crate) fn end_at(ends: &[u8], index: usize) -> u32 {
    u32::from_le_bytes(ends.as_chunks::<4>().0[index])
}

/// Where the entry at `index` of a column begins.
pub(crate) fn start_at(ends: &[u8], index: usize) -> u32 {
    if index == 0 { 0 } else { end_at(ends, index - 1) }
}

/// The number at `index` of a column of timestamps.
pub(crate) fn timestamp_at(timestamps: &[u8], index: usize) -> i64 {
    i64::from_le_bytes(timestamps.as_chunks::<8>().0[index])
}
