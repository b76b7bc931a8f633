//! The applications that the simulator runs: their topologies, and what they are fed with.

use std::collections::BTreeMap;
use std::sync::Arc;

use millstream_core::id::{SubTopologyId, TaskId, Timestamp, TopicName};
use millstream_core::port::ResetPosition;
use millstream_core::topology::{
    ProcessorDeclaration, RepartitionOptions, ResolvedTopology, SinkTopic, Source, SourceTopics, Step,
    StoreDeclaration, StoreKind, TimestampExtractor, Topology, TopologyBuilder,
};

use super::random::Random;

/// What an application does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Job {
    /// Forwards records as they are.
    PassThrough,
    /// Gets, changes, puts and forwards an entry of a store for each record.
    Change,
    /// Splits lines into words, repartitions and counts them: two sub-topologies.
    WordCount,
    /// Reads two topics in one task, by timestamps.
    Meet,
    /// Like `Change`, and fails on some records.
    Brittle,
}

/// All jobs.
pub const JOBS: [Job; 5] = [Job::PassThrough, Job::Change, Job::WordCount, Job::Meet, Job::Brittle];

/// The topics that applications read. `Meet` reads both.
pub const INPUTS: [&str; 2] = ["left", "right"];
/// The topic that applications write.
pub const OUTPUT: &str = "output";
/// Where records go on which a processor failed.
pub const DEAD_LETTERS: &str = "dead-letters";
/// The store of all that keep something.
pub const STORE: &str = "kept";

/// A store's changelog, seen from a task.
#[derive(Clone, Copy, Debug)]
pub struct Changelog {
    /// The sub-topology that has the store.
    pub sub_topology: SubTopologyId,
    /// The store's index in a task.
    pub store: usize,
    /// Whether values are kept with their timestamps.
    pub timestamped: bool,
}

impl Changelog {
    /// The task that keeps a partition of it.
    #[must_use]
    pub fn task(&self, partition: i32) -> TaskId {
        TaskId { sub_topology: self.sub_topology, partition }
    }

    /// A value as the store keeps it (reference §3.7).
    #[must_use]
    pub fn kept(&self, timestamp: Timestamp, value: &[u8]) -> Vec<u8> {
        let mut kept = if self.timestamped { timestamp.to_be_bytes().to_vec() } else { Vec::new() };
        kept.extend_from_slice(value);
        kept
    }
}

/// See the file's documentation.
#[derive(Debug)]
pub struct Application {
    /// What it does.
    pub job: Job,
    /// Its topology.
    pub topology: Arc<Topology>,
    /// Its tasks and internal topics.
    pub resolved: Arc<ResolvedTopology>,
    /// The partitions of each topic that it reads or writes, internal ones excepted.
    pub topics: BTreeMap<TopicName, i32>,
    changelogs: BTreeMap<TopicName, Changelog>,
}

impl Application {
    /// The application of `job` with so many partitions.
    ///
    /// # Panics
    ///
    /// If the topology has a mistake.
    #[must_use]
    pub fn new(job: Job, partitions: i32, is_store_persistent: bool) -> Self {
        let topology = declare(job, is_store_persistent).build().expect("the topology is well formed");
        let inputs = if job == Job::Meet { &INPUTS[..] } else { &INPUTS[..1] };
        let names = inputs.iter().chain([&OUTPUT, &DEAD_LETTERS]);
        let topics: BTreeMap<TopicName, i32> = names.map(|name| (TopicName::from(*name), partitions)).collect();
        let resolved = ResolvedTopology::new(&topology, &topics, &BTreeMap::new()).expect("the topics are there");
        let mut changelogs = BTreeMap::new();
        for sub_topology in topology.sub_topologies() {
            for (store, index) in sub_topology.stores.iter().enumerate() {
                let spec = &topology.stores()[*index];
                let timestamped = spec.kind == StoreKind::TimestampedKeyValue;
                let changelog = Changelog { sub_topology: sub_topology.id, store, timestamped };
                changelogs.insert(topology.changelog_topic(&spec.name), changelog);
            }
        }
        Self { job, topology: Arc::new(topology), resolved: Arc::new(resolved), topics, changelogs }
    }

    /// What keeps a changelog; `None` for another topic.
    #[must_use]
    pub fn store_of_changelog(&self, topic: &TopicName) -> Option<Changelog> {
        self.changelogs.get(topic).copied()
    }

    /// All changelogs.
    pub fn changelogs(&self) -> impl Iterator<Item = (&TopicName, &Changelog)> {
        self.changelogs.iter()
    }

    /// The next record to feed it with: topic, key, value.
    pub fn input(&self, number: usize, random: &mut Random, flags: &str) -> (TopicName, String, String) {
        let key = format!("k{}", random.below(7));
        let value = match self.job {
            Job::WordCount => {
                let words: Vec<String> = (0..random.within(0..=4)).map(|_| format!("w{}", random.below(9))).collect();
                words.join(" ")
            }
            Job::Change | Job::Brittle if random.permille(250) && !flags.is_empty() => {
                let flag = flags.as_bytes()[random.below(flags.len())];
                format!("{number}{}", flag as char)
            }
            _ => number.to_string(),
        };
        let topic = if self.job == Job::Meet { random.pick(&INPUTS) } else { INPUTS[0] };
        (TopicName::from(topic), key, value)
    }
}

fn declare(job: Job, is_store_persistent: bool) -> TopologyBuilder {
    let mut builder = TopologyBuilder::new("simulation");
    let source = |name: &str| Source {
        topics: SourceTopics::Names(vec![TopicName::from(name)]),
        timestamp_extractor: TimestampExtractor::FailOnInvalid,
        reset: Some(ResetPosition::Earliest),
        internal: false,
    };
    let inputs: &[&str] = if job == Job::Meet { &INPUTS } else { &INPUTS[..1] };
    for name in inputs {
        builder.source(*name, source(name));
    }
    let mut last = inputs.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let plugin = match job {
        Job::PassThrough => None,
        Job::Change => Some("change"),
        Job::WordCount => Some("split"),
        Job::Meet => Some("meet"),
        Job::Brittle => Some("brittle"),
    };
    let has_store = !matches!(job, Job::PassThrough);
    if let Some(plugin) = plugin {
        let is_counted = job == Job::WordCount;
        let stores = if is_counted { Vec::new() } else { vec![STORE.to_owned()] };
        let step = Step::Plugin {
            plugin: plugin.into(),
            processor: None,
            config: BTreeMap::new(),
            key_unchanged: !is_counted,
        };
        builder.processor("plugin", ProcessorDeclaration { step, inputs: last, stores, copartition: true });
        last = vec!["plugin".into()];
        if is_counted {
            let step = Step::Count { repartition: RepartitionOptions::default() };
            let stores = vec![STORE.to_owned()];
            builder.processor("count", ProcessorDeclaration { step, inputs: last, stores, copartition: true });
            last = vec!["count".into()];
        }
    }
    if has_store {
        let kind = StoreKind::KeyValue;
        let changelog_config = BTreeMap::new();
        builder
            .store(STORE, StoreDeclaration { kind, persistent: is_store_persistent, logged: true, changelog_config });
    }
    builder.sink("sink", SinkTopic::Name(TopicName::from(OUTPUT)), last);
    builder
}
