//! What a [`TopologyBuilder`](super::TopologyBuilder) is told, and what it answers when that makes no topology.

use std::collections::BTreeMap;
use std::fmt;

use super::node::{FunctionRef, SinkTopic, Source, StoreKind};

/// A processor node, as it is declared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessorDeclaration {
    /// What it does.
    pub step: Step,
    /// The names of the nodes that forward to it. Several inputs of a native operator are merged.
    pub inputs: Vec<String>,
    /// The names of the stores that it may use.
    pub stores: Vec<String>,
    /// Whether its sources must be co-partitioned; see [`CopartitionGroup`](super::CopartitionGroup).
    pub copartition: bool,
}

/// What a declared processor does; the builder turns it into one or more nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Gives records to a processor of a plugin.
    Plugin {
        /// The plugin, by its name.
        plugin: String,
        /// The processor, where the plugin contains several.
        processor: Option<String>,
        /// Settings that the processor gets in `init`.
        config: BTreeMap<String, String>,
        /// Whether every record that it forwards has the key of the record that it was given.
        key_unchanged: bool,
    },
    /// Forwards the records for which the predicate holds (or, negated, does not).
    Filter {
        /// The predicate.
        predicate: FunctionRef,
        /// Forwards those for which it does not hold.
        negated: bool,
    },
    /// Gives records a new key; a repartition follows where an aggregation uses it.
    GroupBy {
        /// The selector of the new key.
        selector: FunctionRef,
    },
    /// Counts the records of each key in the one store of the declaration; a repartition is put before it if an input has
    /// changed the key.
    Count {
        /// How the repartition is made, if one is needed; it is named after the store by default.
        repartition: RepartitionOptions,
    },
    /// Forwards all records of its inputs.
    Merge,
    /// Sends records through a repartition topic, always; named after the node by default.
    Repartition(RepartitionOptions),
}

/// How a repartition topic is made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RepartitionOptions {
    /// The `<name>` in `<application.id>-<name>-repartition`.
    pub name: Option<String>,
    /// The number of partitions; otherwise the largest number of partitions upstream.
    pub partitions: Option<i32>,
}

/// A store, as it is declared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreDeclaration {
    /// What it keeps. The store of a native aggregation is always timestamped, as those of Kafka Streams' DSL are.
    pub kind: StoreKind,
    /// Whether it is on disk or in memory.
    pub persistent: bool,
    /// Whether its changes go to a changelog topic.
    pub logged: bool,
    /// Topic configurations of the changelog.
    pub changelog_config: BTreeMap<String, String>,
}

/// One declared node.
#[derive(Clone, Debug)]
pub(super) struct Declared {
    pub name: String,
    pub kind: DeclaredKind,
}

/// What a declared node is.
#[derive(Clone, Debug)]
pub(super) enum DeclaredKind {
    Source(Source),
    Processor(ProcessorDeclaration),
    Sink { topic: SinkTopic, inputs: Vec<String> },
}

impl Declared {
    /// The names of the nodes that forward to it.
    pub fn inputs(&self) -> &[String] {
        match &self.kind {
            DeclaredKind::Source(_) => &[],
            DeclaredKind::Processor(processor) => &processor.inputs,
            DeclaredKind::Sink { inputs, .. } => inputs,
        }
    }

    /// The names of the stores that it uses.
    pub fn stores(&self) -> &[String] {
        match &self.kind {
            DeclaredKind::Processor(processor) => &processor.stores,
            _ => &[],
        }
    }
}

/// A mistake in the declarations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopologyError {
    /// What was declared wrongly.
    pub subject: Subject,
    /// Which part of it.
    pub about: About,
    /// What is wrong and what to do, a lower-case fragment.
    pub message: String,
}

/// A declaration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// The node of this name.
    Node(String),
    /// The store of this name.
    Store(String),
}

/// A part of a declaration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum About {
    /// All of it.
    Whole,
    /// Its name; when a name is declared twice, the second time.
    Name,
    /// All its inputs.
    Inputs,
    /// This input.
    Input(String),
    /// This input, which no node has as its name.
    UnknownInput(String),
    /// All its stores.
    Stores,
    /// This store, which is not declared.
    UnknownStore(String),
    /// This topic or pattern.
    Topic(String),
    /// The name of its repartition topic.
    RepartitionName,
    /// The number of partitions of its repartition topic.
    Partitions,
}

impl TopologyError {
    pub(super) fn node(name: &str, about: About, message: String) -> Self {
        Self { subject: Subject::Node(name.into()), about, message }
    }

    pub(super) fn store(name: &str, about: About, message: String) -> Self {
        Self { subject: Subject::Store(name.into()), about, message }
    }
}

impl fmt::Display for TopologyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.subject {
            Subject::Node(name) => write!(f, "node {name:?}: {}", self.message),
            Subject::Store(name) => write!(f, "store {name:?}: {}", self.message),
        }
    }
}

impl std::error::Error for TopologyError {}
