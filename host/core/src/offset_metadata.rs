//! What is committed beside an offset: the partition time, in Kafka Streams' format (reference §3.15).
//!
//! Standard Base64 of: version `2` (1 byte), partition time (8 bytes, big-endian), and optionally metadata of processors, which this
//! version neither writes nor needs.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::id::{TIMESTAMP_UNKNOWN, Timestamp};

const VERSION: u8 = 2;

/// Encodes the metadata of a partition.
#[must_use]
pub fn encode(partition_time: Timestamp) -> String {
    let mut bytes = [0; 9];
    bytes[0] = VERSION;
    bytes[1..].copy_from_slice(&partition_time.to_be_bytes());
    STANDARD.encode(bytes)
}

/// The partition time in `metadata`; unknown (`-1`) when it is empty or of somebody else.
#[must_use]
pub fn decode(metadata: &str) -> Timestamp {
    let bytes = STANDARD.decode(metadata).unwrap_or_default();
    match bytes.split_first() {
        Some((version, rest)) if matches!(*version, 1 | VERSION) => {
            rest.first_chunk().map_or(TIMESTAMP_UNKNOWN, |time| Timestamp::from_be_bytes(*time))
        }
        _ => TIMESTAMP_UNKNOWN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partition_times_round_trip_and_foreign_metadata_is_unknown() {
        for time in [-1, 0, 1_700_000_000_000, i64::MAX] {
            assert_eq!(decode(&encode(time)), time);
        }
        for foreign in ["", "hello", "!!", "Aw==", "AgAAAA=="] {
            assert_eq!(decode(foreign), TIMESTAMP_UNKNOWN, "{foreign}");
        }
        assert_eq!(encode(258), "AgAAAAAAAAEC");
    }
}
