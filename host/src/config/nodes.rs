//! Turns the tables of sources, processors, sinks and stores into a topology, and the topology's mistakes into places.

use millstream_core::id::TopicName;
use millstream_core::port::ResetPosition;
use millstream_core::topology::{
    About, FunctionRef, ProcessorDeclaration, RepartitionOptions, SinkTopic, Source, SourceTopics, Step,
    StoreDeclaration, StoreKind, Subject, TimestampExtractor, Topology, TopologyBuilder, TopologyError,
};

use super::fields::{Fields, Span};
use super::mistake::Notes;
use super::nearest::hint;
use super::reader::Tables;

/// Builds the topology, or notes why there is none.
pub(super) fn build(tables: &Tables, notes: &mut Notes<'_>) -> Option<Topology> {
    let id = tables.application.as_ref().and_then(|application| application.text("id")).unwrap_or_default();
    let mut builder = TopologyBuilder::new(id);
    if !tables.has_sources {
        let place = tables.application.as_ref().map_or(0..0, |application| application.span.clone());
        notes.mistake(&place, "there are no [sources.*], so nothing would be read; add at least one");
    }
    let mut used_plugins = Vec::new();
    for node in &tables.nodes {
        match node.section.name {
            "sources" => builder.source(&node.name, source(node, notes)),
            "sinks" => builder.sink(&node.name, sink_topic(node, notes), inputs(node)),
            _ => {
                used_plugins.extend(node.text("plugin"));
                builder.processor(&node.name, processor(node, tables, notes))
            }
        };
    }
    for store in &tables.stores {
        builder.store(&store.name, store_declaration(store, notes));
    }
    for plugin in tables.plugins.iter().filter(|plugin| !used_plugins.contains(&plugin.name.as_str())) {
        notes.warning(&plugin.span, format!("no processor uses plugin `{}`", plugin.name));
    }
    match builder.build() {
        Ok(topology) => Some(topology),
        Err(errors) => {
            // A store that is named wrongly where it is used seems not to be used at all: one mistake, not two.
            let has_unknown_store = errors.iter().any(|error| matches!(error.about, About::UnknownStore(_)));
            let is_sequel = |error: &&TopologyError| {
                has_unknown_store && matches!((&error.subject, &error.about), (Subject::Store(_), About::Whole))
            };
            errors.iter().filter(|error| !is_sequel(error)).for_each(|error| note(error, tables, notes));
            None
        }
    }
}

fn source(node: &Fields, notes: &mut Notes<'_>) -> Source {
    let topics = match (node.is_written("topics"), node.text("pattern")) {
        (true, Some(_)) => {
            let message = format!("{} has `topics` and `pattern`; a source has one of them", node.title());
            notes.mistake(&node.span_of("pattern"), message);
            SourceTopics::Pattern(String::new())
        }
        (false, Some(pattern)) => SourceTopics::Pattern(pattern.into()),
        (true, None) if node.is_written("pattern") || node.value("topics").is_none() => {
            // Wrong, and noted; an empty list would be noted again.
            SourceTopics::Pattern(String::new())
        }
        (true, None) => {
            SourceTopics::Names(node.texts("topics").iter().map(|(_, topic)| TopicName::from(topic.as_str())).collect())
        }
        (false, None) => {
            if !node.is_written("pattern") {
                let message = format!("{} needs `topics` or `pattern`: what it reads", node.title());
                notes.mistake(&node.span, message);
            }
            SourceTopics::Pattern(String::new())
        }
    };
    Source {
        topics,
        timestamp_extractor: match node.text("timestamp-extractor") {
            Some("log-and-skip") => TimestampExtractor::LogAndSkip,
            Some("use-partition-time") => TimestampExtractor::UsePartitionTime,
            Some("wall-clock") => TimestampExtractor::WallClock,
            _ => TimestampExtractor::FailOnInvalid,
        },
        reset: match node.text("auto-offset-reset") {
            Some("latest") => Some(ResetPosition::Latest),
            Some("none") => None,
            _ => Some(ResetPosition::Earliest),
        },
        internal: false,
    }
}

fn sink_topic(node: &Fields, notes: &mut Notes<'_>) -> SinkTopic {
    let from = node.text("topic-from");
    match (node.is_written("topic"), node.is_written("topic-from")) {
        (true, true) => {
            let message = format!("{} has `topic` and `topic-from`; a sink has one of them", node.title());
            notes.mistake(&node.span_of("topic-from"), message);
        }
        (false, false) => {
            let message = format!("{} needs `topic` or `topic-from`: where it writes to", node.title());
            notes.mistake(&node.span, message);
        }
        _ => {}
    }
    match (node.text("topic"), from, from.and_then(|from| from.strip_prefix("header:"))) {
        (Some(topic), _, _) => SinkTopic::Name(TopicName::from(topic)),
        (None, Some("key"), _) => SinkTopic::FromKey,
        (None, _, Some(header)) if !header.is_empty() => SinkTopic::FromHeader(header.into()),
        (None, Some(other), _) => {
            let message =
                format!("`topic-from` in {}: expected \"key\" or \"header:NAME\", found {other:?}", node.title());
            notes.mistake(&node.span_of("topic-from"), message);
            SinkTopic::FromKey
        }
        // Missing or wrong, and noted.
        (None, None, _) => SinkTopic::FromKey,
    }
}

fn inputs(node: &Fields) -> Vec<String> {
    node.texts("inputs").iter().map(|(_, input)| input.clone()).collect()
}

fn store_declaration(store: &Fields, notes: &mut Notes<'_>) -> StoreDeclaration {
    let logged = store.flag("logging").unwrap_or(true);
    let changelog_config = store.properties("changelog");
    if !logged && !changelog_config.is_empty() {
        let message =
            format!("{} has no changelog to configure, because `logging` is false; remove one of them", store.title());
        notes.mistake(&store.span_of("changelog"), message);
    }
    StoreDeclaration {
        kind: match store.text("type") {
            Some("timestamped-key-value") => StoreKind::TimestampedKeyValue,
            _ => StoreKind::KeyValue,
        },
        persistent: store.text("backend") != Some("memory"),
        logged,
        changelog_config,
    }
}

fn processor(node: &Fields, tables: &Tables, notes: &mut Notes<'_>) -> ProcessorDeclaration {
    if let Some(plugin) = node.text("plugin")
        && !tables.plugins.iter().any(|known| known.name == plugin)
    {
        let hint = hint(plugin, tables.plugins.iter().map(|known| known.name.as_str()));
        let message = format!("`plugin` in {}: there is no [plugins.{plugin}]{hint}", node.title());
        notes.mistake(&node.span_of("plugin"), message);
    }
    let mut stores: Vec<String> = node.text("store").map(Into::into).into_iter().collect();
    if node.is_written("store") && node.is_written("stores") {
        let message = format!("{} has `store` and `stores`; use one of them", node.title());
        notes.mistake(&node.span_of("stores"), message);
    } else {
        stores.extend(node.texts("stores").iter().map(|(_, store)| store.clone()));
    }
    let step = match node.text("operator") {
        None => plugin_step(node, notes),
        Some(operator) => operator_step(operator, node, notes),
    };
    let copartition = node.flag("copartition").unwrap_or(true);
    ProcessorDeclaration { step, inputs: inputs(node), stores, copartition }
}

fn plugin_step(node: &Fields, notes: &mut Notes<'_>) -> Step {
    if !node.is_written("operator") {
        if !node.is_written("plugin") {
            let message = format!("{} needs `plugin` or `operator`: what it does", node.title());
            notes.mistake(&node.span, message);
        }
        refuse(node, &[("function", "an operator; a plugin node names its `processor`")], notes);
        refuse(node, &[("name", "`repartition` and `count`"), ("partitions", "`repartition` and `count`")], notes);
    }
    Step::Plugin {
        plugin: node.text("plugin").unwrap_or_default().into(),
        processor: node.text("processor").map(Into::into),
        config: node.properties("config"),
        key_unchanged: node.text("key") == Some("unchanged"),
    }
}

fn operator_step(operator: &str, node: &Fields, notes: &mut Notes<'_>) -> Step {
    const OF_PLUGINS: [(&str, &str); 4] = [
        ("processor", "a plugin node; an operator names its `function`"),
        ("config", "a plugin node"),
        ("key", "a plugin node"),
        ("copartition", "a plugin node"),
    ];
    refuse(node, &OF_PLUGINS, notes);
    let takes_function = matches!(operator, "filter" | "filter-not" | "group-by");
    if !takes_function {
        let owner = "`filter`, `filter-not` and `group-by`";
        refuse(node, &[("plugin", owner), ("function", owner)], notes);
    } else if !node.is_written("plugin") {
        let message = format!("{} needs `plugin`: the one that has the function of `{operator}`", node.title());
        notes.mistake(&node.span, message);
    }
    if !matches!(operator, "repartition" | "count") {
        refuse(node, &[("name", "`repartition` and `count`"), ("partitions", "`repartition` and `count`")], notes);
    }
    let function = FunctionRef {
        plugin: node.text("plugin").unwrap_or_default().into(),
        function: node.text("function").map(Into::into),
    };
    let options = RepartitionOptions {
        name: node.text("name").map(Into::into),
        partitions: node.integer("partitions").and_then(|number| i32::try_from(number).ok()),
    };
    match operator {
        "filter" => Step::Filter { predicate: function, negated: false },
        "filter-not" => Step::Filter { predicate: function, negated: true },
        "group-by" => Step::GroupBy { selector: function },
        "repartition" => Step::Repartition(options),
        "count" => Step::Count { repartition: options },
        _ => Step::Merge,
    }
}

/// Notes each of `keys` that the node has, though it belongs to something else.
fn refuse(node: &Fields, keys: &[(&str, &str)], notes: &mut Notes<'_>) {
    for (key, owner) in keys.iter().filter(|(key, _)| node.is_written(key)) {
        let message = format!("`{key}` in {} belongs to {owner}; remove it", node.title());
        notes.mistake(&node.span_of(key), message);
    }
}

/// Notes a mistake of the topology where it was made.
fn note(error: &TopologyError, tables: &Tables, notes: &mut Notes<'_>) {
    let (name, declared) = match &error.subject {
        Subject::Node(name) => (name, &tables.nodes),
        Subject::Store(name) => (name, &tables.stores),
    };
    let mut having = declared.iter().filter(|fields| fields.name == *name);
    let fields = if error.about == About::Name { having.next_back() } else { having.next() };
    let Some(fields) = fields else { return };
    // What is missing or has no value at all was noted when the table was read.
    let (span, rest) = match &error.about {
        About::Whole | About::Name => (fields.span.clone(), String::new()),
        About::Inputs if !fields.is_written("inputs") || fields.value("inputs").is_none() => return,
        About::Inputs => (fields.span_of("inputs"), String::new()),
        About::Input(input) => (span_in(fields, "inputs", input), String::new()),
        About::UnknownInput(input) => {
            let forwarding = tables.nodes.iter().filter(|node| node.section.name != "sinks" && node.name != *name);
            (span_in(fields, "inputs", input), hint(input, forwarding.map(|node| node.name.as_str())))
        }
        About::Stores
            if ["store", "stores"].iter().any(|key| fields.is_written(key) && fields.value(key).is_none()) =>
        {
            return;
        }
        About::Stores => (fields.span_of(if fields.is_written("store") { "store" } else { "stores" }), String::new()),
        About::UnknownStore(store) => {
            let span =
                if fields.is_written("store") { fields.span_of("store") } else { span_in(fields, "stores", store) };
            (span, hint(store, tables.stores.iter().map(|known| known.name.as_str())))
        }
        About::Topic(topic) => {
            let key = if fields.section.name == "sinks" { "topic" } else { "pattern" };
            let span = if fields.is_written("topics") { span_in(fields, "topics", topic) } else { fields.span_of(key) };
            (span, String::new())
        }
        About::RepartitionName => (fields.span_of("name"), String::new()),
        About::Partitions => (fields.span_of("partitions"), String::new()),
    };
    notes.mistake(&span, format!("{}: {}{rest}", fields.title(), error.message));
}

/// Where `text` is in the list `key`; the last time, since a repetition is the mistake.
fn span_in(fields: &Fields, key: &str, text: &str) -> Span {
    let found = fields.texts(key).iter().rfind(|(_, item)| item == text);
    found.map_or_else(|| fields.span_of(key), |(span, _)| span.clone())
}
