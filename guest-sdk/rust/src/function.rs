//! Functions for native operators. A predicate is a `fn(&Record) -> Result<bool>`, a key selector a
//! `fn(&Record, &mut Keys) -> Result<()>`; [`export!`](crate::export) gives them names.

/// The keys that a key selector chooses for the records of a batch.
#[derive(Clone, Debug, Default)]
pub struct Keys {
    pub(crate) keys: Vec<u8>,
    pub(crate) key_ends: Vec<u8>,
    pub(crate) nulls: Vec<u8>,
    is_set: bool,
}

impl Keys {
    /// Gives the record its key; the last call counts. A record that isn't given one has none, and the grouping drops
    /// it.
    pub fn set(&mut self, key: impl AsRef<[u8]>) {
        let start = self.key_ends.as_chunks::<4>().0.last().map_or(0, |end| u32::from_le_bytes(*end));
        self.keys.truncate(start as usize);
        self.keys.extend_from_slice(key.as_ref());
        self.is_set = true;
    }

    /// Ends a record.
    pub(crate) fn next(&mut self) {
        self.key_ends.extend_from_slice(&(self.keys.len() as u32).to_le_bytes());
        self.nulls.push(u8::from(!self.is_set));
        self.is_set = false;
    }
}
