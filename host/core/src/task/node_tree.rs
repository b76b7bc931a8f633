//! The nodes of one task: hands records from node to node, depth first.
//!
//! A node is given a batch, forwards, and when its call has returned what it forwarded goes to its children, each with its whole
//! sub-tree before the next. Where the planner allows it (`Topology::batchable`) a batch is a whole run; elsewhere records travel one by
//! one, in the order in which they were forwarded, so that nobody can tell the difference to Kafka Streams' order.

use std::collections::BTreeMap;

use crate::context::{ContextSlot, ForwardError, Forwarded, Phase};
use crate::error::{Error, FailureCause, ProcessorFailure};
use crate::id::{NodeName, TaskId, Timestamp, TopicName};
use crate::limits;
use crate::operator::{Count, DropNullKeys, Filter, Merge, SelectKey};
use crate::processor::{PluginFactory, Processor, PunctuationType, Reaction, RecordFailure};
use crate::record::{RecordBatch, TooManyBytes};
use crate::record_collector::RecordCollector;
use crate::topology::{Node, NodeIndex, NodeKind, Operation, SinkTopic, SubTopology, Topology};

use super::memory::TreeMemory;

/// Why records could not be handed on.
#[derive(Debug)]
pub enum TreeFailure {
    /// A processor failed.
    Processor {
        /// The node.
        node: NodeIndex,
        /// The row of the run that it failed on, where that is known.
        row: Option<u32>,
        /// How it failed.
        failure: ProcessorFailure,
    },
    /// What was forwarded to a sink could not be sent.
    Broker(Error),
}

impl From<Error> for TreeFailure {
    fn from(error: Error) -> Self {
        Self::Broker(error)
    }
}

/// A record that a processor wants left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// The node.
    pub node: NodeIndex,
    /// The row of the run that the record descends from.
    pub row: u32,
    /// Why; and whether it belongs into the dead-letter topic.
    pub reaction: Reaction,
}

enum TreeNodeKind {
    Source,
    Processor(Box<dyn Processor>),
    Sink(SinkTopic),
}

struct TreeNode {
    index: NodeIndex,
    name: NodeName,
    kind: TreeNodeKind,
    /// Places in [`NodeTree::nodes`].
    children: Vec<usize>,
}

/// See the file's documentation.
pub struct NodeTree {
    nodes: Vec<TreeNode>,
    /// The nodes of the topology that are in the tree, and their places.
    places: BTreeMap<NodeIndex, usize>,
    left_out: Vec<LeftOut>,
    /// Topic names that sinks have taken from records.
    topic_names: BTreeMap<Vec<u8>, TopicName>,
    /// Lent to the tree for a turn.
    pub(super) memory: TreeMemory,
}

impl NodeTree {
    /// Makes the processors of a task.
    ///
    /// # Errors
    ///
    /// The node and the failure, when a plugin can't be instantiated.
    pub fn new(
        topology: &Topology,
        sub_topology: &SubTopology,
        task: TaskId,
        plugins: &mut dyn PluginFactory,
    ) -> Result<Self, (NodeIndex, ProcessorFailure)> {
        let places: BTreeMap<_, _> = sub_topology.nodes.iter().copied().zip(0..).collect();
        let mut nodes = Vec::with_capacity(places.len());
        for index in &sub_topology.nodes {
            let node = topology.node(*index);
            let kind = make_node(node, sub_topology, task, plugins).map_err(|failure| (*index, failure))?;
            let children = node.children.iter().map(|child| places[child]).collect();
            nodes.push(TreeNode { index: *index, name: node.name.clone(), kind, children });
        }
        Ok(Self { nodes, places, left_out: Vec::new(), topic_names: BTreeMap::new(), memory: TreeMemory::default() })
    }

    /// Initialises the processors, parents before children.
    ///
    /// # Errors
    ///
    /// The first failure.
    pub fn init(&mut self, context: &mut ContextSlot) -> Result<(), TreeFailure> {
        for node in &mut self.nodes {
            if let TreeNodeKind::Processor(processor) = &mut node.kind {
                context.enter(node.index, Phase::Init, node.children.len(), false, &RecordBatch::default());
                processor.init(context).map_err(|failure| failed(node.index, None, failure))?;
            }
        }
        Ok(())
    }

    /// Closes the processors.
    pub fn close(&mut self, context: &mut ContextSlot) {
        for node in &mut self.nodes {
            if let (TreeNodeKind::Processor(processor), true) = (&mut node.kind, context.is_present()) {
                context.enter(node.index, Phase::Close, node.children.len(), false, &RecordBatch::default());
                processor.close(context);
            }
        }
    }

    /// Whether a processor wants to be replaced at the next commit.
    #[must_use]
    pub fn wants_recycling(&self) -> bool {
        self.nodes.iter().any(|node| matches!(&node.kind, TreeNodeKind::Processor(one) if one.wants_recycling()))
    }

    /// Replaces the processors that want it, and returns how many. Everything that they did must have been committed.
    ///
    /// # Errors
    ///
    /// The node and the failure, when a new processor can't be made or can't begin.
    pub fn recycle(
        &mut self,
        topology: &Topology,
        sub_topology: &SubTopology,
        plugins: &mut dyn PluginFactory,
        context: &mut ContextSlot,
    ) -> Result<usize, TreeFailure> {
        let mut replaced = 0;
        for node in &mut self.nodes {
            let TreeNodeKind::Processor(former) = &mut node.kind else { continue };
            if !former.wants_recycling() {
                continue;
            }
            let (index, children, none) = (node.index, node.children.len(), RecordBatch::default());
            let fail = |failure| failed(index, None, failure);
            let made = make_node(topology.node(index), sub_topology, context.task(), plugins).map_err(fail)?;
            context.enter(index, Phase::Close, children, false, &none);
            former.close(context);
            if !context.is_present() {
                let reason = "the host failed while it closed the processor".to_owned();
                return Err(fail(ProcessorFailure::native(FailureCause::Trap, reason)));
            }
            node.kind = made;
            if let TreeNodeKind::Processor(successor) = &mut node.kind {
                context.enter(index, Phase::Init, children, false, &none);
                context.punctuations.begin_replacement(index);
                successor.init(context).map_err(fail)?;
                context.punctuations.end_replacement();
            }
            replaced += 1;
        }
        Ok(replaced)
    }

    /// The name of a node.
    #[must_use]
    pub fn name(&self, node: NodeIndex) -> &NodeName {
        &self.nodes[self.places[&node]].name
    }

    /// What processors wanted left out since the last call.
    pub fn take_left_out(&mut self) -> Vec<LeftOut> {
        std::mem::take(&mut self.left_out)
    }

    /// Hands a run of records of `source` to the tree.
    ///
    /// # Errors
    ///
    /// The first failure; later records have not been processed, earlier ones may have been.
    pub fn process(
        &mut self,
        source: NodeIndex,
        sequenced: bool,
        run: &RecordBatch,
        context: &mut ContextSlot,
        collector: &mut RecordCollector,
    ) -> Result<(), TreeFailure> {
        let place = self.places[&source];
        if !sequenced {
            return self.deliver_to_children(place, false, run, context, collector);
        }
        let mut single = self.memory.take_batch();
        for index in 0..run.len() {
            single.clear();
            single.push_range(run, index..index + 1);
            self.deliver_to_children(place, true, &single, context, collector)?;
        }
        self.memory.return_batch(single);
        Ok(())
    }

    /// Fires a punctuation of `node`.
    ///
    /// # Errors
    ///
    /// The first failure.
    pub fn punctuate(
        &mut self,
        node: NodeIndex,
        id: u32,
        kind: PunctuationType,
        timestamp: Timestamp,
        context: &mut ContextSlot,
        collector: &mut RecordCollector,
    ) -> Result<(), TreeFailure> {
        let place = self.places[&node];
        let Self { nodes, memory, .. } = self;
        let TreeNode { kind: node_kind, children, .. } = &mut nodes[place];
        let TreeNodeKind::Processor(processor) = node_kind else {
            return Ok(());
        };
        // What a punctuation forwards is handed on in its order: it may reach nodes that share stores.
        context.lend_forwarded(memory.take_forwarded());
        context.enter(node, Phase::Punctuate, children.len(), true, &RecordBatch::default());
        processor.punctuate(id, kind, timestamp, context).map_err(|failure| failed(node, None, failure))?;
        self.deliver_forwarded(place, true, &RecordBatch::default(), context, collector)
    }

    fn deliver_to_children(
        &mut self,
        place: usize,
        sequenced: bool,
        batch: &RecordBatch,
        context: &mut ContextSlot,
        collector: &mut RecordCollector,
    ) -> Result<(), TreeFailure> {
        for position in 0..self.nodes[place].children.len() {
            let child = self.nodes[place].children[position];
            self.deliver(child, sequenced, batch, context, collector)?;
        }
        Ok(())
    }

    fn deliver(
        &mut self,
        place: usize,
        sequenced: bool,
        batch: &RecordBatch,
        context: &mut ContextSlot,
        collector: &mut RecordCollector,
    ) -> Result<(), TreeFailure> {
        if batch.is_empty() {
            return Ok(());
        }
        let Self { nodes, memory, .. } = self;
        let node = &mut nodes[place];
        match &mut node.kind {
            TreeNodeKind::Source => self.deliver_to_children(place, sequenced, batch, context, collector),
            TreeNodeKind::Sink(SinkTopic::Name(topic)) => Ok(collector.send_batch(topic, batch, 0..batch.len())?),
            TreeNodeKind::Sink(_) => self.send_by_record(place, batch, collector),
            TreeNodeKind::Processor(processor) => {
                let index = node.index;
                context.lend_forwarded(memory.take_forwarded());
                context.enter(index, Phase::Process, node.children.len(), sequenced, batch);
                let failures = processor.process(batch, context).map_err(|failure| {
                    let row =
                        failure.index.or((batch.len() == 1).then_some(0)).filter(|at| (*at as usize) < batch.len());
                    failed(index, row.map(|at| batch.row(at as usize)), failure)
                })?;
                let stop = self.note_failures(index, batch, failures)?;
                self.deliver_forwarded(place, sequenced, batch, context, collector)?;
                stop.map_or(Ok(()), Err)
            }
        }
    }

    /// Notes what a processor wants left out. `retry` and `fatal` end the run: what was forwarded before is handed on first, so that an answer
    /// has the same effects wherever it stands in a batch.
    fn note_failures(
        &mut self,
        node: NodeIndex,
        batch: &RecordBatch,
        failures: Vec<RecordFailure>,
    ) -> Result<Option<TreeFailure>, TreeFailure> {
        for RecordFailure { index, reaction } in failures {
            if index as usize >= batch.len() {
                let reason = format!("it named record {index} of a batch of {} as failed", batch.len());
                return Err(failed(node, None, ProcessorFailure::native(FailureCause::Trap, reason)));
            }
            let row = batch.row(index as usize);
            let (cause, reason) = match reaction {
                Reaction::Skip(_) | Reaction::DeadLetter(_) => {
                    self.left_out.push(LeftOut { node, row, reaction });
                    continue;
                }
                Reaction::Retry(reason) => (FailureCause::Retry, reason),
                Reaction::Fatal(reason) => (FailureCause::Answer, reason),
            };
            return Ok(Some(failed(node, Some(row), ProcessorFailure::native(cause, reason))));
        }
        Ok(None)
    }

    fn deliver_forwarded(
        &mut self,
        place: usize,
        sequenced: bool,
        input: &RecordBatch,
        context: &mut ContextSlot,
        collector: &mut RecordCollector,
    ) -> Result<(), TreeFailure> {
        let forwarded = context.take_forwarded();
        if sequenced {
            self.deliver_sequence(place, &forwarded, input, context, collector)?;
        } else {
            let mut resolved = self.memory.take_batch();
            for position in 0..self.nodes[place].children.len() {
                let child = self.nodes[place].children[position];
                let batch = forwarded.by_child[position]
                    .resolve(input, &mut resolved)
                    .map_err(|TooManyBytes| too_much(self.nodes[place].index))?;
                self.deliver(child, false, batch, context, collector)?;
            }
            self.memory.return_batch(resolved);
        }
        self.memory.return_forwarded(forwarded);
        Ok(())
    }

    fn deliver_sequence(
        &mut self,
        place: usize,
        forwarded: &Forwarded,
        input: &RecordBatch,
        context: &mut ContextSlot,
        collector: &mut RecordCollector,
    ) -> Result<(), TreeFailure> {
        let mut single = self.memory.take_batch();
        let mut bytes = 0;
        for (index, child) in forwarded.sequence.iter().enumerate() {
            single.clear();
            forwarded.sequence_records.resolve_one(index, input, &mut single);
            bytes += single.byte_len();
            if bytes > limits::FORWARD_BYTES_MAX {
                return Err(too_much(self.nodes[place].index));
            }
            match child {
                None => self.deliver_to_children(place, true, &single, context, collector)?,
                Some(position) => {
                    let child = self.nodes[place].children[*position as usize];
                    self.deliver(child, true, &single, context, collector)?;
                }
            }
        }
        self.memory.return_batch(single);
        Ok(())
    }

    /// Sends each record to the topic that it names.
    fn send_by_record(
        &mut self,
        place: usize,
        batch: &RecordBatch,
        collector: &mut RecordCollector,
    ) -> Result<(), TreeFailure> {
        let Self { nodes, topic_names, .. } = self;
        let TreeNode { index: node, kind: TreeNodeKind::Sink(topic), .. } = &nodes[place] else {
            return Ok(());
        };
        for index in 0..batch.len() {
            let name = topic_of(topic, batch, index).map_err(|reason| {
                failed(*node, Some(batch.row(index)), ProcessorFailure::native(FailureCause::Answer, reason))
            })?;
            if !topic_names.contains_key(name) {
                let text = String::from_utf8_lossy(name).into_owned();
                topic_names.insert(name.to_vec(), TopicName::from(text));
            }
            collector.send_batch(&topic_names[name], batch, index..index + 1)?;
        }
        Ok(())
    }
}

/// The topic that a record names for itself.
fn topic_of<'a>(topic: &SinkTopic, batch: &'a RecordBatch, index: usize) -> Result<&'a [u8], String> {
    let named = match topic {
        SinkTopic::FromKey => batch.key(index),
        SinkTopic::FromHeader(header) => {
            let values = batch.headers(index).iter().filter(|(key, _)| *key == header.as_bytes());
            values.last().and_then(|(_, value)| value)
        }
        SinkTopic::Name(_) => None,
    };
    let named = named.ok_or_else(|| match topic {
        SinkTopic::FromHeader(header) => format!("the record has no header `{header}` to take its topic from"),
        _ => "the record has no key to take its topic from".to_owned(),
    })?;
    if !is_topic_name(named) {
        return Err(format!(
            "the record names the topic `{}`, which is not a legal name",
            String::from_utf8_lossy(named)
        ));
    }
    Ok(named)
}

/// Kafka's rule: 1 to 249 of letters, digits, `.`, `_` and `-`, and neither `.` nor `..`.
fn is_topic_name(name: &[u8]) -> bool {
    let legal = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-".contains(byte);
    (1..=249).contains(&name.len()) && name.iter().all(legal) && name != b"." && name != b".."
}

fn failed(node: NodeIndex, row: Option<u32>, failure: ProcessorFailure) -> TreeFailure {
    TreeFailure::Processor { node, row, failure }
}

/// A call has forwarded more than is allowed, as was found when it was put together.
fn too_much(node: NodeIndex) -> TreeFailure {
    failed(node, None, ProcessorFailure::native(FailureCause::Limit, ForwardError::TooMuch.to_string()))
}

fn make_node(
    node: &Node,
    sub_topology: &SubTopology,
    task: TaskId,
    plugins: &mut dyn PluginFactory,
) -> Result<TreeNodeKind, ProcessorFailure> {
    let operation = match &node.kind {
        NodeKind::Source(_) => return Ok(TreeNodeKind::Source),
        NodeKind::Sink(sink) => return Ok(TreeNodeKind::Sink(sink.topic.clone())),
        NodeKind::Processor(operation) => operation,
    };
    let store_of_task = |store: &usize| sub_topology.stores.iter().position(|one| one == store);
    Ok(TreeNodeKind::Processor(match operation {
        Operation::Plugin { .. } => plugins.processor(node, task)?,
        Operation::Filter { predicate, negated } => {
            Box::new(Filter::new(plugins.predicate(node, predicate, task)?, *negated))
        }
        Operation::SelectKey { selector } => Box::new(SelectKey::new(plugins.key_selector(node, selector, task)?)),
        Operation::Count { store } => {
            Box::new(Count::new(store_of_task(store).expect("a node's stores are in its sub-topology")))
        }
        Operation::Merge => Box::new(Merge),
        Operation::DropNullKeys => Box::new(DropNullKeys),
    }))
}
