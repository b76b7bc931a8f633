//! Topics, and the first contact with a cluster.

use std::time::{Duration, Instant};

use millstream_core::Kind;
use millstream_core::id::{Offset, TopicPartition};
use millstream_core::port::{Consumer, LogBounds, RecordPurger};
use millstream_kafka::{InternalTopic, KafkaAdmin, KafkaPurger};

use crate::cluster::{App, eventually, record};

#[test]
fn internal_topics_are_created_once_and_checked_ever_after() {
    let app = App::exactly_once();
    let admin = app.admin();
    let name = format!("{}-counts-changelog", app.id);
    let topic = InternalTopic {
        name: name.clone(),
        partitions: 3,
        replication: 1,
        configs: vec![("cleanup.policy".to_owned(), "compact".to_owned())],
    };
    let counts = |names: &[&str]| admin.partition_counts(names).expect("counts");
    assert_eq!(counts(&[&name])[&name], None);
    admin.ensure_topics(std::slice::from_ref(&topic)).expect("created");
    eventually("the topic", || (counts(&[&name])[&name] == Some(3)).then_some(()));
    admin.ensure_topics(std::slice::from_ref(&topic)).expect("there already");
    assert!(admin.topic_names().expect("names").contains(&name));
    let error = admin.ensure_topics(&[InternalTopic { partitions: 4, ..topic }]).expect_err("other partitions");
    assert_eq!(error.kind(), Kind::Fatal);
    assert!(error.to_string().contains("has 3 partitions where the topology needs 4"), "{error}");
}

#[test]
fn a_config_that_the_broker_does_not_know_is_fatal() {
    let app = App::exactly_once();
    let configs = vec![("cleanup.policy".to_owned(), "sweep".to_owned())];
    let topic = InternalTopic { name: format!("{}-x", app.id), partitions: 1, replication: 1, configs };
    let error = app.admin().ensure_topics(&[topic]).expect_err("no such policy");
    assert_eq!(error.kind(), Kind::Fatal, "{error}");
}

#[test]
fn purged_records_are_gone() {
    let app = App::exactly_once();
    let topic = app.topic("purged-repartition", 1);
    let partition = TopicPartition::new(topic.clone(), 0);
    let mut producer = app.producer("p", &[]);
    producer.begin_transaction().expect("begin");
    for value in ["0", "1", "2"] {
        producer.send(record(&topic, "k", value)).expect("send");
    }
    producer.flush().expect("flush");
    producer.commit_transaction().expect("commit");
    let mut purger = KafkaPurger::new(&app.admin());
    purger.purge(&[(partition.clone(), Offset(2))]);
    let mut consumer = app.solo();
    eventually("the purge", || {
        let bounds = consumer.log_bounds(std::slice::from_ref(&partition)).expect("the bounds");
        (bounds[0].first == Offset(2)).then_some(())
    });
}

#[test]
fn where_many_partitions_begin_and_end_is_one_question_however_idle_they_are() {
    // A broker answers the requests of a connection one after the other, and holds a fetch of idle partitions for 100 ms: asked one by
    // one, these would take 20 s.
    const PARTITIONS: i32 = 100;
    let app = App::exactly_once();
    let topic = app.topic("many", PARTITIONS);
    let partitions: Vec<_> = (0..PARTITIONS).map(|partition| TopicPartition::new(topic.clone(), partition)).collect();
    let mut consumer = app.solo();
    let starts: Vec<_> = partitions.iter().map(|partition| (partition.clone(), Offset(0))).collect();
    consumer.assign(&starts).expect("assign");
    consumer.wait(Duration::from_millis(500));
    let bounds = eventually("the bounds", || {
        let start = Instant::now();
        // The leaders of a new topic take a moment.
        let bounds = consumer.log_bounds(&partitions).ok()?;
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
        Some(bounds)
    });
    assert_eq!(bounds, vec![LogBounds { first: Offset(0), end: Offset(0) }; partitions.len()]);
}

#[test]
fn a_broker_that_is_not_there_is_named_with_what_to_do() {
    let mut app = App::exactly_once();
    app.properties.insert("bootstrap.servers".to_owned(), "127.0.0.1:1".to_owned());
    let admin = KafkaAdmin::new(&app.config("p")).expect("a client");
    let start = Instant::now();
    let error = admin.connect(Duration::from_secs(1)).expect_err("nobody there");
    assert!(start.elapsed() < Duration::from_secs(3));
    let text = error.to_string();
    assert_eq!(error.kind(), Kind::Retriable, "{text}");
    assert!(text.contains("bootstrap.servers \"127.0.0.1:1\""), "{text}");
}

#[test]
fn a_broker_that_speaks_no_tls_is_told_by_what_it_said() {
    let mut app = App::exactly_once();
    app.properties.insert("security.protocol".to_owned(), "ssl".to_owned());
    let admin = KafkaAdmin::new(&app.config("p")).expect("a client");
    let error = admin.connect(Duration::from_secs(1)).expect_err("no TLS there");
    assert!(error.to_string().contains("SSL_HANDSHAKE"), "{error}");
}
