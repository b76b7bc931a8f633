//! Short words to declare the topologies of tests with.

use std::collections::BTreeMap;

use millstream_core::port::ResetPosition;
use millstream_core::topology::{
    FunctionRef, ProcessorDeclaration, RepartitionOptions, SinkTopic, Source, SourceTopics, Step, StoreDeclaration,
    StoreKind, TimestampExtractor, Topology, TopologyBuilder,
};

/// A topology that is being declared; names of nodes are names of plugins, too, where a node runs one.
pub struct Draft(TopologyBuilder);

impl Draft {
    /// Of the application called `app`.
    #[must_use]
    pub fn new() -> Self {
        Self(TopologyBuilder::new("app"))
    }

    /// A source of the topic that has its name.
    #[must_use]
    pub fn source(self, name: &str) -> Self {
        self.source_of(name, source(&[name]))
    }

    /// A source.
    #[must_use]
    pub fn source_of(mut self, name: &str, source: Source) -> Self {
        self.0.source(name, source);
        self
    }

    /// A node that runs the plugin of its name.
    #[must_use]
    pub fn plugin(self, name: &str, inputs: &[&str], stores: &[&str]) -> Self {
        let plugin = name.to_owned();
        let step = Step::Plugin { plugin, processor: None, config: BTreeMap::new(), key_unchanged: true };
        self.step(name, step, inputs, stores)
    }

    /// A node that runs the plugin of its name, which may change keys.
    #[must_use]
    pub fn plugin_with_new_keys(self, name: &str, inputs: &[&str]) -> Self {
        let plugin = name.to_owned();
        let step = Step::Plugin { plugin, processor: None, config: BTreeMap::new(), key_unchanged: false };
        self.step(name, step, inputs, &[])
    }

    /// A node that counts the records of each key in `store`.
    #[must_use]
    pub fn count(self, name: &str, input: &str, store: &str) -> Self {
        self.step(name, Step::Count { repartition: RepartitionOptions::default() }, &[input], &[store])
    }

    /// A node.
    #[must_use]
    pub fn step(mut self, name: &str, step: Step, inputs: &[&str], stores: &[&str]) -> Self {
        let declaration =
            ProcessorDeclaration { step, inputs: owned(inputs), stores: owned(stores), copartition: true };
        self.0.processor(name, declaration);
        self
    }

    /// A sink to the topic that has its name.
    #[must_use]
    pub fn sink(self, name: &str, inputs: &[&str]) -> Self {
        self.sink_to(name, SinkTopic::Name(name.into()), inputs)
    }

    /// A sink.
    #[must_use]
    pub fn sink_to(mut self, name: &str, topic: SinkTopic, inputs: &[&str]) -> Self {
        self.0.sink(name, topic, owned(inputs));
        self
    }

    /// A logged key-value store.
    #[must_use]
    pub fn store(self, name: &str) -> Self {
        self.store_of(name, store(StoreKind::KeyValue))
    }

    /// A store.
    #[must_use]
    pub fn store_of(mut self, name: &str, store: StoreDeclaration) -> Self {
        self.0.store(name, store);
        self
    }

    /// The topology.
    ///
    /// # Panics
    ///
    /// When it is not sound.
    #[must_use]
    pub fn build(self) -> Topology {
        self.0.build().expect("the topology is sound")
    }
}

impl Default for Draft {
    fn default() -> Self {
        Self::new()
    }
}

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// A source that begins with the earliest records and fails on invalid timestamps.
#[must_use]
pub fn source(topics: &[&str]) -> Source {
    Source {
        topics: SourceTopics::Names(topics.iter().map(|topic| (*topic).into()).collect()),
        timestamp_extractor: TimestampExtractor::FailOnInvalid,
        reset: Some(ResetPosition::Earliest),
        internal: false,
    }
}

/// A persistent, logged store.
#[must_use]
pub fn store(kind: StoreKind) -> StoreDeclaration {
    StoreDeclaration { kind, persistent: true, logged: true, changelog_config: BTreeMap::new() }
}

/// The one function of a plugin.
#[must_use]
pub fn function(plugin: &str) -> FunctionRef {
    FunctionRef { plugin: plugin.to_owned(), function: None }
}
