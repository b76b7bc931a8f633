//! A topology together with the topics of a cluster: its tasks, and the partitions of everything.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::internal_topics::{InternalTopic, InternalTopicKind};
use super::node::{NodeIndex, SourceTopics};
use super::pattern::TopicPattern;
use super::{CopartitionGroup, SubTopology, Topology};
use crate::id::{SubTopologyId, TaskId, TopicName, TopicPartition};

/// The tasks of a topology, and the internal topics that it needs. Made anew when topics appear or change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolvedTopology {
    /// For each sub-topology what its sources read, in the order of the sources.
    reads: Vec<Vec<(NodeIndex, TopicName)>>,
    /// For each sub-topology its number of tasks.
    task_counts: Vec<i32>,
    /// The number of partitions of each topic that is read.
    partitions: BTreeMap<TopicName, i32>,
    /// The sub-topology that reads each topic.
    readers: BTreeMap<TopicName, SubTopologyId>,
    internal_topics: Vec<InternalTopic>,
}

/// Why the topics of the cluster don't fit the topology.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResolveError {
    /// Topics that sources name are not there.
    MissingTopics {
        /// The topics, each with the source that names it.
        topics: Vec<(TopicName, String)>,
    },
    /// Two sources match the same topic.
    TopicReadTwice {
        /// The topic.
        topic: TopicName,
        /// The two sources.
        sources: [String; 2],
    },
    /// Topics that must have the same number of partitions have not.
    NotCopartitioned {
        /// The node at which they meet.
        node: String,
        /// The topics and their numbers of partitions.
        topics: Vec<(TopicName, i32)>,
    },
    /// The number of partitions of a repartition topic is not known, because nothing upstream is there yet.
    UnknownPartitions {
        /// The repartition topic.
        topic: TopicName,
    },
}

impl fmt::Display for ResolveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MissingTopics { topics } => {
                let named: Vec<_> =
                    topics.iter().map(|(topic, source)| format!("{topic} (source {source:?})")).collect();
                write!(f, "source topics do not exist: {}; create them, or correct their names", named.join(", "))
            }
            Self::TopicReadTwice { topic, sources: [one, other] } => write!(
                f,
                "topic {topic} is read by the sources {one:?} and {other:?}; a topic has one source: make a pattern narrower"
            ),
            Self::NotCopartitioned { node, topics } => {
                let named: Vec<_> =
                    topics.iter().map(|(topic, partitions)| format!("{topic} has {partitions}")).collect();
                write!(
                    f,
                    "the topics that meet at node {node:?} must have the same number of partitions, because it keeps state \
                     by key, but {}; put a `repartition` before it, recreate a topic, or set `copartition = false` on the \
                     node if its state does not join them",
                    named.join(", ")
                )
            }
            Self::UnknownPartitions { topic } => write!(
                f,
                "the number of partitions of repartition topic {topic} is not known, because no topic upstream of it exists \
                 yet; create one that the source's pattern matches, or set `partitions`"
            ),
        }
    }
}

impl std::error::Error for ResolveError {}

impl ResolvedTopology {
    /// Resolves `topology` with the topics of the cluster and their numbers of partitions (more than the application reads may be
    /// given; `internal` ones are ignored), and with the topic configurations of the application.
    ///
    /// # Errors
    ///
    /// All reasons why the topics don't fit.
    pub fn new(
        topology: &Topology,
        cluster: &BTreeMap<TopicName, i32>,
        topic_configs: &BTreeMap<String, String>,
    ) -> Result<Self, Vec<ResolveError>> {
        let mut resolver = Resolver { topology, partitions: BTreeMap::new(), errors: Vec::new() };
        let topics = resolver.source_topics(cluster);
        resolver.count_repartitions(&topics);
        for group in topology.copartition_groups() {
            resolver.copartition(group, &topics);
        }
        if !resolver.errors.is_empty() {
            return Err(resolver.errors);
        }
        Ok(Self::assemble(topology, &topics, resolver.partitions, topic_configs))
    }

    fn assemble(
        topology: &Topology,
        topics: &[Vec<TopicName>],
        partitions: BTreeMap<TopicName, i32>,
        topic_configs: &BTreeMap<String, String>,
    ) -> Self {
        let mut reads = Vec::new();
        let mut readers = BTreeMap::new();
        for sub_topology in topology.sub_topologies() {
            let read: Vec<(NodeIndex, TopicName)> = sub_topology
                .sources(topology)
                .flat_map(|source| topics[source.0].iter().map(move |topic| (source, topic.clone())))
                .collect();
            readers.extend(read.iter().map(|(_, topic)| (topic.clone(), sub_topology.id)));
            reads.push(read);
        }
        let count = |read: &Vec<(NodeIndex, TopicName)>| read.iter().map(|(_, topic)| partitions[topic]).max();
        let task_counts: Vec<i32> = reads.iter().map(|read| count(read).unwrap_or(0)).collect();
        let internal_topics = internal_topics(topology, &partitions, &task_counts, topic_configs);
        Self { reads, task_counts, partitions, readers, internal_topics }
    }

    /// All tasks, ascending.
    #[must_use]
    pub fn tasks(&self) -> BTreeSet<TaskId> {
        let numbered = (0_u32..).zip(&self.task_counts);
        numbered.flat_map(|(id, count)| (0..*count).map(move |partition| TaskId::new(id, partition))).collect()
    }

    /// The number of tasks of a sub-topology: the largest number of partitions that it reads (§3.2).
    #[must_use]
    pub fn task_count(&self, sub_topology: SubTopologyId) -> i32 {
        self.task_counts.get(sub_topology.0 as usize).copied().unwrap_or(0)
    }

    /// What a task reads, with the source that each partition belongs to: its partition of every topic that has so many.
    #[must_use]
    pub fn task_partitions(&self, task: TaskId) -> Vec<(NodeIndex, TopicPartition)> {
        let read = self.reads.get(task.sub_topology.0 as usize).map(Vec::as_slice).unwrap_or_default();
        read.iter()
            .filter(|(_, topic)| self.partitions[topic] > task.partition)
            .map(|(source, topic)| (*source, TopicPartition::new(topic.clone(), task.partition)))
            .collect()
    }

    /// The tasks that read any of `partitions`.
    #[must_use]
    pub fn tasks_of(&self, partitions: &[TopicPartition]) -> BTreeSet<TaskId> {
        let task = |read: &TopicPartition| {
            let sub_topology = *self.readers.get(&read.topic)?;
            Some(TaskId { sub_topology, partition: read.partition })
        };
        partitions.iter().filter_map(task).collect()
    }

    /// All topics that are read, with their numbers of partitions; repartition topics too.
    #[must_use]
    pub fn read_topics(&self) -> &BTreeMap<TopicName, i32> {
        &self.partitions
    }

    /// The internal topics that must exist: repartition topics in the order of their nodes, then changelogs in the order of their
    /// tasks and stores.
    #[must_use]
    pub fn internal_topics(&self) -> &[InternalTopic] {
        &self.internal_topics
    }
}

fn internal_topics(
    topology: &Topology,
    partitions: &BTreeMap<TopicName, i32>,
    task_counts: &[i32],
    topic_configs: &BTreeMap<String, String>,
) -> Vec<InternalTopic> {
    let repartitions = topology.repartitions().iter().map(|repartition| InternalTopic {
        name: repartition.topic.clone(),
        kind: InternalTopicKind::Repartition,
        partitions: partitions[&repartition.topic],
        configs: InternalTopicKind::Repartition.configs(topic_configs, &BTreeMap::new()),
    });
    let changelogs = topology.sub_topologies().iter().zip(task_counts).flat_map(|(sub_topology, count)| {
        let stores = sub_topology.stores.iter().map(|store| &topology.stores()[*store]);
        stores.filter(|store| store.logged && *count > 0).map(|store| InternalTopic {
            name: topology.changelog_topic(&store.name),
            kind: InternalTopicKind::Changelog,
            partitions: *count,
            configs: InternalTopicKind::Changelog.configs(topic_configs, &store.changelog_config),
        })
    });
    repartitions.chain(changelogs).collect()
}

struct Resolver<'a> {
    topology: &'a Topology,
    /// The numbers of partitions that are known so far.
    partitions: BTreeMap<TopicName, i32>,
    errors: Vec<ResolveError>,
}

impl Resolver<'_> {
    /// The topics that each node reads (none, if it is not a source), sorted within a node.
    fn source_topics(&mut self, cluster: &BTreeMap<TopicName, i32>) -> Vec<Vec<TopicName>> {
        let mut missing = Vec::new();
        let mut readers: BTreeMap<TopicName, &str> = BTreeMap::new();
        let mut all = Vec::with_capacity(self.topology.nodes().len());
        for node in self.topology.nodes() {
            let Some(source) = node.as_source() else {
                all.push(Vec::new());
                continue;
            };
            let topics = match &source.topics {
                SourceTopics::Names(names) => names.clone(),
                SourceTopics::Pattern(pattern) => self.matching(pattern, cluster),
            };
            for topic in topics.iter().filter(|_| !source.internal) {
                match cluster.get(topic) {
                    Some(partitions) => drop(self.partitions.insert(topic.clone(), *partitions)),
                    None => missing.push((topic.clone(), node.name.as_str().into())),
                }
                if let Some(other) = readers.insert(topic.clone(), node.name.as_str()) {
                    let sources = [other.into(), node.name.as_str().into()];
                    self.errors.push(ResolveError::TopicReadTwice { topic: topic.clone(), sources });
                }
            }
            all.push(topics);
        }
        if !missing.is_empty() {
            self.errors.push(ResolveError::MissingTopics { topics: missing });
        }
        all
    }

    /// The topics that `pattern` matches; never the application's own changelogs, however wide the pattern is.
    fn matching(&self, pattern: &str, cluster: &BTreeMap<TopicName, i32>) -> Vec<TopicName> {
        // The builder has compiled every pattern already.
        let Ok(pattern) = TopicPattern::new(pattern) else { return Vec::new() };
        let changelogs: BTreeSet<TopicName> =
            self.topology.stores().iter().map(|store| self.topology.changelog_topic(&store.name)).collect();
        cluster.keys().filter(|topic| pattern.matches(topic) && !changelogs.contains(topic)).cloned().collect()
    }

    /// Gives each repartition topic its number of partitions: what is set, or the largest among the topics of the sub-topology that
    /// writes to it (§3.2). In the order of the nodes everything upstream is known before.
    fn count_repartitions(&mut self, topics: &[Vec<TopicName>]) {
        for repartition in self.topology.repartitions() {
            let count = repartition.partitions.or_else(|| {
                let writer = self.sub_topology_of(repartition.sink)?;
                let read = writer.sources(self.topology).flat_map(|source| &topics[source.0]);
                read.filter_map(|topic| self.partitions.get(topic)).max().copied()
            });
            match count {
                Some(count) => drop(self.partitions.insert(repartition.topic.clone(), count)),
                // Without topics that are missing by name this is a second message for one mistake.
                None if self.errors.is_empty() => {
                    self.errors.push(ResolveError::UnknownPartitions { topic: repartition.topic.clone() });
                }
                None => {}
            }
        }
    }

    fn sub_topology_of(&self, node: NodeIndex) -> Option<&SubTopology> {
        self.topology.sub_topologies().iter().find(|sub_topology| sub_topology.nodes.binary_search(&node).is_ok())
    }

    /// Makes the topics of `group` equal in their numbers of partitions: repartition topics without a number of their own follow
    /// the others, or the largest of them (`CopartitionedTopicsEnforcer`).
    fn copartition(&mut self, group: &CopartitionGroup, topics: &[Vec<TopicName>]) {
        let follows = |topic: &TopicName| {
            let repartitions = self.topology.repartitions();
            repartitions.iter().any(|repartition| repartition.topic == *topic && repartition.partitions.is_none())
        };
        let members: Vec<&TopicName> = group.sources.iter().flat_map(|source| &topics[source.0]).collect();
        let (following, fixed): (Vec<_>, Vec<_>) = members.into_iter().partition(|topic| follows(topic));
        let fixed: Vec<(TopicName, i32)> =
            fixed.into_iter().filter_map(|topic| Some((topic.clone(), *self.partitions.get(topic)?))).collect();
        if fixed.windows(2).any(|pair| pair[0].1 != pair[1].1) {
            let node = self.topology.node(group.node).name.as_str().into();
            self.errors.push(ResolveError::NotCopartitioned { node, topics: fixed });
            return;
        }
        let largest = following.iter().filter_map(|topic| self.partitions.get(*topic)).max().copied();
        let Some(count) = fixed.first().map(|(_, count)| *count).or(largest) else { return };
        for topic in following {
            self.partitions.insert(topic.clone(), count);
        }
    }
}
