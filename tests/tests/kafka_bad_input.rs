//! What a broker can have against an application: each case has a clear message and an exit code.
#![cfg(feature = "kafka")]

use std::path::Path;

use millstream_tests::kafka::application::{Application, plugin_table, word_count};
use millstream_tests::kafka::broker::Broker;
use millstream_tests::kafka::client::{KafkaRecord, create_topic, produce};
use millstream_tests::kafka::random;
use millstream_tests::kafka::work::now;

/// Runs the application until it ends by itself, and compares its last words with `expected`, in which `{id}` and `{broker}` stand for
/// the application's id and the broker's address.
#[track_caller]
fn assert_ends(application: &Application, code: i32, expected: &str) {
    let mut host = application.start("a");
    let status = host.wait();
    let log = host.log_text();
    // What it says at last, without the log lines.
    let words: Vec<&str> = log.lines().filter(|line| !line.starts_with('{')).collect();
    let mut text = words.join("\n");
    for (found, name) in [(application.bootstrap.as_str(), "{broker}"), (application.id.as_str(), "{id}")] {
        text = text.replace(found, name);
    }
    let directory: &Path = application.directory();
    text = text.replace(&directory.display().to_string(), "{directory}");
    assert_eq!(text, expected, "the whole log: {log}");
    assert_eq!(status.code(), Some(code), "the exit code");
}

fn application(name: &str) -> Application {
    Application::new(Broker::shared(), name, &word_count())
}

#[test]
fn a_source_topic_that_is_missing() {
    let application = application("missing-source");
    application.create_topic("words", 1);
    assert_ends(&application, 64, "");
}

#[test]
fn a_sink_topic_that_is_missing() {
    let application = application("missing-sink");
    let lines = application.create_topic("lines", 1);
    produce(&application.bootstrap, &lines, &[KafkaRecord::new(None, "one two", now())]);
    assert_ends(&application, 1, "");
}

#[test]
fn a_changelog_with_another_number_of_partitions() {
    let application = application("wrong-changelog");
    application.create_topic("lines", 2);
    application.create_topic("words", 2);
    create_topic(&application.bootstrap, &application.topic("word-counts-changelog"), 5);
    assert_ends(&application, 1, "");
}

#[test]
fn a_repartition_topic_with_another_number_of_partitions() {
    let application = application("wrong-repartition");
    application.create_topic("lines", 2);
    application.create_topic("words", 2);
    create_topic(&application.bootstrap, &application.topic("word-counts-repartition"), 3);
    assert_ends(&application, 1, "");
}

#[test]
fn topics_that_meet_in_a_store_and_have_different_numbers_of_partitions() {
    let topology = plugin_table("enrich", "")
        + r#"
[stores.customers]
type = "timestamped-key-value"

[stores.waiting]
type = "timestamped-key-value"

[sources.customers-in]
topics = ["{id}-customers"]

[sources.orders-in]
topics = ["{id}-orders"]

[processors.enrich]
plugin = "enrich"
inputs = ["customers-in", "orders-in"]
stores = ["customers", "waiting"]

[sinks.out]
topic = "{id}-out"
inputs = ["enrich"]
"#;
    let application = Application::new(Broker::shared(), "co-partition", &topology);
    application.create_topic("customers", 2);
    application.create_topic("orders", 3);
    application.create_topic("out", 1);
    assert_ends(&application, 64, "");
}

#[test]
fn a_broker_that_is_not_there() {
    let mut application = application("no-broker");
    // Nobody listens on the port for discarded bytes.
    application.bootstrap = "127.0.0.1:9".to_owned();
    assert_ends(&application, 1, "");
}

#[test]
fn a_wrong_password() {
    let broker = Broker::start(&["--quick", "--sasl", "alice:open-sesame"]);
    let password = format!("wrong-{}", random().u32(..));
    let keys = format!(
        "\"security.protocol\" = \"sasl_plaintext\"\n\"sasl.mechanism\" = \"PLAIN\"\n\"sasl.username\" = \"alice\"\n\
         \"sasl.password\" = \"{password}\""
    );
    let mut application = Application::new(&broker, "wrong-password", &word_count()).kafka(&keys);
    application.bootstrap = broker.sasl_address();
    assert_ends(&application, 1, "");
}

#[test]
fn the_right_password() {
    let broker = Broker::start(&["--quick", "--sasl", "alice:open-sesame"]);
    let keys = "\"security.protocol\" = \"sasl_plaintext\"\n\"sasl.mechanism\" = \"PLAIN\"\n\"sasl.username\" = \"alice\"\n\
                \"sasl.password\" = \"${env:HOME}\"";
    let mut application =
        Application::new(&broker, "right-password", &word_count()).kafka(&keys.replace("${env:HOME}", "open-sesame"));
    application.create_topic("lines", 1);
    application.create_topic("words", 1);
    application.bootstrap = broker.sasl_address();
    let mut host = application.start("a");
    host.await_line("tasks assigned", |_| Some(()));
    host.stop();
}
