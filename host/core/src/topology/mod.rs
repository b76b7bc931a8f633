//! The topology of an application: its nodes, stores and sub-topologies. Data, and pure algorithms over it.
//!
//! A [`TopologyBuilder`] is told sources, processors, sinks and stores, and builds an immutable [`Topology`]. Together with the
//! partition counts of the source topics that becomes a [`ResolvedTopology`], which knows tasks and internal topics.

mod assembly;
mod batchable;
mod builder;
mod declaration;
mod describe;
mod internal_topics;
mod java_order;
mod node;
mod pattern;
mod resolved;
mod sub_topology;
#[cfg(test)]
mod testing;
mod topic_name;

use std::collections::BTreeSet;

use crate::id::{StoreName, SubTopologyId, TopicName};

pub use builder::TopologyBuilder;
pub use declaration::{
    About, ProcessorDeclaration, RepartitionOptions, Step, StoreDeclaration, Subject, TopologyError,
};
pub use internal_topics::{InternalTopic, InternalTopicKind};
pub use node::{
    FunctionRef, Node, NodeIndex, NodeKind, Operation, Sink, SinkTopic, Source, SourceTopics, StoreKind, StoreSpec,
    TimestampExtractor,
};
pub use pattern::TopicPattern;
pub use resolved::{ResolveError, ResolvedTopology};
pub use sub_topology::SubTopology;
pub use topic_name::{TOPIC_NAME_LENGTH_MAX, check_topic_name};

/// The nodes and stores of an application; immutable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topology {
    application_id: String,
    nodes: Vec<Node>,
    stores: Vec<StoreSpec>,
    sub_topologies: Vec<SubTopology>,
    repartitions: Vec<Repartition>,
    copartition_groups: Vec<CopartitionGroup>,
}

/// A repartition topic and the two nodes that use it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repartition {
    /// The topic, `<application.id>-<name>-repartition`.
    pub topic: TopicName,
    /// The node that writes to it.
    pub sink: NodeIndex,
    /// The node that reads it.
    pub source: NodeIndex,
    /// The number of partitions that it must have; `None` follows the sub-topologies that write to it.
    pub partitions: Option<i32>,
}

/// Sources whose topics must have the same number of partitions, because their records meet in state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopartitionGroup {
    /// The node at which they meet.
    pub node: NodeIndex,
    /// The sources, ascending.
    pub sources: BTreeSet<NodeIndex>,
}

impl Topology {
    /// The application's id: the group, and the prefix of internal topics.
    #[must_use]
    pub fn application_id(&self) -> &str {
        &self.application_id
    }

    /// All nodes; each comes after its parents.
    #[must_use]
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// All nodes with their indices; each comes after its parents.
    pub fn indexed_nodes(&self) -> impl Iterator<Item = (NodeIndex, &Node)> {
        self.nodes.iter().enumerate().map(|(index, node)| (NodeIndex(index), node))
    }

    /// The node at `index`.
    ///
    /// # Panics
    ///
    /// If the index is of another topology.
    #[must_use]
    pub fn node(&self, index: NodeIndex) -> &Node {
        &self.nodes[index.0]
    }

    /// The node called `name`.
    #[must_use]
    pub fn find_node(&self, name: &str) -> Option<NodeIndex> {
        self.nodes.iter().position(|node| node.name.as_str() == name).map(NodeIndex)
    }

    /// All stores, in the order in which they were added.
    #[must_use]
    pub fn stores(&self) -> &[StoreSpec] {
        &self.stores
    }

    /// All sub-topologies; the index of each is its id.
    #[must_use]
    pub fn sub_topologies(&self) -> &[SubTopology] {
        &self.sub_topologies
    }

    /// The sub-topology called `id`.
    ///
    /// # Panics
    ///
    /// If the id is of another topology.
    #[must_use]
    pub fn sub_topology(&self, id: SubTopologyId) -> &SubTopology {
        &self.sub_topologies[id.0 as usize]
    }

    /// The repartition topics, in the order of their nodes.
    #[must_use]
    pub fn repartitions(&self) -> &[Repartition] {
        &self.repartitions
    }

    /// The sources that must be co-partitioned.
    #[must_use]
    pub fn copartition_groups(&self) -> &[CopartitionGroup] {
        &self.copartition_groups
    }

    /// The changelog topic of `store`: `<application.id>-<store>-changelog`.
    #[must_use]
    pub fn changelog_topic(&self, store: &StoreName) -> TopicName {
        changelog_topic(&self.application_id, store.as_str())
    }
}

/// The changelog topic of a store (§3.1).
fn changelog_topic(application_id: &str, store: &str) -> TopicName {
    TopicName::from(format!("{application_id}-{store}-changelog"))
}

/// The repartition topic called `name`; the suffix is not doubled (§3.1).
fn repartition_topic(application_id: &str, name: &str) -> TopicName {
    TopicName::from(format!("{application_id}-{}", repartition_base(name)))
}

/// The part of a repartition topic's name, and of its nodes' names, that follows the application's id.
fn repartition_base(name: &str) -> String {
    if name.ends_with(REPARTITION_SUFFIX) { name.into() } else { format!("{name}{REPARTITION_SUFFIX}") }
}

const REPARTITION_SUFFIX: &str = "-repartition";
