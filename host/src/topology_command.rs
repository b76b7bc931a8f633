//! `millstream topology`: the topology of a manifest as text, as a drawing, or for programs.

use std::io::{self, Write};

use millstream_core::topology::{Node, NodeIndex, NodeKind, Operation, SinkTopic, SourceTopics, StoreKind, Topology};
use serde_json::{Value, json};

use crate::cli::{Exit, TopologyArgs, TopologyFormat};
use crate::config::{self, Overrides};

/// Writes the topology to `out`, or the manifest's mistakes to `errors`.
///
/// # Errors
///
/// When `out` or `errors` can't be written.
pub fn run(args: &TopologyArgs, out: &mut dyn Write, errors: &mut dyn Write) -> io::Result<Exit> {
    let topology = match config::load(&args.manifest, &Overrides::default()) {
        Ok(application) => application.topology,
        Err(mistakes) => {
            writeln!(errors, "{mistakes}")?;
            return Ok(Exit::Usage);
        }
    };
    match args.format {
        TopologyFormat::Text => write!(out, "{}", topology.describe())?,
        TopologyFormat::Mermaid => Drawing::of(&topology).write_mermaid(out)?,
        TopologyFormat::Dot => Drawing::of(&topology).write_dot(out)?,
        TopologyFormat::Json => writeln!(out, "{:#}", to_json(&topology))?,
    }
    Ok(Exit::Clean)
}

/// What a drawing consists of: boxes with labels, in groups or outside, and arrows.
struct Drawing {
    groups: Vec<(String, Vec<LabelledBox>)>,
    /// Topics.
    outside: Vec<LabelledBox>,
    /// From, to, and whether it only means "uses".
    arrows: Vec<(String, String, bool)>,
}

/// Id, shape and label.
type LabelledBox = (String, Shape, String);

#[derive(Clone, Copy)]
enum Shape {
    Topic,
    Source,
    Processor,
    Sink,
    Store,
}

impl Drawing {
    fn of(topology: &Topology) -> Self {
        let mut drawing = Self { groups: Vec::new(), outside: Vec::new(), arrows: Vec::new() };
        for sub_topology in topology.sub_topologies() {
            let mut boxes = Vec::new();
            for index in &sub_topology.nodes {
                let node = topology.node(*index);
                let id = format!("n{}", index.0);
                boxes.push((id.clone(), shape(node), node.name.to_string()));
                drawing.arrows.extend(node.children.iter().map(|child| (id.clone(), format!("n{}", child.0), false)));
                drawing.arrows.extend(node.stores.iter().map(|store| (id.clone(), format!("s{store}"), true)));
                drawing.add_topics(&id, node);
            }
            for store in &sub_topology.stores {
                boxes.push((format!("s{store}"), Shape::Store, topology.stores()[*store].name.to_string()));
            }
            drawing.groups.push((format!("Sub-topology {}", sub_topology.id), boxes));
        }
        drawing
    }

    fn add_topics(&mut self, id: &str, node: &Node) {
        match &node.kind {
            NodeKind::Source(source) => {
                let topics = match &source.topics {
                    SourceTopics::Names(names) => names.iter().map(ToString::to_string).collect(),
                    SourceTopics::Pattern(pattern) => vec![pattern.clone()],
                };
                for topic in topics {
                    let topic = self.topic(topic);
                    self.arrows.push((topic, id.into(), false));
                }
            }
            NodeKind::Sink(sink) => {
                let topic = self.topic(match &sink.topic {
                    SinkTopic::Name(name) => name.to_string(),
                    SinkTopic::FromHeader(header) => format!("topic in header {header}"),
                    SinkTopic::FromKey => "topic in key".into(),
                });
                self.arrows.push((id.into(), topic, false));
            }
            NodeKind::Processor(_) => {}
        }
    }

    fn topic(&mut self, name: String) -> String {
        if let Some((id, ..)) = self.outside.iter().find(|(_, _, label)| *label == name) {
            return id.clone();
        }
        let id = format!("t{}", self.outside.len());
        self.outside.push((id.clone(), Shape::Topic, name));
        id
    }

    fn write_mermaid(&self, out: &mut dyn Write) -> io::Result<()> {
        let shown = |(id, shape, label): &LabelledBox| {
            let label = label.replace('#', "#35;").replace('"', "#quot;");
            let (open, close) = match shape {
                Shape::Topic => ("([", "])"),
                Shape::Source => ("[\\", "/]"),
                Shape::Processor => ("[", "]"),
                Shape::Sink => ("[/", "\\]"),
                Shape::Store => ("[(", ")]"),
            };
            format!("{id}{open}\"{label}\"{close}")
        };
        writeln!(out, "flowchart TD")?;
        for one in &self.outside {
            writeln!(out, "  {}", shown(one))?;
        }
        for (number, (title, boxes)) in self.groups.iter().enumerate() {
            writeln!(out, "  subgraph g{number}[\"{title}\"]")?;
            for one in boxes {
                writeln!(out, "    {}", shown(one))?;
            }
            writeln!(out, "  end")?;
        }
        for (from, to, is_use) in &self.arrows {
            writeln!(out, "  {from} {} {to}", if *is_use { "-.-" } else { "-->" })?;
        }
        Ok(())
    }

    fn write_dot(&self, out: &mut dyn Write) -> io::Result<()> {
        let shown = |(id, shape, label): &LabelledBox| {
            let label = label.replace('\\', "\\\\").replace('"', "\\\"");
            let shape = match shape {
                Shape::Topic => "oval",
                Shape::Source => "invtrapezium",
                Shape::Processor => "box",
                Shape::Sink => "trapezium",
                Shape::Store => "cylinder",
            };
            format!("{id} [shape={shape}, label=\"{label}\"];")
        };
        writeln!(out, "digraph topology {{")?;
        for one in &self.outside {
            writeln!(out, "  {}", shown(one))?;
        }
        for (number, (title, boxes)) in self.groups.iter().enumerate() {
            writeln!(out, "  subgraph cluster_{number} {{\n    label=\"{title}\";")?;
            for one in boxes {
                writeln!(out, "    {}", shown(one))?;
            }
            writeln!(out, "  }}")?;
        }
        for (from, to, is_use) in &self.arrows {
            writeln!(out, "  {from} -> {to}{};", if *is_use { " [style=dashed, arrowhead=none]" } else { "" })?;
        }
        writeln!(out, "}}")
    }
}

fn shape(node: &Node) -> Shape {
    match node.kind {
        NodeKind::Source(_) => Shape::Source,
        NodeKind::Processor(_) => Shape::Processor,
        NodeKind::Sink(_) => Shape::Sink,
    }
}

/// The topology for programs. Keys are only ever added.
fn to_json(topology: &Topology) -> Value {
    let sub_topologies: Vec<Value> = topology
        .sub_topologies()
        .iter()
        .map(|sub_topology| {
            let nodes: Vec<Value> = sub_topology.nodes.iter().map(|index| node_to_json(topology, *index)).collect();
            let stores: Vec<Value> = sub_topology.stores.iter().map(|store| store_to_json(topology, *store)).collect();
            json!({ "id": sub_topology.id.0, "nodes": nodes, "stores": stores })
        })
        .collect();
    let repartitions: Vec<Value> = topology
        .repartitions()
        .iter()
        .map(|repartition| json!({ "topic": repartition.topic.as_str(), "partitions": repartition.partitions }))
        .collect();
    json!({
        "application-id": topology.application_id(),
        "sub-topologies": sub_topologies,
        "repartition-topics": repartitions,
    })
}

fn node_to_json(topology: &Topology, index: NodeIndex) -> Value {
    let node = topology.node(index);
    let names =
        |nodes: &[NodeIndex]| -> Vec<&str> { nodes.iter().map(|one| topology.node(*one).name.as_str()).collect() };
    let mut value = json!({
        "name": node.name.as_str(),
        "predecessors": names(&node.parents),
        "successors": names(&node.children),
    });
    match &node.kind {
        NodeKind::Source(source) => {
            value["type"] = "source".into();
            match &source.topics {
                SourceTopics::Names(topics) => {
                    value["topics"] = topics.iter().map(ToString::to_string).collect::<Vec<_>>().into();
                }
                SourceTopics::Pattern(pattern) => value["pattern"] = pattern.as_str().into(),
            }
            value["internal"] = source.internal.into();
        }
        NodeKind::Sink(sink) => {
            value["type"] = "sink".into();
            match &sink.topic {
                SinkTopic::Name(topic) => value["topic"] = topic.as_str().into(),
                SinkTopic::FromHeader(header) => value["topic-from"] = format!("header:{header}").into(),
                SinkTopic::FromKey => value["topic-from"] = "key".into(),
            }
            value["internal"] = sink.internal.into();
        }
        NodeKind::Processor(operation) => {
            value["type"] = "processor".into();
            value["operation"] = operation_name(operation).into();
            if let Some(plugin) = node.plugin() {
                value["plugin"] = plugin.into();
            }
            let stores: Vec<&str> = node.stores.iter().map(|store| topology.stores()[*store].name.as_str()).collect();
            value["stores"] = stores.into();
        }
    }
    value
}

fn operation_name(operation: &Operation) -> &'static str {
    match operation {
        Operation::Plugin { .. } => "plugin",
        Operation::Filter { negated: false, .. } => "filter",
        Operation::Filter { negated: true, .. } => "filter-not",
        Operation::SelectKey { .. } => "group-by",
        Operation::Count { .. } => "count",
        Operation::Merge => "merge",
        Operation::DropNullKeys => "drop-null-keys",
    }
}

fn store_to_json(topology: &Topology, index: usize) -> Value {
    let store = &topology.stores()[index];
    json!({
        "name": store.name.as_str(),
        "type": match store.kind {
            StoreKind::KeyValue => "key-value",
            StoreKind::TimestampedKeyValue => "timestamped-key-value",
        },
        "backend": if store.persistent { "rocksdb" } else { "memory" },
        "changelog": store.logged.then(|| topology.changelog_topic(&store.name).to_string()),
    })
}
