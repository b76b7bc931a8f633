//! The assembly: turns checked declarations into nodes, and puts a repartition wherever a key may have changed before it matters.

use std::collections::{BTreeMap, BTreeSet};

use super::declaration::{
    About, Declared, DeclaredKind, ProcessorDeclaration, RepartitionOptions, Step, StoreDeclaration, TopologyError,
};
use super::node::{
    Node, NodeIndex, NodeKind, Operation, Sink, SinkTopic, Source, SourceTopics, StoreKind, StoreSpec,
    TimestampExtractor,
};
use super::{CopartitionGroup, Repartition, Topology, repartition_base, repartition_topic, sub_topology};
use crate::id::{NodeName, StoreName};
use crate::port::ResetPosition;

/// A topology that is being put together.
pub(super) struct Assembly {
    topology: Topology,
    /// For each node whether the key of what it forwards may differ from the key that its source read (Kafka Streams' `repartitionRequired`).
    is_key_changed: Vec<bool>,
    /// The node that forwards for each declared name: of a repartition its source.
    outputs: BTreeMap<String, NodeIndex>,
    errors: Vec<TopologyError>,
}

impl Assembly {
    pub fn new(application_id: String, stores: Vec<(String, StoreDeclaration)>) -> Self {
        let stores = stores.into_iter().map(|(name, store)| StoreSpec {
            name: StoreName::from(name),
            kind: store.kind,
            persistent: store.persistent,
            logged: store.logged,
            changelog_config: store.changelog_config,
            users: Vec::new(),
        });
        let topology = Topology {
            application_id,
            nodes: Vec::new(),
            stores: stores.collect(),
            sub_topologies: Vec::new(),
            repartitions: Vec::new(),
            copartition_groups: Vec::new(),
        };
        Self { topology, is_key_changed: Vec::new(), outputs: BTreeMap::new(), errors: Vec::new() }
    }

    /// Adds `nodes` in `order`, in which each comes after its inputs.
    pub fn assemble(mut self, nodes: Vec<Declared>, order: &[usize]) -> Result<Topology, Vec<TopologyError>> {
        let mut nodes: Vec<Option<Declared>> = nodes.into_iter().map(Some).collect();
        let mut copartitioned = Vec::new();
        for place in order {
            let Some(Declared { name, kind }) = nodes[*place].take() else { continue };
            let inputs = |processor: &[String], this: &Self| -> Vec<NodeIndex> {
                processor.iter().map(|input| this.outputs[input]).collect()
            };
            let output = match kind {
                DeclaredKind::Source(source) => self.add(&name, NodeKind::Source(source), Vec::new(), &[], false),
                DeclaredKind::Sink { topic, inputs: names } => {
                    let parents = inputs(&names, &self);
                    self.add(&name, NodeKind::Sink(Sink { topic, internal: false }), parents, &[], false)
                }
                DeclaredKind::Processor(processor) => {
                    let parents = inputs(&processor.inputs, &self);
                    let needs_copartition = matches!(processor.step, Step::Plugin { .. })
                        && processor.copartition
                        && !processor.stores.is_empty();
                    let output = self.add_processor(&name, processor, parents);
                    copartitioned.extend(needs_copartition.then_some(output));
                    output
                }
            };
            self.outputs.insert(name, output);
        }
        self.check_generated();
        if !self.errors.is_empty() {
            return Err(self.errors);
        }
        let mut topology = self.topology;
        topology.copartition_groups = copartitioned.into_iter().filter_map(|node| group_of(&topology, node)).collect();
        topology.sub_topologies = sub_topology::divide(&topology.nodes, &topology.stores);
        Ok(topology)
    }

    fn add_processor(&mut self, name: &str, processor: ProcessorDeclaration, parents: Vec<NodeIndex>) -> NodeIndex {
        let is_key_changed = parents.iter().any(|parent| self.is_key_changed[parent.0]);
        let stores: Vec<usize> = processor.stores.iter().filter_map(|store| self.store(store)).collect();
        match processor.step {
            Step::Plugin { plugin, processor, config, key_unchanged } => {
                let operation = Operation::Plugin { plugin, processor, config };
                self.add(name, NodeKind::Processor(operation), parents, &stores, is_key_changed || !key_unchanged)
            }
            Step::Filter { predicate, negated } => {
                let operation = Operation::Filter { predicate, negated };
                self.add(name, NodeKind::Processor(operation), parents, &[], is_key_changed)
            }
            Step::GroupBy { selector } => {
                self.add(name, NodeKind::Processor(Operation::SelectKey { selector }), parents, &[], true)
            }
            Step::Merge => self.add(name, NodeKind::Processor(Operation::Merge), parents, &[], is_key_changed),
            Step::Repartition(options) => self.add_repartition(name, name, &options, parents),
            Step::Count { repartition } => {
                let store = stores[0];
                // As in the DSL: the result's timestamp is the largest one counted, so it must be kept.
                self.topology.stores[store].kind = StoreKind::TimestampedKeyValue;
                let parents = if is_key_changed {
                    let store_name = self.topology.stores[store].name.clone();
                    vec![self.add_repartition(name, store_name.as_str(), &repartition, parents)]
                } else {
                    self.refuse_useless_options(name, &repartition);
                    parents
                };
                self.add(name, NodeKind::Processor(Operation::Count { store }), parents, &stores, false)
            }
        }
    }

    /// Adds filter, sink and source, in the order in which Kafka Streams adds them; the source forwards.
    fn add_repartition(
        &mut self,
        owner: &str,
        default_name: &str,
        options: &RepartitionOptions,
        parents: Vec<NodeIndex>,
    ) -> NodeIndex {
        let name = options.name.as_deref().unwrap_or(default_name);
        let topic = repartition_topic(&self.topology.application_id, name);
        if self.topology.repartitions.iter().any(|known| known.topic == topic) {
            let message =
                format!("another node has repartition topic {topic} already; give this one a `name` of its own");
            self.errors.push(TopologyError::node(owner, About::RepartitionName, message));
        }
        let base = repartition_base(name);
        let filter = NodeKind::Processor(Operation::DropNullKeys);
        let filter = self.add(&format!("{base}-filter"), filter, parents, &[], true);
        let sink = NodeKind::Sink(Sink { topic: SinkTopic::Name(topic.clone()), internal: true });
        let sink = self.add(&format!("{base}-sink"), sink, vec![filter], &[], true);
        let source = NodeKind::Source(Source {
            topics: SourceTopics::Names(vec![topic.clone()]),
            timestamp_extractor: TimestampExtractor::FailOnInvalid,
            reset: Some(ResetPosition::Earliest),
            internal: true,
        });
        let source = self.add(&format!("{base}-source"), source, Vec::new(), &[], false);
        self.topology.repartitions.push(Repartition { topic, sink, source, partitions: options.partitions });
        source
    }

    fn refuse_useless_options(&mut self, name: &str, options: &RepartitionOptions) {
        let about = match options {
            RepartitionOptions { name: None, partitions: None } => return,
            RepartitionOptions { name: Some(_), .. } => About::RepartitionName,
            RepartitionOptions { .. } => About::Partitions,
        };
        let message = "no input has changed the key, so there is no repartition topic to set this for; remove it, or \
                       put a `repartition` before this node";
        self.errors.push(TopologyError::node(name, about, message.into()));
    }

    fn add(
        &mut self,
        name: &str,
        kind: NodeKind,
        parents: Vec<NodeIndex>,
        stores: &[usize],
        is_key_changed: bool,
    ) -> NodeIndex {
        let index = NodeIndex(self.topology.nodes.len());
        for parent in &parents {
            self.topology.nodes[parent.0].children.push(index);
        }
        for store in stores {
            self.topology.stores[*store].users.push(index);
        }
        let (children, stores) = (Vec::new(), stores.to_vec());
        self.topology.nodes.push(Node { name: NodeName::from(name), kind, parents, children, stores });
        self.is_key_changed.push(is_key_changed);
        index
    }

    fn store(&self, name: &str) -> Option<usize> {
        self.topology.stores.iter().position(|store| store.name.as_str() == name)
    }

    /// Declared names and topics are unique already; the generated ones must not meet them.
    fn check_generated(&mut self) {
        let mut names = BTreeMap::new();
        let mut topics = BTreeMap::new();
        for (index, node) in self.topology.indexed_nodes() {
            if let Some(other) = names.insert(&node.name, index) {
                let declared = if self.outputs.get(node.name.as_str()) == Some(&other) { other } else { index };
                let message = "a node of an automatic repartition has this name; choose another".into();
                let name = self.topology.node(declared).name.as_str();
                self.errors.push(TopologyError::node(name, About::Name, message));
            }
            let Some(Source { topics: SourceTopics::Names(read), .. }) = node.as_source() else { continue };
            for topic in read {
                let Some(other) = topics.insert(topic, index) else { continue };
                let declared = [other, index]
                    .into_iter()
                    .find(|at| self.topology.node(*at).as_source().is_some_and(|source| !source.internal));
                let Some(declared) = declared else { continue };
                let message = format!("topic {topic} is the repartition topic of another node; a topic has one source");
                let name = self.topology.node(declared).name.as_str();
                self.errors.push(TopologyError::node(name, About::Topic(topic.as_str().into()), message));
            }
        }
    }
}

/// The sources that meet at `node`, if they are several.
fn group_of(topology: &Topology, node: NodeIndex) -> Option<CopartitionGroup> {
    let mut sources = BTreeSet::new();
    let mut seen = BTreeSet::new();
    let mut open = vec![node];
    while let Some(next) = open.pop() {
        if !seen.insert(next) {
            continue;
        }
        if topology.node(next).as_source().is_some() {
            sources.insert(next);
        }
        open.extend(&topology.node(next).parents);
    }
    (sources.len() > 1).then_some(CopartitionGroup { node, sources })
}
