//! Over TLS with a password: an application works, and what is wrong with a certificate or a protocol is told.
#![cfg(feature = "kafka")]

use std::sync::OnceLock;

use millstream_tests::kafka::application::{Application, word_count};
use millstream_tests::kafka::broker::Broker;
use millstream_tests::kafka::client::{KafkaRecord, TopicReader, produce};

fn broker() -> &'static Broker {
    static BROKER: OnceLock<Broker> = OnceLock::new();
    BROKER.get_or_init(|| Broker::start(&["--quick", "--sasl", "alice:open-sesame", "--tls"]))
}

/// Word count at the address that speaks TLS, by `protocol`, with more keys of `[kafka]`.
fn application(name: &str, protocol: &str, keys: &str) -> Application {
    let application = Application::new(broker(), name, &word_count()).kafka(&format!(
        "\"security.protocol\" = \"{protocol}\"\n\"sasl.mechanism\" = \"PLAIN\"\n\"sasl.username\" = \"alice\"\n\
         \"sasl.password\" = \"${{file:password}}\"\n{keys}"
    ));
    std::fs::write(application.directory().join("password"), "open-sesame").expect("a file can be written");
    application.create_topic("lines", 2);
    application.create_topic("words", 2);
    application
}

fn trusting(name: &str) -> Application {
    application(name, "sasl_ssl", &format!("\"ssl.ca.location\" = \"{}\"", broker().trusted_certificate().display()))
}

/// Its last words, and its exit code.
fn end_of(mut application: Application) -> (String, Option<i32>) {
    application.bootstrap = broker().sasl_address();
    let mut host = application.start("a");
    let code = host.wait().code();
    let log = host.log_text();
    (log.lines().rfind(|line| !line.starts_with('{')).unwrap_or_default().to_owned(), code)
}

#[test]
fn an_application_works_over_tls() {
    let mut application = trusting("tls");
    let lines = application.topic("lines");
    produce(&application.bootstrap, &lines, &[KafkaRecord::new(None, "all the words and all the counts", 1)]);
    let mut reader = TopicReader::new(&application.bootstrap, &application.topic("words"));
    application.bootstrap = broker().sasl_address();
    let host = application.start("a");
    reader.read_until(7);
    host.stop();
    let mut counts: Vec<_> = reader.records.iter().flatten().map(|word| (word.key_text(), word.value_long())).collect();
    counts.sort_unstable();
    assert_eq!(counts, [("all", 1), ("all", 2), ("and", 1), ("counts", 1), ("the", 1), ("the", 2), ("words", 1)]);
}

#[test]
fn a_certificate_that_nobody_vouches_for_is_refused() {
    let (words, code) = end_of(application("untrusted", "sasl_ssl", ""));
    assert!(words.contains("certificate verify failed") && words.contains("check `ssl.ca.location`"), "{words}");
    assert_eq!(code, Some(1));
}

#[test]
fn a_protocol_without_tls_is_suspected() {
    let (words, code) = end_of(application("no-tls", "sasl_plaintext", ""));
    assert!(words.contains("can't connect") && words.contains("`security.protocol`"), "{words}");
    assert_eq!(code, Some(1));
}
