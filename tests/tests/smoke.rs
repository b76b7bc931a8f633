//! One word count through the driver.

use std::collections::BTreeMap;

use millstream_core::port::ResetPosition;
use millstream_core::topology::{
    ProcessorDeclaration, RepartitionOptions, SinkTopic, Source, SourceTopics, Step, StoreDeclaration, StoreKind,
    TimestampExtractor, Topology, TopologyBuilder,
};
use millstream_tests::driver::{DriverOptions, TestRecord, TopologyDriver};
use millstream_tests::native::{NativePlugins, NativeProcessor};

fn word_count() -> Topology {
    let mut builder = TopologyBuilder::new("wordcount");
    builder.source(
        "lines",
        Source {
            topics: SourceTopics::Names(vec!["TextLinesTopic".into()]),
            timestamp_extractor: TimestampExtractor::FailOnInvalid,
            reset: Some(ResetPosition::Earliest),
            internal: false,
        },
    );
    let plugin = Step::Plugin { plugin: "words".into(), processor: None, config: BTreeMap::new(), key_unchanged: false };
    let node = |step, input: &str, stores: &[&str]| ProcessorDeclaration {
        step,
        inputs: vec![input.into()],
        stores: stores.iter().map(|store| (*store).into()).collect(),
        copartition: true,
    };
    builder.processor("split", node(plugin, "lines", &[]));
    let count = Step::Count { repartition: RepartitionOptions::default() };
    builder.processor("counts", node(count, "split", &["counts-store"]));
    builder.sink("out", SinkTopic::Name("WordsWithCountsTopic".into()), vec!["counts".into()]);
    let store = StoreDeclaration {
        kind: StoreKind::TimestampedKeyValue,
        persistent: true,
        logged: true,
        changelog_config: BTreeMap::new(),
    };
    builder.store("counts-store", store);
    builder.build().expect("the topology is sound")
}

fn words() -> NativePlugins {
    NativePlugins::default().processor("words", |_| {
        NativeProcessor::of(|context, record, index| {
            let text = String::from_utf8_lossy(record.value.unwrap_or_default()).to_lowercase();
            for word in text.split_whitespace() {
                let forwarded = millstream_core::record::Record { key: Some(word.as_bytes()), ..record };
                context.forward_record(forwarded, index);
            }
            Ok(())
        })
    })
}

#[test]
fn words_are_counted_through_a_repartition_topic() {
    let mut driver = TopologyDriver::new(word_count(), Box::new(words()), DriverOptions::default());
    driver.pipe_input("TextLinesTopic", &TestRecord::with(None, Some(b"Hello world hello"), 5)).expect("runs");
    let count = |word: &str, count: i64, time| TestRecord::new(word, count.to_be_bytes(), time);
    let expected = [count("hello", 1, 5), count("world", 1, 5), count("hello", 2, 5)];
    assert_eq!(driver.read_output("WordsWithCountsTopic"), expected);
    driver.pipe_input("TextLinesTopic", &TestRecord::with(None, Some(b"world"), 3)).expect("runs");
    assert_eq!(driver.read_output("WordsWithCountsTopic"), [count("world", 2, 5)], "the higher timestamp wins");
    assert_eq!(driver.read_output("wordcount-counts-store-changelog").len(), 3, "each key once a commit");
    assert_eq!(driver.thread.totals().restarts, 0);
}
