//! The identity of a process, which it keeps over restarts: `{"processId":"<uuid>"}`, in Kafka Streams' file.
//!
//! It is part of the transactional ids, so a restarted process fences what its former self left open.

use std::io::ErrorKind;
use std::path::Path;

use millstream_core::Result;
use serde_json::Value;
use uuid::Uuid;

use crate::error::io_error;
use crate::layout::{self, PROCESS_METADATA};

const FIELD: &str = "processId";

/// Reads the identity kept in `root`, or makes one and keeps it.
///
/// A file that can't be understood is replaced, as in Kafka Streams: the process is then a new one to the brokers, and
/// open transactions of the former one wait for their time-out.
///
/// # Errors
///
/// `Fatal` when the disk fails.
pub fn load_or_create(root: &Path) -> Result<Uuid> {
    let path = root.join(PROCESS_METADATA);
    match std::fs::read(&path) {
        Ok(content) => match parse(&content) {
            Some(id) => return Ok(id),
            None => tracing::warn!(path = %path.display(), "the process id can't be read, a new one replaces it"),
        },
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(io_error("read", &path, error)),
    }
    let id = Uuid::new_v4();
    let content = serde_json::json!({ FIELD: id.to_string() }).to_string();
    layout::write_atomically(root, PROCESS_METADATA, content.as_bytes())
        .map_err(|error| io_error("write", &path, error))?;
    Ok(id)
}

fn parse(content: &[u8]) -> Option<Uuid> {
    // Other fields are let pass: a later Kafka Streams may have added some.
    let value: Value = serde_json::from_slice(content).ok()?;
    value.get(FIELD)?.as_str()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kafka_streams_file_is_understood() {
        let content = br#"{"processId":"390649cd-46d4-4a4a-9b6c-0e0a5c2f2f5b","later":1}"#;
        let id = parse(content).map(|id| id.to_string());
        assert_eq!(id.as_deref(), Some("390649cd-46d4-4a4a-9b6c-0e0a5c2f2f5b"));
    }

    #[test]
    fn the_identity_is_kept_and_a_damaged_one_replaced() {
        let root = tempfile::tempdir().unwrap();
        let first = load_or_create(root.path()).unwrap();
        assert_eq!(load_or_create(root.path()).unwrap(), first);
        std::fs::write(root.path().join(PROCESS_METADATA), b"{\"processId\":").unwrap();
        let second = load_or_create(root.path()).unwrap();
        assert_ne!(second, first);
        assert_eq!(load_or_create(root.path()).unwrap(), second);
        assert_eq!(layout::names(root.path()).unwrap(), [PROCESS_METADATA]);
    }
}
