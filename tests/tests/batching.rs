//! Batches are an optimisation that nobody can tell: random topologies give the same outputs, in the same order, and the same
//! stores, whether records travel in runs or one by one.

use std::collections::BTreeMap;

use millstream_core::context::TaskContext;
use millstream_core::error::ProcessorFailure;
use millstream_core::id::TaskId;
use millstream_core::port::ResetPosition;
use millstream_core::processor::PunctuationType;
use millstream_core::record::Record;
use millstream_core::topology::{
    ProcessorDeclaration, SinkTopic, Source, SourceTopics, Step, StoreDeclaration, StoreKind, TimestampExtractor,
    Topology, TopologyBuilder,
};
use millstream_tests::driver::{DriverOptions, TestRecord, TopologyDriver};
use millstream_tests::native::{NativePlugins, NativeProcessor};

const SEEDS: u64 = 300;
const SINK_TOPICS: usize = 3;

fn source(topic: &str) -> Source {
    Source {
        topics: SourceTopics::Names(vec![topic.into()]),
        timestamp_extractor: TimestampExtractor::FailOnInvalid,
        reset: Some(ResetPosition::Earliest),
        internal: false,
    }
}

fn plugin(name: &str, inputs: Vec<String>, stores: Vec<String>) -> ProcessorDeclaration {
    let (plugin, config) = (name.to_owned(), BTreeMap::new());
    let step = Step::Plugin { plugin, processor: None, config, key_unchanged: false };
    ProcessorDeclaration { step, inputs, stores, copartition: true }
}

/// One or two of `names`.
fn some_of(random: &mut fastrand::Rng, names: &[String]) -> Vec<String> {
    let count = random.usize(1..=2).min(names.len());
    random.choose_multiple(names.iter().cloned(), count)
}

/// A topology whose nodes meet, split and share stores at random, so that some sources are batchable and others are not.
fn random_topology(random: &mut fastrand::Rng) -> Topology {
    let mut builder = TopologyBuilder::new("random");
    let mut names: Vec<String> = Vec::new();
    for index in 0..random.usize(1..=2) {
        builder.source(format!("source{index}"), source(&format!("in{index}")));
        names.push(format!("source{index}"));
    }
    let sources = names.clone();
    let stores = random.usize(1..=3);
    let mut used = vec![false; stores];
    for index in 0..random.usize(1..=6) {
        let inputs = some_of(random, &names);
        let kind = random.choice(["count", "split", "twice", "odd", "clock"]).expect("not empty");
        let store = random.usize(0..stores);
        let name = format!("node{index}");
        if kind == "count" {
            used[store] = true;
            builder.processor(&name, plugin(&format!("count{store}"), inputs, vec![format!("store{store}")]));
        } else {
            builder.processor(&name, plugin(kind, inputs, Vec::new()));
        }
        names.push(name);
    }
    for index in 0..random.usize(1..=3) {
        let inputs = some_of(random, &names);
        let topic = SinkTopic::Name(format!("out{}", random.usize(0..SINK_TOPICS)).as_str().into());
        builder.sink(format!("sink{index}"), topic, inputs);
    }
    for (index, _) in used.iter().enumerate().filter(|(_, used)| **used) {
        let store = StoreDeclaration {
            kind: StoreKind::TimestampedKeyValue,
            persistent: false,
            logged: true,
            changelog_config: BTreeMap::new(),
        };
        builder.store(format!("store{index}"), store);
    }
    // Every source needs somebody to read it.
    builder.sink("all", SinkTopic::Name("out-all".into()), sources);
    builder.build().expect("the topology is sound")
}

fn count(store: &str, context: &mut TaskContext, record: Record<'_>, index: usize) -> Result<(), ProcessorFailure> {
    let store = context.stores.index_of(store).expect("the store was granted");
    let mut old = Vec::new();
    let key = record.key.unwrap_or(b"null");
    let found = context.stores.get(store, key, &mut old).expect("memory can be read");
    let number = found.map_or(0, |_| i64::from_be_bytes(old.as_slice().try_into().expect("a count"))) + 1;
    context.stores.put(store, key, Some(&number.to_be_bytes()), record.timestamp).expect("within limits");
    let value = format!("{}#{number}", String::from_utf8_lossy(record.value.unwrap_or_default()));
    context.forward_record(Record { value: Some(value.as_bytes()), ..record }, index);
    Ok(())
}

fn plugins() -> NativePlugins {
    NativePlugins::default()
        .processor("count0", |_| NativeProcessor::of(|context, record, index| count("store0", context, record, index)))
        .processor("count1", |_| NativeProcessor::of(|context, record, index| count("store1", context, record, index)))
        .processor("count2", |_| NativeProcessor::of(|context, record, index| count("store2", context, record, index)))
        .processor("split", |_| {
            NativeProcessor::of(|context, record, index| {
                // Every record to all children, and once more, shortened, to one of them.
                context.forward_record(record, index);
                let children = context.children();
                if children > 0 {
                    let value = record.value.unwrap_or_default();
                    let ends = |bytes: &[u8]| u32::try_from(bytes.len()).expect("short").to_le_bytes();
                    let columns = millstream_core::record::PackedColumns {
                        keys: record.key.unwrap_or_default(),
                        key_ends: &ends(record.key.unwrap_or_default()),
                        values: &value[..value.len() / 2],
                        value_ends: &ends(&value[..value.len() / 2]),
                        timestamps: &(record.timestamp + 1).to_le_bytes(),
                        rows: &u32::try_from(index).expect("small").to_le_bytes(),
                        ..Default::default()
                    };
                    context.forward(Some(value.len() % children), &columns).expect("sound columns");
                }
                Ok(())
            })
        })
        .processor("twice", |_| {
            NativeProcessor::of(|context, record, index| {
                context.forward_record(record, index);
                context.forward_record(Record { timestamp: record.timestamp + 7, ..record }, index);
                Ok(())
            })
        })
        .processor("odd", |_| {
            NativeProcessor::of(|context, record, index| {
                if record.value.unwrap_or_default().len() % 2 == 1 {
                    context.forward_record(record, index);
                }
                Ok(())
            })
        })
        .processor("clock", |_| {
            let processor = NativeProcessor::of(|context, record, index| {
                // What a processor can see of time and origin must not depend on batches either.
                let offset = context.record_metadata(index).expect("in process").offset;
                let value = format!("t{} o{offset}", context.stream_time_at(index));
                context.forward_record(Record { value: Some(value.as_bytes()), ..record }, index);
                Ok(())
            });
            processor.on_init(|context| {
                context.schedule(PunctuationType::WallClockTime, None, 1_000).expect("allowed");
                Ok(())
            })
        })
}

type World = (Vec<Vec<TestRecord>>, BTreeMap<String, Vec<(Vec<u8>, Vec<u8>)>>);

fn run(seed: u64, batching: bool, run_records_max: usize, buffered_records_max: usize) -> (World, bool) {
    let mut random = fastrand::Rng::with_seed(seed);
    let topology = random_topology(&mut random);
    let sources: Vec<_> = topology.indexed_nodes().filter(|(_, node)| node.as_source().is_some()).collect();
    let batched = sources.iter().all(|(index, _)| topology.is_batchable(*index));
    let stores: Vec<_> = topology.stores().iter().map(|store| (store.name.clone(), store.users[0])).collect();
    let task_of_store: Vec<_> = stores
        .iter()
        .map(|(name, user)| {
            let sub =
                topology.sub_topologies().iter().find(|sub| sub.nodes.contains(user)).expect("every node is in one");
            (name.clone(), TaskId { sub_topology: sub.id, partition: 0 })
        })
        .collect();
    let count = sources.len();
    let mut options = DriverOptions::default();
    options.settings.batching = batching;
    options.settings.run_records_max = run_records_max;
    options.settings.buffered_records_max = buffered_records_max;
    options.partitions = (0..SINK_TOPICS).map(|index| (format!("out{index}"), 1)).collect();
    let mut driver = TopologyDriver::new(topology, Box::new(plugins()), options);
    // Distinct timestamps across topics: between equal ones Kafka Streams promises no order, and so neither do we.
    for number in 0..random.i64(1..200) {
        let topic = random.usize(0..count);
        let time = random.i64(0..1_000) * 10 + topic as i64;
        let key = [b'a' + random.u8(0..5)];
        let key = random.bool().then_some(&key[..]);
        let record = TestRecord::with(key, Some(format!("v{number}").as_bytes()), time);
        driver.write(&format!("in{topic}"), None, &record.header("n", random.bool().then_some(b"x")));
    }
    driver.run_until_caught_up().expect("the topology runs");
    assert_eq!(driver.thread.totals().restarts, 0);
    let topics = (0..SINK_TOPICS).map(|index| format!("out{index}")).chain(["out-all".to_owned()]);
    let outputs = topics.map(|topic| driver.read_output(&topic)).collect();
    let contents = task_of_store.into_iter().map(|(name, task)| (name.to_string(), driver.store(task, name.as_str())));
    ((outputs, contents.collect()), batched)
}

#[test]
fn nobody_can_tell_whether_records_travelled_in_batches() {
    let mut batched_topologies = 0;
    for seed in 0..SEEDS {
        let (expected, batched) = run(seed, false, 1, 1);
        batched_topologies += u64::from(batched);
        for (run_records_max, buffered_records_max) in [(1000, 1000), (3, 1000), (1000, 5)] {
            let (found, _) = run(seed, true, run_records_max, buffered_records_max);
            assert_eq!(found, expected, "seed {seed}, runs of {run_records_max}, {buffered_records_max} buffered");
        }
    }
    assert!((SEEDS / 10..SEEDS).contains(&batched_topologies), "{batched_topologies} of {SEEDS} could be batched");
}
