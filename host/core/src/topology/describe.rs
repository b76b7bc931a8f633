//! The text of a topology, character by character as Kafka's `Topology#describe` prints it, so that tools that draw it and eyes that
//! know it can read it.

use std::fmt::Write;

use super::java_order::{TreeSet, hash_order};
use super::node::{Node, NodeIndex, NodeKind, SinkTopic, SourceTopics};
use super::{SubTopology, Topology};

impl Topology {
    /// The text. Internal topics are printed without the application's id, as Kafka does.
    #[must_use]
    pub fn describe(&self) -> String {
        let mut text = "Topologies:\n ".to_owned();
        for sub_topology in &self.sub_topologies {
            let sorted = Sorted::new(self, sub_topology);
            // Writing to a string can't fail; the results of `write!` are dropped for that reason.
            let _ = writeln!(text, "  Sub-topology: {}", sub_topology.id);
            for place in &sorted.nodes {
                self.describe_node(&mut text, &sorted, *place);
            }
            text.push_str("\n ");
        }
        // Kafka ends each sub-topology with an empty line, and the next begins with two spaces.
        text.truncate(text.trim_end_matches(' ').len());
        text
    }

    fn describe_node(&self, text: &mut String, sorted: &Sorted, place: usize) {
        let node = sorted.node(self, place);
        let name = &node.name;
        let _ = match &node.kind {
            NodeKind::Source(source) => match &source.topics {
                SourceTopics::Names(topics) => {
                    let mut topics: Vec<&str> = topics.iter().map(|topic| self.undecorated(topic.as_str())).collect();
                    topics.sort_unstable();
                    writeln!(text, "    Source: {name} (topics: [{}])", topics.join(", "))
                }
                SourceTopics::Pattern(pattern) => writeln!(text, "    Source: {name} (topics: {pattern})"),
            },
            NodeKind::Processor(_) => {
                let stores: Vec<&str> = node.stores.iter().map(|store| self.stores[*store].name.as_str()).collect();
                let order = hash_order(stores.iter().copied());
                let stores: Vec<&str> = order.into_iter().map(|index| stores[index]).collect();
                writeln!(text, "    Processor: {name} (stores: [{}])", stores.join(", "))
            }
            NodeKind::Sink(sink) => match &sink.topic {
                SinkTopic::Name(topic) => {
                    writeln!(text, "    Sink: {name} (topic: {})", self.undecorated(topic.as_str()))
                }
                SinkTopic::FromHeader(header) => writeln!(text, "    Sink: {name} (extractor class: header {header})"),
                SinkTopic::FromKey => writeln!(text, "    Sink: {name} (extractor class: key)"),
            },
        };
        if node.as_sink().is_none() {
            let _ = writeln!(text, "      --> {}", sorted.names(self, &sorted.successors[place]));
        }
        if node.as_source().is_none() {
            let _ = writeln!(text, "      <-- {}", sorted.names(self, &sorted.predecessors[place]));
        }
    }

    fn undecorated<'a>(&self, topic: &'a str) -> &'a str {
        let is_internal = self.repartitions.iter().any(|repartition| repartition.topic.as_str() == topic);
        if is_internal { topic.get(self.application_id.len() + 1..).unwrap_or(topic) } else { topic }
    }
}

/// The nodes of a sub-topology in Kafka's order: those with more paths below them first, then by name.
struct Sorted<'a> {
    members: &'a [NodeIndex],
    /// Places in `members`.
    nodes: Vec<usize>,
    successors: Vec<TreeSet>,
    predecessors: Vec<TreeSet>,
}

impl<'a> Sorted<'a> {
    /// Repeats the steps of `InternalTopologyBuilder#describeSubtopology`: edges are added in the order of a `HashMap` of the nodes,
    /// and both ends are put in sets that are sorted by sizes which grow with each edge.
    fn new(topology: &Topology, sub_topology: &'a SubTopology) -> Self {
        let members = &sub_topology.nodes;
        let name = |place: usize| topology.node(members[place]).name.as_str();
        let mut sizes = vec![1_i32; members.len()];
        let mut successors = vec![TreeSet::default(); members.len()];
        let mut predecessors = vec![TreeSet::default(); members.len()];
        for place in hash_order((0..members.len()).map(name)) {
            for parent in &topology.node(members[place]).parents {
                let Ok(parent) = members.binary_search(parent) else { continue };
                let is_less =
                    |one: usize, other: usize| (-sizes[one], name(one)) < (-sizes[other], name(other));
                predecessors[place].insert(parent, is_less);
                successors[parent].insert(place, is_less);
                let size = sizes[place];
                grow(&mut sizes, &predecessors, parent, size);
            }
        }
        let mut nodes: Vec<usize> = (0..members.len()).collect();
        nodes.sort_by_key(|place| (-sizes[*place], name(*place)));
        Self { members, nodes, successors, predecessors }
    }

    fn node<'t>(&self, topology: &'t Topology, place: usize) -> &'t Node {
        topology.node(self.members[place])
    }

    fn names(&self, topology: &Topology, places: &TreeSet) -> String {
        let names: Vec<&str> =
            places.items().into_iter().map(|place| self.node(topology, place).name.as_str()).collect();
        if names.is_empty() { "none".into() } else { names.join(", ") }
    }
}

/// Adds `size` to the node at `place` and, by every path, to all above it.
fn grow(sizes: &mut [i32], predecessors: &[TreeSet], place: usize, size: i32) {
    let mut open = vec![place];
    while let Some(next) = open.pop() {
        sizes[next] = sizes[next].wrapping_add(size);
        open.extend(predecessors[next].items());
    }
}
