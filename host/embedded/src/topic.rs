//! A topic: its partitions and the configuration that the log honours.

use std::collections::BTreeMap;

use millstream_core::id::TopicName;
use millstream_core::partitioner::{StickyPartitioner, partition_for_key};
use millstream_core::record::Headers;
use millstream_core::{Error, Kind, Result};

use crate::compaction::CompactionRules;
use crate::partition::Partition;

/// A partition, by the numbers of its topic and itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct PartitionIndex {
    pub topic: u32,
    pub partition: u32,
}

/// Partitions of one topic: far above any use in one process, far below what would fill its memory.
pub(crate) const PARTITIONS_MAX: i32 = 10_000;

/// Kafka's default of `max.message.bytes`.
const MESSAGE_BYTES_MAX: usize = 1_048_588;

/// Kafka's default of `delete.retention.ms`: a day.
const TOMBSTONE_RETENTION_MILLIS: i64 = 86_400_000;

/// What a producer must know of a topic.
#[derive(Clone, Debug)]
pub(crate) struct TopicRules {
    pub name: TopicName,
    /// The topic's number.
    pub number: u32,
    pub partitions: i32,
    pub message_bytes_max: usize,
    pub is_compacted: bool,
}

impl TopicRules {
    /// The partition that a record goes to.
    ///
    /// # Errors
    ///
    /// `TaskFailed` when the broker would refuse the record, whatever happens: whoever sends it is at fault, and nobody else.
    pub fn place(
        &self,
        partition: Option<i32>,
        key: Option<&[u8]>,
        bytes: usize,
        sticky: &mut StickyPartitioner,
    ) -> Result<u32> {
        if bytes > self.message_bytes_max {
            return Err(Error::new(
                Kind::TaskFailed,
                format!(
                    "a record of {bytes} bytes is too large for topic `{}`, which takes {}; raise its `max.message.bytes`",
                    self.name, self.message_bytes_max
                ),
            ));
        }
        if self.is_compacted && key.is_none() {
            return Err(Error::new(
                Kind::TaskFailed,
                format!("a record without a key can't go to the compacted topic `{}`; give it a key", self.name),
            ));
        }
        let chosen = match (partition, key) {
            (Some(partition), _) => partition,
            (None, Some(key)) => partition_for_key(key, self.partitions),
            (None, None) => sticky.partition(bytes, self.partitions),
        };
        if !(0..self.partitions).contains(&chosen) {
            return Err(Error::new(
                Kind::TaskFailed,
                format!(
                    "topic `{}` has {} partitions and no partition {chosen}; name one of them",
                    self.name, self.partitions
                ),
            ));
        }
        Ok(chosen as u32)
    }
}

/// The bytes of a record that count against `max.message.bytes`: its own and about what Kafka puts around it.
pub(crate) fn message_bytes(key: Option<&[u8]>, value: Option<&[u8]>, headers: Headers<'_>) -> usize {
    const OVERHEAD: usize = 70;
    key.map_or(0, <[u8]>::len) + value.map_or(0, <[u8]>::len) + headers.packed().len() + OVERHEAD
}

/// A topic with its records.
#[derive(Debug)]
pub(crate) struct Topic {
    pub name: TopicName,
    pub configs: BTreeMap<String, String>,
    pub partitions: Vec<Partition>,
    /// How it is compacted, if it is.
    pub compaction: Option<CompactionRules>,
    /// `max.message.bytes`.
    pub message_bytes_max: usize,
}

impl Topic {
    /// A topic without records. Configurations that the log does not use are kept and have no effect.
    ///
    /// # Errors
    ///
    /// `Fatal` when the name, the number of partitions or a used configuration is not one that Kafka would take.
    pub fn new(name: &str, partitions: i32, configs: BTreeMap<String, String>) -> Result<Self> {
        check_name(name)?;
        if !(1..=PARTITIONS_MAX).contains(&partitions) {
            return Err(Error::fatal(format!(
                "topic `{name}` can't have {partitions} partitions; give a number from 1 to {PARTITIONS_MAX}"
            )));
        }
        let compaction = compaction_rules(name, &configs)?;
        let message_bytes_max = number(name, &configs, "max.message.bytes")?.unwrap_or(MESSAGE_BYTES_MAX as i64);
        Ok(Self {
            name: TopicName::from(name),
            configs,
            partitions: (0..partitions).map(|_| Partition::default()).collect(),
            compaction,
            message_bytes_max: usize::try_from(message_bytes_max).unwrap_or(0).min(1 << 30),
        })
    }

    /// What a producer must know of it.
    pub fn rules(&self, number: u32) -> TopicRules {
        TopicRules {
            name: self.name.clone(),
            number,
            partitions: self.partition_count(),
            message_bytes_max: self.message_bytes_max,
            is_compacted: self.compaction.is_some(),
        }
    }

    /// The number of partitions, as Kafka counts.
    pub fn partition_count(&self) -> i32 {
        self.partitions.len() as i32
    }
}

fn check_name(name: &str) -> Result<()> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if name.is_empty() || name.len() > 249 || name == "." || name == ".." || !name.bytes().all(legal) {
        return Err(Error::fatal(format!(
            "`{name}` is no topic name; use 1 to 249 of the characters a-z A-Z 0-9 . _ -"
        )));
    }
    Ok(())
}

fn number(topic: &str, configs: &BTreeMap<String, String>, name: &str) -> Result<Option<i64>> {
    let Some(text) = configs.get(name) else { return Ok(None) };
    match text.parse() {
        Ok(number) => Ok(Some(number)),
        Err(_) => Err(Error::fatal(format!("topic `{topic}`: `{name}` is `{text}`; give a whole number"))),
    }
}

fn compaction_rules(topic: &str, configs: &BTreeMap<String, String>) -> Result<Option<CompactionRules>> {
    let policy = configs.get("cleanup.policy").map_or("delete", String::as_str);
    let mut is_compacted = false;
    let mut is_deleted = false;
    for part in policy.split(',').map(str::trim) {
        match part {
            "compact" => is_compacted = true,
            "delete" => is_deleted = true,
            _ => {
                return Err(Error::fatal(format!(
                    "topic `{topic}`: `cleanup.policy` is `{policy}`; use `delete`, `compact` or `compact,delete`"
                )));
            }
        }
    }
    if !is_compacted {
        return Ok(None);
    }
    let retention = number(topic, configs, "retention.ms")?.filter(|millis| *millis >= 0);
    Ok(Some(CompactionRules {
        tombstone_retention_millis: number(topic, configs, "delete.retention.ms")?
            .unwrap_or(TOMBSTONE_RETENTION_MILLIS),
        record_retention_millis: retention.filter(|_| is_deleted),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic(name: &str, partitions: i32, configs: &[(&str, &str)]) -> Result<Topic> {
        let configs = configs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Topic::new(name, partitions, configs)
    }

    #[test]
    fn what_kafka_would_not_create_is_refused_with_a_reason() {
        let long = "x".repeat(250);
        let cases = [
            ("", 1, &[][..], "no topic name"),
            ("..", 1, &[], "no topic name"),
            ("a b", 1, &[], "no topic name"),
            (&long, 1, &[], "no topic name"),
            ("a", 0, &[], "0 partitions"),
            ("a", 1_000_000, &[], "1000000 partitions"),
            ("a", 1, &[("cleanup.policy", "shrink")][..], "`cleanup.policy` is `shrink`"),
            ("a", 1, &[("max.message.bytes", "1 MiB")][..], "`max.message.bytes` is `1 MiB`"),
        ];
        for (name, partitions, configs, expected) in cases {
            let error = topic(name, partitions, configs).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn cleanup_policies_are_read_as_kafka_streams_writes_them() {
        assert_eq!(topic("a", 1, &[("cleanup.policy", "delete"), ("retention.ms", "-1")]).unwrap().compaction, None);
        let window = topic("a", 1, &[("cleanup.policy", "compact,delete"), ("retention.ms", "5")]).unwrap();
        let rules = window.compaction.unwrap();
        assert_eq!((rules.record_retention_millis, rules.tombstone_retention_millis), (Some(5), 86_400_000));
        let store = topic("a", 1, &[("cleanup.policy", "compact"), ("retention.ms", "5")]).unwrap();
        assert_eq!(store.compaction.unwrap().record_retention_millis, None);
    }
}
