//! Topics that appear or grow while an application runs are read without a restart (reference §4.2).
#![cfg(feature = "kafka")]

use millstream_tests::kafka::application::{Application, plugin_table};
use millstream_tests::kafka::broker::Broker;
use millstream_tests::kafka::client::{KafkaRecord, TopicReader, add_partitions, produce};

fn copies(group_protocol: &str) -> Application {
    let topology = plugin_table("identity", "")
        + r#"
[sources.orders]
pattern = "{id}-orders-.*"

[processors.copy]
plugin = "identity"
processor = "identity"
inputs = ["orders"]

[sinks.copies]
topic = "{id}-copies"
inputs = ["copy"]
"#;
    Application::new(Broker::shared(), "topics", &topology)
        .settings(&format!("group-protocol = \"{group_protocol}\"\nstream-threads = 2"))
        .kafka("\"metadata.max.age.ms\" = \"500\"")
}

fn write(application: &Application, topic: &str, values: std::ops::Range<u32>) {
    let record =
        |value: u32| KafkaRecord::new(Some(&format!("key-{value}")), &value.to_string(), 1_000 + i64::from(value));
    let records: Vec<_> = values.map(record).collect();
    produce(&application.bootstrap, topic, &records);
}

fn grows(group_protocol: &str) {
    let application = copies(group_protocol);
    let first = application.create_topic("orders-a", 1);
    let copies = application.create_topic("copies", 1);
    let mut reader = TopicReader::new(&application.bootstrap, &copies);
    let mut host = application.start("a");
    write(&application, &first, 0..100);
    reader.read_until(100);
    // A topic appears.
    let second = application.create_topic("orders-b", 2);
    write(&application, &second, 100..200);
    reader.read_until(200);
    // A topic grows.
    add_partitions(&application.bootstrap, &first, 4);
    write(&application, &first, 200..300);
    write(&application, &second, 300..400);
    reader.read_until(400);
    host.assert_running();
    host.stop();
    let records = reader.read_to_end().iter().flatten();
    let value =
        |record: &KafkaRecord| String::from_utf8_lossy(record.value.as_deref().unwrap_or_default()).into_owned();
    let mut values: Vec<u32> = records.map(|record| value(record).parse().expect("a number")).collect();
    values.sort_unstable();
    assert_eq!(values, (0..400).collect::<Vec<_>>(), "each record once");
}

#[test]
fn without_a_group_topics_that_appear_and_grow_are_read() {
    grows("solo");
}

#[test]
fn in_a_group_topics_that_appear_and_grow_are_read() {
    grows("consumer");
}
