//! The topics that the engine makes for itself: repartition and changelog topics, with Kafka Streams' configurations.

use std::collections::BTreeMap;

use crate::id::TopicName;

/// A topic that the engine makes for itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InternalTopic {
    /// Its name.
    pub name: TopicName,
    /// What it is for.
    pub kind: InternalTopicKind,
    /// How many partitions it has.
    pub partitions: i32,
    /// Its topic configurations.
    pub configs: BTreeMap<String, String>,
}

/// What an internal topic is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InternalTopicKind {
    /// Carries records to the partition of their new key; purged up to what is committed.
    Repartition,
    /// Keeps the content of a store.
    Changelog,
}

impl InternalTopicKind {
    /// The configurations of Kafka Streams (§3.3), weakest first: its own, then `topic_configs` of the application, then `own` of the
    /// one topic.
    pub(super) fn configs(
        self,
        topic_configs: &BTreeMap<String, String>,
        own: &BTreeMap<String, String>,
    ) -> BTreeMap<String, String> {
        let defaults: &[(&str, &str)] = match self {
            Self::Repartition => &[
                ("cleanup.policy", "delete"),
                ("message.timestamp.type", "CreateTime"),
                ("retention.ms", "-1"),
                ("segment.bytes", "52428800"),
            ],
            Self::Changelog => &[("cleanup.policy", "compact"), ("message.timestamp.type", "CreateTime")],
        };
        let mut configs: BTreeMap<String, String> =
            defaults.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
        for (key, value) in topic_configs.iter().chain(own) {
            configs.insert(key.clone(), value.clone());
        }
        configs
    }
}
