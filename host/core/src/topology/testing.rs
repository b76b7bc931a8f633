//! A notation of one line a declaration, for the tests of topologies.

use std::collections::BTreeMap;

use super::{
    FunctionRef, ProcessorDeclaration, RepartitionOptions, SinkTopic, Source, SourceTopics, Step, StoreDeclaration,
    StoreKind, TimestampExtractor, TopologyBuilder,
};
use crate::id::TopicName;
use crate::port::ResetPosition;

/// The application of the design: split in a plugin, automatic repartition, native count, sink.
pub fn word_count() -> TopologyBuilder {
    parse(
        "wordcount",
        "source lines TextLinesTopic\nprocessor split lines\ncount counts split counts-store\nsink out WordsWithCountsTopic counts",
    )
}

/// Reads declarations, one a line: a word, the node's name, and
///
/// - `source`: its topics; `pattern`: its regular expression;
/// - `processor` (a plugin), `same-key` (one that keeps keys), `free` (one that needs no co-partitioning), `filter`, `merge`,
///   `group-by`, `count`: its inputs, then the stores;
/// - `repartition`: its inputs, and a number of partitions;
/// - `sink`: its topic (`header:x` and `key` take it from the record), then its inputs.
///
/// Lists are separated by commas. A store is declared by its first use, unless it is called `undeclared`.
pub fn parse(application_id: &str, declarations: &str) -> TopologyBuilder {
    let mut builder = TopologyBuilder::new(application_id);
    let mut stores = Vec::new();
    for line in declarations.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let [word, name, third] = words[..3] else { unreachable!("three words") };
        let list =
            |text: &str| -> Vec<String> { text.split(',').filter(|part| !part.is_empty()).map(Into::into).collect() };
        match word {
            "source" => {
                builder.source(name, source(SourceTopics::Names(third.split(',').map(TopicName::from).collect())))
            }
            "pattern" => builder.source(name, source(SourceTopics::Pattern(third.into()))),
            "sink" => builder.sink(name, sink_topic(third), list(words[3])),
            _ => {
                let used: Vec<String> = words[3..].iter().map(|store| (*store).into()).collect();
                let used = if word == "repartition" { Vec::new() } else { used };
                stores.extend(used.iter().filter(|store| *store != "undeclared").cloned());
                let declaration = ProcessorDeclaration {
                    step: step(word, words.get(3).copied()),
                    inputs: list(third),
                    stores: used,
                    copartition: word != "free",
                };
                builder.processor(name, declaration)
            }
        };
    }
    let mut seen = Vec::new();
    for store in stores {
        if !seen.contains(&store) {
            builder.store(store.clone(), key_value_store());
            seen.push(store);
        }
    }
    builder
}

/// A persistent, logged key-value store.
pub fn key_value_store() -> StoreDeclaration {
    StoreDeclaration { kind: StoreKind::KeyValue, persistent: true, logged: true, changelog_config: BTreeMap::new() }
}

fn source(topics: SourceTopics) -> Source {
    Source {
        topics,
        timestamp_extractor: TimestampExtractor::FailOnInvalid,
        reset: Some(ResetPosition::Earliest),
        internal: false,
    }
}

fn sink_topic(text: &str) -> SinkTopic {
    match text.strip_prefix("header:") {
        Some(header) => SinkTopic::FromHeader(header.into()),
        None if text == "key" => SinkTopic::FromKey,
        None => SinkTopic::Name(TopicName::from(text)),
    }
}

fn step(word: &str, option: Option<&str>) -> Step {
    let function = FunctionRef { plugin: "p".into(), function: None };
    let plugin =
        |key_unchanged| Step::Plugin { plugin: "p".into(), processor: None, config: BTreeMap::new(), key_unchanged };
    match word {
        "processor" | "free" => plugin(false),
        "same-key" => plugin(true),
        "filter" => Step::Filter { predicate: function, negated: false },
        "merge" => Step::Merge,
        "group-by" => Step::GroupBy { selector: function },
        "count" => Step::Count { repartition: RepartitionOptions::default() },
        "repartition" => {
            let partitions = option.map(|number| number.parse().expect("a number"));
            Step::Repartition(RepartitionOptions { name: None, partitions })
        }
        other => unreachable!("{other}"),
    }
}
