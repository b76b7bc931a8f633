//! What librdkafka alone costs: reads a topic and writes it to another, and nothing in between; in transactions of 100 ms with the offsets
//! in them, or at least once with a flush and a commit each 100 ms. The limit of every pass-through, and the yardstick of
//! tests/tests/kafka_throughput.rs: `raw-loop BOOTSTRAP INPUT OUTPUT PARTITIONS [at-least-once]`; runs until it is killed.
//!
//! It calls librdkafka itself, in batches, with the properties that Millstream gives its clients, so that the difference is the engine.

#![allow(unsafe_code, reason = "librdkafka's batches are not in the safe interface")]

use std::ffi::{CString, c_char, c_void};
use std::ptr;
use std::time::{Duration, Instant};

use rdkafka::bindings as c;

const COMMIT_INTERVAL: Duration = Duration::from_millis(100);
const BATCH: usize = 1_000;
const CALL_TIMEOUT_MS: i32 = 30_000;

const CONSUMER: &[(&str, &str)] = &[
    ("group.id", "raw-loop"),
    ("enable.auto.commit", "false"),
    ("fetch.queue.backoff.ms", "5"),
    ("queued.max.messages.kbytes", "4096"),
    ("fetch.wait.max.ms", "100"),
];

const READ_COMMITTED: (&str, &str) = ("isolation.level", "read_committed");
const READ_UNCOMMITTED: (&str, &str) = ("isolation.level", "read_uncommitted");

const TRANSACTIONAL: &[(&str, &str)] = &[("transactional.id", "raw-loop"), ("transaction.timeout.ms", "10000")];

const PRODUCER: &[(&str, &str)] = &[
    ("enable.idempotence", "true"),
    ("partitioner", "murmur2_random"),
    ("linger.ms", "50"),
    ("batch.size", "1000000"),
    ("queue.buffering.max.messages", "20000"),
    ("queue.buffering.max.kbytes", "32768"),
    ("acks", "all"),
    ("delivery.report.only.error", "true"),
];

fn main() {
    let mut arguments = std::env::args().skip(1);
    let mut next = || arguments.next().expect("usage: raw-loop BOOTSTRAP INPUT OUTPUT PARTITIONS [at-least-once]");
    let (bootstrap, input, output) = (next(), next(), next());
    let partitions: usize = next().parse().expect("PARTITIONS is a number");
    let in_transactions = arguments.next().is_none_or(|guarantee| guarantee != "at-least-once");
    let (isolation, transactional) =
        if in_transactions { (READ_COMMITTED, TRANSACTIONAL) } else { (READ_UNCOMMITTED, &[][..]) };
    // SAFETY: the clients live until the process ends; every call gets what it asks for.
    unsafe {
        let consumer = client(c::rd_kafka_type_t::RD_KAFKA_CONSUMER, &bootstrap, &[CONSUMER, &[isolation]].concat());
        let producer = client(c::rd_kafka_type_t::RD_KAFKA_PRODUCER, &bootstrap, &[PRODUCER, transactional].concat());
        if in_transactions {
            check(c::rd_kafka_init_transactions(producer, CALL_TIMEOUT_MS));
        }
        let list = offsets(&input, &vec![0; partitions]);
        c::rd_kafka_poll_set_consumer(consumer);
        c::rd_kafka_assign(consumer, list);
        c::rd_kafka_topic_partition_list_destroy(list);
        pass(&Clients { consumer, producer, in_transactions }, &input, &text(&output), partitions);
    }
}

struct Clients {
    consumer: *mut c::rd_kafka_t,
    producer: *mut c::rd_kafka_t,
    in_transactions: bool,
}

/// # Safety
///
/// The clients live.
unsafe fn pass(clients: &Clients, input: &str, output: &CString, partitions: usize) -> ! {
    let Clients { consumer, producer, in_transactions } = *clients;
    let mut positions = vec![0_i64; partitions];
    let mut messages: Vec<*mut c::rd_kafka_message_t> = Vec::with_capacity(BATCH);
    let (mut is_commit_needed, mut last_commit) = (false, Instant::now());
    // SAFETY: the queue is owned; the array has room for the batch, and as many as returned are written; each message is ours and is
    // destroyed once.
    unsafe {
        let queue = c::rd_kafka_queue_get_consumer(consumer);
        let topic = c::rd_kafka_topic_new(producer, output.as_ptr(), ptr::null_mut());
        loop {
            let count = c::rd_kafka_consume_batch_queue(queue, 10, messages.as_mut_ptr(), BATCH);
            messages.set_len(usize::try_from(count).unwrap_or(0));
            if !messages.is_empty() && !is_commit_needed {
                if in_transactions {
                    check(c::rd_kafka_begin_transaction(producer));
                }
                is_commit_needed = true;
            }
            for message in messages.drain(..) {
                send(producer, topic, message);
                positions[(*message).partition as usize] = (*message).offset + 1;
                c::rd_kafka_message_destroy(message);
            }
            c::rd_kafka_poll(producer, 0);
            if is_commit_needed && last_commit.elapsed() >= COMMIT_INTERVAL {
                commit(clients, input, &positions);
                (is_commit_needed, last_commit) = (false, Instant::now());
            }
        }
    }
}

/// # Safety
///
/// Producer, topic and message live.
unsafe fn send(producer: *mut c::rd_kafka_t, topic: *mut c::rd_kafka_topic_t, message: *const c::rd_kafka_message_t) {
    use c::rd_kafka_vtype_t as Vtype;
    // SAFETY: the arguments are those that each type asks for; the message's bytes are copied.
    unsafe {
        assert_eq!((*message).err, c::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR, "can't read");
        let timestamp = c::rd_kafka_message_timestamp(message, ptr::null_mut());
        loop {
            let code = c::rd_kafka_producev(
                producer,
                Vtype::RD_KAFKA_VTYPE_RKT,
                topic,
                Vtype::RD_KAFKA_VTYPE_KEY,
                (*message).key,
                (*message).key_len,
                Vtype::RD_KAFKA_VTYPE_VALUE,
                (*message).payload,
                (*message).len,
                Vtype::RD_KAFKA_VTYPE_TIMESTAMP,
                timestamp,
                Vtype::RD_KAFKA_VTYPE_MSGFLAGS,
                c::RD_KAFKA_MSG_F_COPY,
                Vtype::RD_KAFKA_VTYPE_END,
            );
            match code {
                c::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR => return,
                c::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__QUEUE_FULL => c::rd_kafka_poll(producer, 5),
                other => panic!("can't write: {other:?}"),
            };
        }
    }
}

/// # Safety
///
/// The clients live; under exactly-once a transaction is open.
unsafe fn commit(clients: &Clients, input: &str, positions: &[i64]) {
    let Clients { consumer, producer, in_transactions } = *clients;
    // SAFETY: list and metadata are owned, and destroyed once.
    unsafe {
        let list = offsets(input, positions);
        if in_transactions {
            let metadata = c::rd_kafka_consumer_group_metadata(consumer);
            check(c::rd_kafka_send_offsets_to_transaction(producer, list, metadata, CALL_TIMEOUT_MS));
            check(c::rd_kafka_commit_transaction(producer, CALL_TIMEOUT_MS));
            c::rd_kafka_consumer_group_metadata_destroy(metadata);
        } else {
            let code = c::rd_kafka_flush(producer, CALL_TIMEOUT_MS);
            assert_eq!(code, c::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR, "can't flush");
            let code = c::rd_kafka_commit(consumer, list, 0);
            assert_eq!(code, c::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR, "can't commit");
        }
        c::rd_kafka_topic_partition_list_destroy(list);
    }
}

/// # Safety
///
/// The caller destroys the list.
unsafe fn offsets(topic: &str, positions: &[i64]) -> *mut c::rd_kafka_topic_partition_list_t {
    let topic = text(topic);
    // SAFETY: the list is new; an added entry lives as long as it.
    unsafe {
        let list = c::rd_kafka_topic_partition_list_new(positions.len() as i32);
        for (partition, position) in positions.iter().enumerate() {
            let entry = c::rd_kafka_topic_partition_list_add(list, topic.as_ptr(), partition as i32);
            (*entry).offset = *position;
        }
        list
    }
}

/// # Safety
///
/// None: the client is never destroyed.
unsafe fn client(kind: c::rd_kafka_type_t, bootstrap: &str, properties: &[(&str, &str)]) -> *mut c::rd_kafka_t {
    let mut reason = [0 as c_char; 512];
    // SAFETY: the configuration is new and belongs to the client afterwards; the reason has the room that is told.
    unsafe {
        let configuration = c::rd_kafka_conf_new();
        for (key, value) in properties.iter().chain(&[("bootstrap.servers", bootstrap)]) {
            let (key, value) = (text(key), text(value));
            c::rd_kafka_conf_set(configuration, key.as_ptr(), value.as_ptr(), reason.as_mut_ptr(), reason.len());
        }
        let client = c::rd_kafka_new(kind, configuration, reason.as_mut_ptr(), reason.len());
        assert!(!client.is_null(), "librdkafka refuses its properties");
        client
    }
}

/// # Safety
///
/// `error` is null or an error that nobody has destroyed.
unsafe fn check(error: *mut c::rd_kafka_error_t) {
    // SAFETY: by the contract; its text lives as long as it, and the process ends here.
    unsafe {
        if !error.is_null() {
            panic!("{}", std::ffi::CStr::from_ptr(c::rd_kafka_error_string(error)).to_string_lossy());
        }
    }
}

fn text(text: &str) -> CString {
    CString::new(text).expect("no zero bytes")
}

const _: () = assert!(size_of::<*mut c_void>() == 8, "lengths and offsets are 64 bits");
