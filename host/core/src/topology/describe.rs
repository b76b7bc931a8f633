//! The text of a topology, character by character as Kafka's `Topology#describe` prints it, so that tools that draw it and eyes that
//! know it can read it.

use std::fmt::Write;

use super::java_order::{TreeSet, copied_order, grown_order};
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
            text.push('\n');
        }
        text
    }

    fn describe_node(&self, text: &mut String, sorted: &Sorted, place: usize) {
        let node = sorted.node(self, place);
        let name = &node.name;
        let _ = match &node.kind {
            NodeKind::Source(source) => match &source.topics {
                SourceTopics::Names(topics) => {
                    let topics = topics.iter().map(|topic| self.undecorated(topic.as_str())).collect();
                    writeln!(text, "    Source: {name} (topics: [{}])", in_hash_order(topics))
                }
                SourceTopics::Pattern(pattern) => writeln!(text, "    Source: {name} (topics: {pattern})"),
            },
            NodeKind::Processor(_) => {
                let stores = node.stores.iter().map(|store| self.stores[*store].name.as_str()).collect();
                writeln!(text, "    Processor: {name} (stores: [{}])", in_hash_order(stores))
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

fn in_hash_order(names: Vec<&str>) -> String {
    let order = copied_order(names.iter().copied());
    order.into_iter().map(|index| names[index]).collect::<Vec<_>>().join(", ")
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
        for place in grown_order((0..members.len()).map(name)) {
            for parent in &topology.node(members[place]).parents {
                let Ok(parent) = members.binary_search(parent) else { continue };
                let is_less = |one: usize, other: usize| (-sizes[one], name(one)) < (-sizes[other], name(other));
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

#[cfg(test)]
mod tests {
    use super::super::testing::{parse, word_count};

    /// Topologies of the Processor API in a small notation, each followed by what `Topology#describe` of Kafka Streams 4.3.1 printed.
    const CASES: &str = include_str!("describe_cases.txt");

    #[test]
    fn the_text_is_the_one_that_kafka_streams_prints() {
        let mut checked = 0;
        for case in CASES.split("---\n").filter(|case| !case.is_empty()) {
            let (declarations, expected) = case.split_once("===\n").expect("both parts");
            let topology = parse("app", declarations).build().expect("a topology");
            assert_eq!(topology.describe(), expected, "of\n{declarations}");
            checked += 1;
        }
        assert!(checked >= 20);
    }

    #[test]
    fn internal_topics_are_printed_without_the_applications_id() {
        // As the DSL of Kafka Streams 4.3.1 prints it, without the `toStream` node that its tables need.
        let expected = "\
Topologies:
   Sub-topology: 0
    Source: lines (topics: [TextLinesTopic])
      --> split
    Processor: split (stores: [])
      --> counts-store-repartition-filter
      <-- lines
    Processor: counts-store-repartition-filter (stores: [])
      --> counts-store-repartition-sink
      <-- split
    Sink: counts-store-repartition-sink (topic: counts-store-repartition)
      <-- counts-store-repartition-filter

  Sub-topology: 1
    Source: counts-store-repartition-source (topics: [counts-store-repartition])
      --> counts
    Processor: counts (stores: [counts-store])
      --> out
      <-- counts-store-repartition-source
    Sink: out (topic: WordsWithCountsTopic)
      <-- counts

";
        let topology = word_count().build().expect("a topology");
        assert_eq!(topology.describe(), expected);
    }

    #[test]
    fn repartitions_are_put_and_named_as_the_dsl_puts_and_names_them() {
        let declarations = "\
source in tb,ta
pattern pat p-.*
merge both in,pat
repartition again both 3
filter keep again
sink out kept keep
group-by sk both
count c1 sk s1
filter f sk
count c2 f s2
count c3 again s3
count c4 both s4
";
        let topology = parse("app", declarations).build().expect("a topology");
        assert_eq!(topology.describe(), include_str!("describe_dsl.txt"));
        let topics: Vec<(&str, Option<i32>)> =
            topology.repartitions().iter().map(|one| (one.topic.as_str(), one.partitions)).collect();
        let expected = [("app-again-repartition", Some(3)), ("app-s1-repartition", None), ("app-s2-repartition", None)];
        assert_eq!(topics, expected);
    }
}
