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

    /// For each sub-topology the topic whose partitions decide who owns its tasks: the one with the most partitions, and of several
    /// the first by name. An assignor of consumers looks at each topic alone; where topics of one sub-topology have different numbers
    /// of partitions it would give parts of one task to two members.
    #[must_use]
    pub fn owner_topics(&self) -> BTreeSet<TopicName> {
        let most = |read: &Vec<(NodeIndex, TopicName)>| {
            let by_partitions = |topic: &&TopicName| (self.partitions[*topic], std::cmp::Reverse((*topic).clone()));
            read.iter().map(|(_, topic)| topic).max_by_key(by_partitions).cloned()
        };
        self.reads.iter().filter_map(most).collect()
    }

    /// The tasks that are owned by the owner of `partitions`.
    #[must_use]
    pub fn tasks_of(&self, partitions: &[TopicPartition]) -> BTreeSet<TaskId> {
        let owner_topics = self.owner_topics();
        let deciding = partitions.iter().filter(|partition| owner_topics.contains(&partition.topic));
        let task = |read: &TopicPartition| {
            let sub_topology = *self.readers.get(&read.topic)?;
            Some(TaskId { sub_topology, partition: read.partition })
        };
        deciding.filter_map(task).collect()
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

#[cfg(test)]
mod tests {
    use super::super::testing::{parse, word_count};
    use super::*;

    fn cluster(topics: &[(&str, i32)]) -> BTreeMap<TopicName, i32> {
        topics.iter().map(|(topic, partitions)| (TopicName::from(*topic), *partitions)).collect()
    }

    fn resolve(declarations: &str, topics: &[(&str, i32)]) -> Result<(Topology, ResolvedTopology), Vec<ResolveError>> {
        let topology = parse("app", declarations).build().expect("a topology");
        let resolved = ResolvedTopology::new(&topology, &cluster(topics), &BTreeMap::new())?;
        Ok((topology, resolved))
    }

    #[track_caller]
    fn check_partitions(declarations: &str, topics: &[(&str, i32)], topic: &str, expected: i32) {
        let (_, resolved) = resolve(declarations, topics).expect("resolved");
        assert_eq!(resolved.read_topics()[&TopicName::from(topic)], expected, "{declarations}");
    }

    #[test]
    fn word_count_has_a_task_for_each_partition_on_both_sides() {
        let topology = word_count().build().expect("a topology");
        let own = BTreeMap::from([("min.insync.replicas".to_owned(), "2".to_owned())]);
        let resolved =
            ResolvedTopology::new(&topology, &cluster(&[("TextLinesTopic", 3), ("else", 9)]), &own).expect("resolved");
        let tasks: Vec<String> = resolved.tasks().iter().map(ToString::to_string).collect();
        assert_eq!(tasks, ["0_0", "0_1", "0_2", "1_0", "1_1", "1_2"]);
        let read: Vec<String> =
            resolved.task_partitions(TaskId::new(1, 2)).iter().map(|(_, partition)| partition.to_string()).collect();
        assert_eq!(read, ["wordcount-counts-store-repartition-2"]);
        let [repartition, changelog] = resolved.internal_topics() else { panic!("two internal topics") };
        assert_eq!((repartition.kind, repartition.partitions), (InternalTopicKind::Repartition, 3));
        let configs: Vec<String> = repartition.configs.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let expected = [
            "cleanup.policy=delete",
            "message.timestamp.type=CreateTime",
            "min.insync.replicas=2",
            "retention.ms=-1",
            "segment.bytes=52428800",
        ];
        assert_eq!(configs, expected);
        assert_eq!(changelog.name.as_str(), "wordcount-counts-store-changelog");
        assert_eq!((changelog.kind, changelog.partitions), (InternalTopicKind::Changelog, 3));
        assert_eq!(changelog.configs["cleanup.policy"], "compact");
    }

    #[test]
    fn a_tasks_number_is_the_largest_and_each_reads_what_is_there() {
        let (topology, resolved) = resolve("source in a,b\nprocessor p in", &[("a", 2), ("b", 4)]).expect("resolved");
        assert_eq!(resolved.task_count(SubTopologyId(0)), 4);
        let source = topology.find_node("in").expect("a source");
        let partition = |topic: &str, number| (source, TopicPartition::new(topic, number));
        assert_eq!(resolved.task_partitions(TaskId::new(0, 1)), [partition("a", 1), partition("b", 1)]);
        assert_eq!(resolved.task_partitions(TaskId::new(0, 3)), [partition("b", 3)]);
        assert_eq!(resolved.task_partitions(TaskId::new(7, 0)), []);
    }

    #[test]
    fn the_tasks_of_partitions_are_found() {
        let (_, resolved) =
            resolve("source a ta\nprocessor p a\nsource b tb", &[("ta", 2), ("tb", 2)]).expect("resolved");
        let partitions = [("ta", 1), ("tb", 0), ("other", 0)].map(|(topic, number)| TopicPartition::new(topic, number));
        assert_eq!(resolved.tasks_of(&partitions), BTreeSet::from([TaskId::new(0, 1), TaskId::new(1, 0)]));
    }

    #[test]
    fn the_topic_with_the_most_partitions_decides_who_owns_the_tasks() {
        // `range` gives 3 members of a: {0,1} {2,3} {4}, and of b: {0} {1} {2}. Task 0_1 would have two owners.
        let topics = [("a", 5), ("b", 3), ("c", 5), ("d", 1)];
        let (_, resolved) = resolve("source in a,b,c\nprocessor p in\nsource d d", &topics).expect("resolved");
        let names: Vec<_> = resolved.owner_topics().iter().map(ToString::to_string).collect();
        assert_eq!(names, ["a", "d"]);
        let partitions = [("a", 0), ("b", 1), ("c", 2), ("d", 0)];
        let partitions = partitions.map(|(topic, number)| TopicPartition::new(topic, number));
        assert_eq!(resolved.tasks_of(&partitions), BTreeSet::from([TaskId::new(0, 0), TaskId::new(1, 0)]));
    }

    #[test]
    fn a_repartition_topic_follows_its_writers_unless_it_has_a_number() {
        let topics = [("a", 2), ("b", 5)];
        check_partitions("source a a\nsource b b\nmerge m a,b\nrepartition r m", &topics, "app-r-repartition", 5);
        check_partitions("source a a\nrepartition r a 7", &topics, "app-r-repartition", 7);
        let chained = "source a a\nrepartition r a 7\nprocessor p r\ncount c p s";
        check_partitions(chained, &topics, "app-s-repartition", 7);
        let merged = "source a a\nsource b b\nrepartition r a 3\nmerge m r,b\nprocessor p m\ncount c p s";
        check_partitions(merged, &topics, "app-s-repartition", 5);
    }

    #[test]
    fn topics_that_meet_in_state_must_have_as_many_partitions() {
        let declarations = "source a ta\nsource b tb\nprocessor join a,b s";
        let errors = resolve(declarations, &[("ta", 2), ("tb", 3)]).expect_err("not copartitioned");
        let text = errors[0].to_string();
        for part in ["join", "ta has 2", "tb has 3", "repartition", "copartition = false"] {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert!(resolve(declarations, &[("ta", 3), ("tb", 3)]).is_ok());
        for free in [
            "source a ta\nsource b tb\nfree join a,b s",
            "source a ta\nsource b tb\nprocessor join a,b",
            "source a ta\nsource b tb\nmerge m a,b\nsink out o m",
        ] {
            assert!(resolve(free, &[("ta", 2), ("tb", 3)]).is_ok(), "{free}");
        }
    }

    #[test]
    fn a_repartition_topic_becomes_equal_to_what_it_meets() {
        let declarations = "source a ta\nsource b tb\nrepartition r a\nprocessor join r,b s";
        check_partitions(declarations, &[("ta", 2), ("tb", 3)], "app-r-repartition", 3);
        let both = "source a ta\nsource b tb\nrepartition r a\nrepartition q b\nprocessor join r,q s";
        check_partitions(both, &[("ta", 2), ("tb", 3)], "app-r-repartition", 3);
        let one_is_set = "source a ta\nsource b tb\nrepartition r a 8\nrepartition q b\nprocessor join r,q s";
        check_partitions(one_is_set, &[("ta", 2), ("tb", 3)], "app-q-repartition", 8);
        let set_wrongly = "source a ta\nsource b tb\nrepartition r a 8\nprocessor join r,b s";
        let errors = resolve(set_wrongly, &[("ta", 2), ("tb", 3)]).expect_err("not copartitioned");
        assert!(errors[0].to_string().contains("app-r-repartition has 8"), "{}", errors[0]);
    }

    #[test]
    fn a_pattern_reads_what_matches_now_but_never_its_own_changelogs() {
        let declarations = "pattern in .*\nprocessor p in s";
        let topics = [("a", 2), ("b", 4), ("app-s-changelog", 9)];
        let (_, resolved) = resolve(declarations, &topics).expect("resolved");
        assert_eq!(resolved.task_count(SubTopologyId(0)), 4);
        assert!(!resolved.read_topics().contains_key(&TopicName::from("app-s-changelog")));
        let (_, resolved) = resolve(declarations, &[]).expect("resolved");
        assert_eq!(resolved.tasks(), BTreeSet::new());
        assert_eq!(resolved.internal_topics(), []);
    }

    #[test]
    fn what_does_not_fit_is_told_all_at_once() {
        let declarations = "source a missing\npattern b x.*\npattern c .*y\nprocessor p a,b,c";
        let errors = resolve(declarations, &[("xy", 1)]).expect_err("two errors");
        assert_eq!(errors.len(), 2);
        assert!(errors.iter().any(|error| matches!(error, ResolveError::MissingTopics { .. })));
        assert!(errors.iter().any(|error| matches!(error, ResolveError::TopicReadTwice { .. })));
        let errors = resolve("pattern in x.*\nrepartition r in", &[]).expect_err("unknown");
        assert!(matches!(errors[0], ResolveError::UnknownPartitions { .. }));
    }
}
