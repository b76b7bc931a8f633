//! What a broker can have against an application: each case has a clear message and an exit code.
#![cfg(feature = "kafka")]

use std::sync::OnceLock;

use millstream_tests::kafka::application::{Application, plugin_table, word_count};
use millstream_tests::kafka::broker::Broker;
use millstream_tests::kafka::client::{KafkaRecord, create_topic, produce};
use millstream_tests::kafka::host::LogLine;
use millstream_tests::kafka::work::now;

/// A broker that asks for a password at its second address, and creates no topic unasked.
fn broker() -> &'static Broker {
    static BROKER: OnceLock<Broker> = OnceLock::new();
    let options = ["--quick", "--sasl", "alice:open-sesame", "--set", "auto.create.topics.enable=false"];
    BROKER.get_or_init(|| Broker::start(&options))
}

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
    text = without_times(&text);
    assert_eq!(text, expected, "the whole log: {log}");
    assert_eq!(status.code(), Some(code), "the exit code");
}

/// How long librdkafka was at it is not the same twice.
fn without_times(text: &str) -> String {
    let Some((before, rest)) = text.split_once("(after ") else { return text.to_owned() };
    let after = rest.split_once(" in state").map_or(rest, |(_, after)| after);
    format!("{before}(after {{time}} in state{after}")
}

fn application(name: &str) -> Application {
    Application::new(broker(), name, &word_count())
}

#[test]
fn a_source_topic_that_is_missing() {
    let application = application("missing-source");
    application.create_topic("words", 1);
    let expected =
        "millstream: source topics do not exist: {id}-lines (source \"lines\"); create them, or correct their names";
    assert_ends(&application, 64, expected);
}

#[test]
fn a_sink_topic_that_is_missing() {
    let application = application("missing-sink");
    application.create_topic("lines", 1);
    let expected =
        "millstream: topics to write to do not exist: {id}-words (sink \"words\"); create them, or correct their names";
    assert_ends(&application, 64, expected);
}

/// "dynamic: topic must exist": here no broker makes it. The record's task stops, and nothing else.
#[test]
fn a_topic_that_a_record_names_and_that_is_missing() {
    let topology = "[sources.in]\ntopics = [\"{id}-in\"]\n\n[sinks.out]\ntopic-from = \"key\"\ninputs = [\"in\"]\n";
    let application = Application::new(broker(), "missing-named", topology);
    let input = application.create_topic("in", 1);
    produce(&application.bootstrap, &input, &[KafkaRecord::new(Some("nowhere"), "one", now())]);
    let mut host = application.start("a");
    let failure = |line: &LogLine| line.text("failure").map(str::to_owned);
    let failure = host.await_line("the task has failed and stops; other tasks go on", failure);
    let expected = "task 0_0: can't send to nowhere: ";
    assert!(failure.starts_with(expected) && failure.contains("the topic is missing; create it"), "{failure}");
    host.assert_running();
    host.signal("TERM");
    assert_eq!(host.wait().code(), Some(1), "a task has failed");
}

#[test]
fn a_changelog_with_another_number_of_partitions() {
    let application = application("wrong-changelog");
    application.create_topic("lines", 2);
    application.create_topic("words", 2);
    create_topic(&application.bootstrap, &application.topic("word-counts-changelog"), 5);
    let expected = "millstream: internal topic {id}-word-counts-changelog has 5 partitions where the topology needs 2; \
                    reset the application, or choose another application.id";
    assert_ends(&application, 1, expected);
}

#[test]
fn a_repartition_topic_with_another_number_of_partitions() {
    let application = application("wrong-repartition");
    application.create_topic("lines", 2);
    application.create_topic("words", 2);
    create_topic(&application.bootstrap, &application.topic("word-counts-repartition"), 3);
    let expected = "millstream: internal topic {id}-word-counts-repartition has 3 partitions where the topology needs 2; \
                    reset the application, or choose another application.id";
    assert_ends(&application, 1, expected);
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
    let application = Application::new(broker(), "co-partition", &topology);
    application.create_topic("customers", 2);
    application.create_topic("orders", 3);
    application.create_topic("out", 1);
    let expected = "millstream: the topics that meet at node \"enrich\" must have the same number of partitions, because it \
                    keeps state by key, but {id}-customers has 2, {id}-orders has 3; put a `repartition` before it, recreate a \
                    topic, or set `copartition = false` on the node if its state does not join them";
    assert_ends(&application, 64, expected);
}

#[test]
fn a_broker_that_is_not_there() {
    let mut application = application("no-broker");
    // Nobody listens on the port for discarded bytes.
    application.bootstrap = "127.0.0.1:9".to_owned();
    let expected = "millstream: can't connect to bootstrap.servers \"{broker}\" within 10s: {broker}/bootstrap: Connect to \
                    ipv4#{broker} failed: Connection refused (after {time} in state CONNECT) (_TRANSPORT); check the address, \
                    that a broker listens there, and that it speaks `security.protocol`";
    assert_ends(&application, 1, expected);
}

/// The application with a user and a password, at the address that asks for them.
fn application_of_alice(name: &str, password: &str) -> Application {
    let mut application = application(name).kafka(
        "\"security.protocol\" = \"sasl_plaintext\"\n\"sasl.mechanism\" = \"PLAIN\"\n\"sasl.username\" = \"alice\"\n\
         \"sasl.password\" = \"${file:password}\"",
    );
    std::fs::write(application.directory().join("password"), password).expect("a file can be written");
    application.create_topic("lines", 1);
    application.create_topic("words", 1);
    application.bootstrap = broker().sasl_address();
    application
}

#[test]
fn a_wrong_password() {
    let application = application_of_alice("wrong-password", "a guess");
    let expected = "millstream: can't connect to bootstrap.servers \"{broker}\": sasl_plaintext://{broker}/bootstrap: SASL \
                    authentication error: Authentication failed: Invalid username or password (after {time} in state AUTH_REQ) \
                    (_AUTHENTICATION); user or password are wrong, or the broker wants another `security.protocol`";
    assert_ends(&application, 1, expected);
}

#[test]
fn the_right_password() {
    let application = application_of_alice("right-password", "open-sesame");
    let mut host = application.start("a");
    host.await_line("tasks assigned", |_| Some(()));
    host.stop();
}
