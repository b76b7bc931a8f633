//! Which partition a record goes to when nobody says: Java's default partitioner, so that co-partitioning holds.
//!
//! A record with a key goes to `(murmur2(key) & 0x7fff_ffff) % partitions`; one without sticks to a partition until about
//! 16 KiB went there (`BuiltInPartitioner`, KIP-480 and KIP-794), and then to the next.

/// Bytes without a key that go to one partition before the next is taken: Java's `batch.size`.
pub const STICKY_BYTES: usize = 16_384;

const SEED: u32 = 0x9747_b28c;
const MULTIPLIER: u32 = 0x5bd1_e995;
const SHIFT: u32 = 24;

/// Kafka's `Utils.murmur2`.
#[must_use]
pub fn murmur2(bytes: &[u8]) -> i32 {
    let mut hash = SEED ^ bytes.len() as u32;
    let (words, rest) = bytes.as_chunks::<4>();
    for word in words {
        let mut word = u32::from_le_bytes(*word).wrapping_mul(MULTIPLIER);
        word ^= word >> SHIFT;
        hash = hash.wrapping_mul(MULTIPLIER) ^ word.wrapping_mul(MULTIPLIER);
    }
    if !rest.is_empty() {
        let tail = rest.iter().rev().fold(0_u32, |tail, byte| tail << 8 | u32::from(*byte));
        hash = (hash ^ tail).wrapping_mul(MULTIPLIER);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(MULTIPLIER);
    (hash ^ (hash >> 15)) as i32
}

/// The partition of a record with `key` in a topic of `partitions` partitions.
///
/// # Panics
///
/// If there is no partition.
#[must_use]
pub fn partition_for_key(key: &[u8], partitions: i32) -> i32 {
    (murmur2(key) & i32::MAX) % partitions
}

/// Spreads the records of one topic that have no key.
#[derive(Clone, Debug, Default)]
pub struct StickyPartitioner {
    partition: i32,
    bytes: usize,
}

impl StickyPartitioner {
    /// The partition for a record of `bytes` bytes without a key, in a topic of `partitions` partitions.
    ///
    /// # Panics
    ///
    /// If there is no partition.
    pub fn partition(&mut self, bytes: usize, partitions: i32) -> i32 {
        if self.bytes >= STICKY_BYTES {
            self.bytes = 0;
            self.partition = self.partition.wrapping_add(1) & i32::MAX;
        }
        self.bytes += bytes;
        self.partition %= partitions;
        self.partition
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_the_java_client() {
        let vectors = [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            ("abc", 479_470_107),
        ];
        for (key, hash) in vectors {
            assert_eq!(murmur2(key.as_bytes()), hash, "{key}");
        }
    }

    #[test]
    fn a_negative_hash_still_names_a_partition() {
        assert_eq!(partition_for_key(b"21", 5), (-973_932_308 & i32::MAX) % 5);
        for number in 0..1_000_u32 {
            let partition = partition_for_key(&number.to_be_bytes(), 7);
            assert!((0..7).contains(&partition));
        }
    }

    #[test]
    fn records_without_a_key_stick_to_a_partition_until_a_batch_is_full() {
        let mut sticky = StickyPartitioner::default();
        let chosen: Vec<_> = (0..6).map(|_| sticky.partition(STICKY_BYTES / 2, 2)).collect();
        assert_eq!(chosen, [0, 0, 1, 1, 0, 0]);
        assert_eq!(sticky.partition(1, 1), 0, "also when the topic is another");
    }
}
