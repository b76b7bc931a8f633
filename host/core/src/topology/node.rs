//! Nodes, stores and what they do: the data that a topology is made of.

use std::collections::BTreeMap;

use crate::id::{NodeName, StoreName, TopicName};
use crate::port::ResetPosition;

/// A node's place in [`Topology::nodes`](super::Topology::nodes).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeIndex(pub usize);

/// A source, a processor or a sink, and how it is connected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its name, unique in the topology.
    pub name: NodeName,
    /// What it does.
    pub kind: NodeKind,
    /// The nodes that forward to it, in the order in which its inputs were named.
    pub parents: Vec<NodeIndex>,
    /// The nodes that it forwards to, in the order in which they were attached; the order of forwarding.
    pub children: Vec<NodeIndex>,
    /// The stores that it may use, as indices into [`Topology::stores`](super::Topology::stores).
    pub stores: Vec<usize>,
}

/// What a node does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NodeKind {
    /// Reads topics.
    Source(Source),
    /// Handles records: a plugin or a native operator.
    Processor(Operation),
    /// Writes to a topic.
    Sink(Sink),
}

/// A node that reads topics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The topics that it reads.
    pub topics: SourceTopics,
    /// How a record gets its timestamp.
    pub timestamp_extractor: TimestampExtractor,
    /// Where to begin in a partition without a committed offset; `None` makes that an error.
    pub reset: Option<ResetPosition>,
    /// Whether the topic is a repartition topic, made and purged by the engine.
    pub internal: bool,
}

/// The topics of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceTopics {
    /// Exactly these.
    Names(Vec<TopicName>),
    /// All topics whose whole name matches this regular expression, those that appear later too.
    Pattern(String),
}

/// How a record gets its timestamp, by what the broker gave it (reference: Kafka Streams' `TimestampExtractor`s).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimestampExtractor {
    /// The record's own; a negative one stops the thread.
    FailOnInvalid,
    /// The record's own; a record with a negative one is dropped and logged.
    LogAndSkip,
    /// The record's own; instead of a negative one the partition time.
    UsePartitionTime,
    /// The time at which the record is looked at.
    WallClock,
}

/// What a processor node does with a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Gives it to a processor of a plugin.
    Plugin {
        /// The plugin, by its name in the manifest.
        plugin: String,
        /// The processor, where the plugin contains several.
        processor: Option<String>,
        /// Settings that the processor gets in `init`.
        config: BTreeMap<String, String>,
    },
    /// Forwards it if the predicate holds.
    Filter {
        /// The predicate.
        predicate: FunctionRef,
        /// Forwards it if the predicate does *not* hold.
        negated: bool,
    },
    /// Gives it the key that the selector computes: what group-by does before its repartition.
    SelectKey {
        /// The selector.
        selector: FunctionRef,
    },
    /// Counts the records of each key and forwards the new count.
    Count {
        /// The store of the counts, as an index into [`Topology::stores`](super::Topology::stores).
        store: usize,
    },
    /// Forwards it: several streams become one.
    Merge,
    /// Forwards it if it has a key: the filter before a repartition sink.
    DropNullKeys,
}

/// A function of a plugin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionRef {
    /// The plugin, by its name in the manifest.
    pub plugin: String,
    /// The function, where the plugin contains several.
    pub function: Option<String>,
}

/// A node that writes to a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sink {
    /// The topic.
    pub topic: SinkTopic,
    /// Whether the topic is a repartition topic, made and purged by the engine.
    pub internal: bool,
}

/// The topic that a sink writes a record to. A topic that is taken from the record must exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SinkTopic {
    /// Always this one.
    Name(TopicName),
    /// The one that the record's last header of this key names.
    FromHeader(String),
    /// The one that the record's key names.
    FromKey,
}

/// A state store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreSpec {
    /// Its name, unique in the topology.
    pub name: StoreName,
    /// What it keeps.
    pub kind: StoreKind,
    /// Whether it is on disk (`rocksdb`) or in memory.
    pub persistent: bool,
    /// Whether its changes go to a changelog topic; without one its content is lost when its task moves.
    pub logged: bool,
    /// Topic configurations of the changelog, stronger than all others.
    pub changelog_config: BTreeMap<String, String>,
    /// The nodes that may use it, in the order in which they were added.
    pub users: Vec<NodeIndex>,
}

/// What a store keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreKind {
    /// A value for each key.
    KeyValue,
    /// A value and its timestamp for each key.
    TimestampedKeyValue,
}

impl Node {
    /// The source that the node is, if it is one.
    #[must_use]
    pub fn as_source(&self) -> Option<&Source> {
        match &self.kind {
            NodeKind::Source(source) => Some(source),
            _ => None,
        }
    }

    /// The sink that the node is, if it is one.
    #[must_use]
    pub fn as_sink(&self) -> Option<&Sink> {
        match &self.kind {
            NodeKind::Sink(sink) => Some(sink),
            _ => None,
        }
    }
}

impl Node {
    /// The plugin that the node runs, if it runs one.
    #[must_use]
    pub fn plugin(&self) -> Option<&str> {
        match &self.kind {
            NodeKind::Processor(Operation::Plugin { plugin, .. }) => Some(plugin),
            NodeKind::Processor(Operation::Filter { predicate: function, .. }) => Some(&function.plugin),
            NodeKind::Processor(Operation::SelectKey { selector: function }) => Some(&function.plugin),
            _ => None,
        }
    }
}

impl SinkTopic {
    /// The topic's name, if it is fixed.
    #[must_use]
    pub fn name(&self) -> Option<&TopicName> {
        match self {
            Self::Name(name) => Some(name),
            Self::FromHeader(_) | Self::FromKey => None,
        }
    }
}
