//! Random bytes, the same again for the same work.
//!
//! Each call of a guest begins a sequence of its own, which depends on the application, the task, the node and on the first
//! record of the call, or on the time of a punctuation. So a record that is processed again, after a crash say, meets the bytes
//! that it met before, and different records meet different ones: what a plugin makes of them to name things stays unique when the
//! task restarts. While an instance is made there is no record, so what it takes then is the same for each instance of the task and
//! node (Go and C seed their generators then: take ids from the cryptographic source, which asks each time).
//!
//! The sequence is SHA-256 over a seed and a counter. Nobody can guess it who doesn't know those names, and that is all that is
//! promised: keys for cryptography are not made here.

use sha2::{Digest as _, Sha256};
use wasmtime_wasi::p2::bindings::random::{insecure, insecure_seed, random};

use super::HostState;
use crate::failure::HostRefusal;
use crate::imports::log::Origin;
use crate::limits::RANDOM_BYTES_MAX;

type Seed = [u8; 32];

/// The source of an instance.
#[derive(Debug)]
pub(super) struct Random {
    seed: Seed,
    /// The place of the call that asked last, and how many calls of the same place have asked before it.
    place: Seed,
    repeated: u64,
    /// The sequence of the call that runs, once it has asked.
    sequence: Option<Sequence>,
}

#[derive(Debug)]
struct Sequence {
    seed: Seed,
    counter: u64,
}

impl Sequence {
    /// Appends `length` bytes; what is left of the last block is dropped.
    fn append(&mut self, length: usize, bytes: &mut Vec<u8>) {
        let end = bytes.len() + length;
        while bytes.len() < end {
            let block = Sha256::new().chain_update(self.seed).chain_update(self.counter.to_le_bytes()).finalize();
            self.counter += 1;
            bytes.extend_from_slice(&block[..block.len().min(end - bytes.len())]);
        }
    }
}

impl Random {
    pub(super) fn new(origin: &Origin) -> Self {
        let Origin { application, node, task, .. } = origin;
        Self { seed: digest_of(&[application, task, node]), place: Seed::default(), repeated: 0, sequence: None }
    }

    pub(super) fn begin_call(&mut self) {
        self.sequence = None;
    }

    /// The sequence of the call, which is at `place`.
    fn sequence(&mut self, place: impl FnOnce() -> Seed) -> &mut Sequence {
        let Self { seed, place: last, repeated, sequence } = self;
        sequence.get_or_insert_with(|| {
            let place = place();
            // One record can lead to several calls, by being forwarded in parts.
            *repeated = if place == *last { *repeated + 1 } else { 0 };
            *last = place;
            let seed = Sha256::new().chain_update(*seed).chain_update(place).chain_update(repeated.to_le_bytes());
            Sequence { seed: seed.finalize().into(), counter: 0 }
        })
    }
}

/// Each part with its length before it, so that no two lists of parts are the same text.
fn digest_of(parts: &[&str]) -> Seed {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    hasher.finalize().into()
}

impl HostState {
    fn random_bytes(&mut self, length: u64) -> wasmtime::Result<Vec<u8>> {
        let refuse = || HostRefusal::limit(format_args!("at most {RANDOM_BYTES_MAX} random bytes can be had at once"));
        let length = usize::try_from(length).ok().filter(|length| *length <= RANDOM_BYTES_MAX).ok_or_else(refuse)?;
        let mut bytes = Vec::with_capacity(length);
        // The context leaves the state for a moment, so that both can be looked at.
        let context = self.context.take();
        let place = || match context.as_deref() {
            None => Seed::default(),
            Some(context) => match context.input_coordinates() {
                Some((first, _)) => digest_of(&["record", &first.to_string()]),
                None => digest_of(&["time", &context.stream_time.to_string(), &context.wall_clock_time.to_string()]),
            },
        };
        self.wasi().random.sequence(place).append(length, &mut bytes);
        self.context = context;
        Ok(bytes)
    }

    fn random_number(&mut self) -> wasmtime::Result<u64> {
        let bytes = self.random_bytes(8)?;
        Ok(bytes.first_chunk().copied().map(u64::from_le_bytes).unwrap_or_default())
    }
}

impl random::Host for HostState {
    fn get_random_bytes(&mut self, length: u64) -> wasmtime::Result<Vec<u8>> {
        self.random_bytes(length)
    }

    fn get_random_u64(&mut self) -> wasmtime::Result<u64> {
        self.random_number()
    }
}

impl insecure::Host for HostState {
    fn get_insecure_random_bytes(&mut self, length: u64) -> wasmtime::Result<Vec<u8>> {
        self.random_bytes(length)
    }

    fn get_insecure_random_u64(&mut self) -> wasmtime::Result<u64> {
        self.random_number()
    }
}

impl insecure_seed::Host for HostState {
    fn insecure_seed(&mut self) -> wasmtime::Result<(u64, u64)> {
        Ok((self.random_number()?, self.random_number()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(random: &mut Random, place: &str) -> Vec<u8> {
        random.begin_call();
        let mut bytes = Vec::new();
        random.sequence(|| digest_of(&[place])).append(40, &mut bytes);
        bytes
    }

    #[test]
    fn a_place_has_its_own_sequence_each_time_and_the_same_in_another_instance() {
        let origin = Origin::new(["application", "plugin", "node", "0_1"]);
        let (mut one, mut other) = (Random::new(&origin), Random::new(&origin));
        let first = taken(&mut one, "a");
        assert_eq!(first.len(), 40);
        assert_ne!(first, taken(&mut one, "a"), "a second call of the same record");
        let second = taken(&mut one, "b");
        assert_ne!(first, second);
        assert_eq!(taken(&mut other, "b"), second, "whatever came before");
        let mut elsewhere = Random::new(&Origin::new(["application", "plugin", "node", "0_2"]));
        assert_ne!(taken(&mut elsewhere, "b"), second);
    }

    #[test]
    fn a_call_goes_on_in_its_sequence() {
        let mut random = Random::new(&Origin::new(["", "", "", ""]));
        let mut bytes = Vec::new();
        for length in [32, 8, 40] {
            random.sequence(Seed::default).append(length, &mut bytes);
        }
        assert_eq!(bytes.len(), 80);
        assert_ne!(bytes[..8], bytes[32..40]);
        assert_ne!(bytes[..32], bytes[40..72]);
    }
}
