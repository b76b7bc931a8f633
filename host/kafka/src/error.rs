//! The one table in which errors of librdkafka and Kafka become [`Kind`]s of the core.
//!
//! The kind is chosen by the code and by what was being done: the same `UNKNOWN_MEMBER_ID` ends a commit, and an
//! unknown outcome matters in a transaction only.

use millstream_core::{Error, Kind};
use rdkafka::bindings::rd_kafka_resp_err_t as code;

use crate::native::{ErrorCode, NativeError};

/// What was being done when the error came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum During {
    /// Asking the cluster something: metadata, offsets, topics.
    Asking,
    /// Reading a source partition.
    Reading,
    /// Reading a changelog.
    Restoring,
    /// Making a producer ready.
    Initialising,
    /// Sending a record, or anything of a transaction: what is unclear here can't be repeated (design: KIP-890).
    Producing,
    /// Committing offsets outside a transaction.
    Committing,
}

struct Row {
    code: code,
    kind: Kind,
    reason: &'static str,
}

const fn row(code: code, kind: Kind, reason: &'static str) -> Row {
    Row { code, kind, reason }
}

use Kind::{Fatal, Retriable, TaskCorrupted, TaskFailed, TaskMigrated};

/// Codes, what they mean when nothing unclear is under way, and what to do. Codes that are not here are fatal.
const TABLE: &[Row] = &[
    // The broker is not there, for now.
    row(code::RD_KAFKA_RESP_ERR__TRANSPORT, Retriable, "the connection broke; it is made again by itself"),
    row(
        code::RD_KAFKA_RESP_ERR__RESOLVE,
        Retriable,
        "the broker's name was not found; check `bootstrap.servers` and DNS",
    ),
    row(code::RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN, Retriable, "no broker answers; check `bootstrap.servers`"),
    row(code::RD_KAFKA_RESP_ERR__TIMED_OUT, Retriable, "no answer in time"),
    row(code::RD_KAFKA_RESP_ERR__TIMED_OUT_QUEUE, Retriable, "no answer in time; the request was never sent"),
    row(code::RD_KAFKA_RESP_ERR__MSG_TIMED_OUT, Retriable, "the record was not acknowledged in time"),
    row(code::RD_KAFKA_RESP_ERR__WAIT_COORD, Retriable, "the coordinator is being looked for"),
    row(code::RD_KAFKA_RESP_ERR__WAIT_CACHE, Retriable, "metadata is being fetched"),
    row(code::RD_KAFKA_RESP_ERR__IN_PROGRESS, Retriable, "an earlier call is still under way"),
    row(code::RD_KAFKA_RESP_ERR__PREV_IN_PROGRESS, Retriable, "an earlier call is still under way"),
    row(code::RD_KAFKA_RESP_ERR__RETRY, Retriable, "try again"),
    row(code::RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE, Retriable, "the partition has no leader at the moment"),
    row(code::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION, Retriable, "the partition's leader moved"),
    row(code::RD_KAFKA_RESP_ERR__NOENT, Retriable, "the partition is new, and its leader is not known yet"),
    row(code::RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT, Retriable, "the broker was not done in time"),
    row(code::RD_KAFKA_RESP_ERR_NETWORK_EXCEPTION, Retriable, "the broker lost the connection"),
    row(code::RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS, Retriable, "the coordinator is loading"),
    row(code::RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE, Retriable, "the coordinator is away"),
    row(code::RD_KAFKA_RESP_ERR_NOT_COORDINATOR, Retriable, "the coordinator moved"),
    row(code::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS, Retriable, "too few replicas are in sync"),
    row(code::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND, Retriable, "too few replicas are in sync"),
    row(code::RD_KAFKA_RESP_ERR_BROKER_NOT_AVAILABLE, Retriable, "the broker is away"),
    row(code::RD_KAFKA_RESP_ERR_REPLICA_NOT_AVAILABLE, Retriable, "the replica is away"),
    row(code::RD_KAFKA_RESP_ERR_FENCED_LEADER_EPOCH, Retriable, "the partition's leader changed"),
    row(code::RD_KAFKA_RESP_ERR_UNKNOWN_LEADER_EPOCH, Retriable, "the partition's leader changed"),
    row(code::RD_KAFKA_RESP_ERR_OFFSET_NOT_AVAILABLE, Retriable, "the new leader does not know its end yet"),
    row(code::RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR, Retriable, "the broker's disk failed; another replica takes over"),
    row(code::RD_KAFKA_RESP_ERR_THROTTLING_QUOTA_EXCEEDED, Retriable, "a quota is used up"),
    row(code::RD_KAFKA_RESP_ERR_CONCURRENT_TRANSACTIONS, Retriable, "the transaction before is still being ended"),
    row(code::RD_KAFKA_RESP_ERR_UNSTABLE_OFFSET_COMMIT, Retriable, "a transaction on these offsets is still open"),
    row(code::RD_KAFKA_RESP_ERR_NOT_CONTROLLER, Retriable, "the controller moved"),
    // Somebody else owns the tasks now.
    row(code::RD_KAFKA_RESP_ERR__FENCED, TaskMigrated, "a newer producer has the transactional id"),
    row(code::RD_KAFKA_RESP_ERR_PRODUCER_FENCED, TaskMigrated, "a newer producer has the transactional id"),
    row(code::RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH, TaskMigrated, "a newer producer has the transactional id"),
    row(code::RD_KAFKA_RESP_ERR_INVALID_PRODUCER_ID_MAPPING, TaskMigrated, "the broker forgot the transactional id"),
    row(code::RD_KAFKA_RESP_ERR_UNKNOWN_PRODUCER_ID, TaskMigrated, "the broker forgot the producer"),
    row(
        code::RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER,
        TaskMigrated,
        "records were lost between here and the broker",
    ),
    row(code::RD_KAFKA_RESP_ERR_INVALID_TXN_STATE, TaskMigrated, "the broker does not know the transaction"),
    row(
        code::RD_KAFKA_RESP_ERR_TRANSACTION_COORDINATOR_FENCED,
        TaskMigrated,
        "the transaction's coordinator was replaced",
    ),
    row(code::RD_KAFKA_RESP_ERR__INCONSISTENT, TaskMigrated, "the producer lost track of its records"),
    row(code::RD_KAFKA_RESP_ERR__GAPLESS_GUARANTEE, TaskMigrated, "a record would be missing among its neighbours"),
    row(code::RD_KAFKA_RESP_ERR__PURGE_QUEUE, TaskMigrated, "the transaction was aborted before the record was sent"),
    row(
        code::RD_KAFKA_RESP_ERR__PURGE_INFLIGHT,
        TaskMigrated,
        "the transaction was aborted while the record was under way",
    ),
    row(code::RD_KAFKA_RESP_ERR__STATE, TaskMigrated, "the transaction is in another state"),
    row(code::RD_KAFKA_RESP_ERR__FATAL, TaskMigrated, "the client is unusable after an earlier error"),
    row(code::RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION, TaskMigrated, "the group has rebalanced"),
    row(code::RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID, TaskMigrated, "the group has rebalanced without this member"),
    row(code::RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS, TaskMigrated, "the group is rebalancing"),
    row(code::RD_KAFKA_RESP_ERR_STALE_MEMBER_EPOCH, TaskMigrated, "the group has rebalanced"),
    row(code::RD_KAFKA_RESP_ERR_FENCED_MEMBER_EPOCH, TaskMigrated, "the group has rebalanced without this member"),
    row(code::RD_KAFKA_RESP_ERR__ASSIGNMENT_LOST, TaskMigrated, "the group has rebalanced without this member"),
    row(
        code::RD_KAFKA_RESP_ERR__MAX_POLL_EXCEEDED,
        TaskMigrated,
        "the thread was busy for longer than `max.poll.interval.ms`",
    ),
    // The local state does not fit the log; a source then restarts at the position that `auto-offset-reset` decides.
    row(code::RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE, TaskCorrupted, "the offset is no longer in the log"),
    row(code::RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET, TaskCorrupted, "the offset is no longer in the log"),
    // Nothing helps but a human.
    row(
        code::RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID,
        Fatal,
        "another process has this `group.instance.id`; give each its own state directory",
    ),
    row(code::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, Fatal, "the topic is missing; create it or check its name"),
    row(code::RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC, Fatal, "the topic is missing; create it or check its name"),
    row(
        code::RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION,
        Fatal,
        "the partition is missing; did the topic get fewer partitions?",
    ),
    row(code::RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION, Fatal, "the topic's name is not allowed"),
    row(
        code::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE,
        TaskFailed,
        "the record, or its batch, is too large: raise `max.message.bytes` of the topic and `message.max.bytes` here, or lower `batch.size`",
    ),
    row(
        code::RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE,
        Fatal,
        "the batch is larger than the broker's segments; lower `batch.size`",
    ),
    row(code::RD_KAFKA_RESP_ERR_INVALID_RECORD, Fatal, "the broker refused the record; a compacted topic needs keys"),
    row(code::RD_KAFKA_RESP_ERR__INVALID_DIFFERENT_RECORD, Fatal, "the broker refused another record of the batch"),
    row(code::RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP, Fatal, "the record's timestamp is out of the topic's bounds"),
    row(code::RD_KAFKA_RESP_ERR_INVALID_REQUIRED_ACKS, Fatal, "the broker refused `acks`"),
    row(code::RD_KAFKA_RESP_ERR_POLICY_VIOLATION, Fatal, "the broker's policy forbids it"),
    row(code::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, Fatal, "the user may not use the topic; add an ACL"),
    row(
        code::RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED,
        Fatal,
        "the user may not use the group; add an ACL for the application id",
    ),
    row(
        code::RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED,
        Fatal,
        "the user may not do this to the cluster; add an ACL",
    ),
    row(
        code::RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
        Fatal,
        "the user may not use the transactional id; add an ACL for the prefix `<application.id>-`",
    ),
    row(
        code::RD_KAFKA_RESP_ERR_INVALID_TRANSACTION_TIMEOUT,
        Fatal,
        "the broker allows no such `transaction.timeout.ms`; see its `transaction.max.timeout.ms`",
    ),
    row(code::RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED, Fatal, "user or password are wrong"),
    row(
        code::RD_KAFKA_RESP_ERR__AUTHENTICATION,
        Fatal,
        "user or password are wrong, or the broker wants another `security.protocol`",
    ),
    row(
        code::RD_KAFKA_RESP_ERR__SSL,
        Fatal,
        "the TLS handshake failed; check `ssl.ca.location` and the broker's certificate",
    ),
    row(code::RD_KAFKA_RESP_ERR_UNSUPPORTED_VERSION, Fatal, "the broker is too old; exactly-once needs 2.5"),
    row(code::RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE, Fatal, "the broker is too old; exactly-once needs 2.5"),
    row(
        code::RD_KAFKA_RESP_ERR_INCONSISTENT_GROUP_PROTOCOL,
        Fatal,
        "the group has members of another kind; stop them or change `application.id`",
    ),
    row(
        code::RD_KAFKA_RESP_ERR_OFFSET_METADATA_TOO_LARGE,
        Fatal,
        "the offsets' metadata is larger than the broker's `offset.metadata.max.bytes`",
    ),
    row(code::RD_KAFKA_RESP_ERR__BAD_MSG, Fatal, "a record is damaged in the log"),
    row(code::RD_KAFKA_RESP_ERR__BAD_COMPRESSION, Fatal, "a record's compression is damaged"),
];

fn find(error: ErrorCode) -> Option<&'static Row> {
    TABLE.iter().find(|row| error.is(row.code))
}

/// What the stream thread does about `error`.
pub(crate) fn kind_of(error: ErrorCode, during: During) -> Kind {
    let known = find(error).map_or(Fatal, |row| row.kind);
    match (during, known) {
        // Which of the requests under way arrived is not known: nothing may be repeated on this producer.
        (During::Producing, Retriable | TaskCorrupted) => TaskMigrated,
        (During::Producing, Fatal) if find(error).is_none() => TaskMigrated,
        // The record that names the topic is at fault, or its task.
        (During::Producing, Fatal) if is_of_record(error) => TaskFailed,
        // A changelog, or a source topic, may get its metadata a little later than its creation.
        (During::Asking | During::Restoring, _) if is_missing(error) => Retriable,
        (During::Asking | During::Committing, TaskCorrupted) => Fatal,
        (During::Reading, TaskCorrupted) => TaskMigrated,
        // Another producer that starts at the same time: take the next turn.
        (During::Initialising, TaskMigrated) => Retriable,
        (_, known) => known,
    }
}

/// Whether the broker takes other records, of other tasks.
fn is_of_record(error: ErrorCode) -> bool {
    is_missing(error)
        || is_of_batch(error)
        || error.is(code::RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION)
        || error.is(code::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED)
        || error.is(code::RD_KAFKA_RESP_ERR_POLICY_VIOLATION)
}

/// Whether one record, or all together, made the broker refuse a batch.
pub(crate) fn is_of_batch(error: ErrorCode) -> bool {
    error.is(code::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE)
        || error.is(code::RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE)
        || error.is(code::RD_KAFKA_RESP_ERR_INVALID_RECORD)
        || error.is(code::RD_KAFKA_RESP_ERR__INVALID_DIFFERENT_RECORD)
        || error.is(code::RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP)
}

fn is_missing(error: ErrorCode) -> bool {
    error.is(code::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART)
        || error.is(code::RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC)
        || error.is(code::RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION)
}

/// Makes the core's error of a foreign one; `doing` says what failed, as in `commit the transaction`.
pub(crate) fn classify(error: NativeError, during: During, doing: impl std::fmt::Display) -> Error {
    let hint = find(error.code).map_or("see the client's log lines above", |row| row.reason);
    let message = format!("can't {doing}: {error}; {hint}");
    Error::new(kind_of(error.code, during), message).caused_by(error)
}

/// The error of a client that does not even start, which no time heals.
pub(crate) fn refused(error: NativeError, doing: impl std::fmt::Display) -> Error {
    Error::fatal(format!("can't {doing}: {error}; check the manifest's `[kafka]` section")).caused_by(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table as text: a change of a kind shows in review.
    fn print() -> String {
        let mut text = String::new();
        for row in TABLE {
            let code = ErrorCode::from(row.code);
            let kinds = [During::Asking, During::Reading, During::Restoring, During::Initialising, During::Producing]
                .map(|during| format!("{:?}", kind_of(code, during)));
            text.push_str(&format!("{} {}\n", code.name(), kinds.join(" ")));
        }
        text
    }

    #[test]
    fn the_table_of_kinds_is_as_agreed() {
        let expected = include_str!("../tests/error_kinds.txt");
        let header_and_rows = expected.lines().filter(|line| !line.starts_with('#'));
        let rows: String = header_and_rows.map(|line| format!("{line}\n")).collect();
        let actual = print();
        assert_eq!(actual, rows, "the kinds changed; if that is meant, tests/error_kinds.txt becomes:\n{actual}");
    }

    #[test]
    fn no_code_is_classified_twice() {
        let mut codes: Vec<_> = TABLE.iter().map(|row| row.code as i32).collect();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), TABLE.len());
    }

    #[test]
    fn nothing_unclear_is_retried_while_producing() {
        for number in -200..200 {
            let code = ErrorCode(number);
            assert_ne!(kind_of(code, During::Producing), Retriable, "{code:?}");
        }
    }

    #[test]
    fn messages_name_what_failed_and_what_to_do() {
        let error = NativeError::from(code::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED);
        let error = classify(error, During::Producing, "send to out-0");
        assert_eq!(error.kind(), TaskFailed, "the other tasks need not use that topic");
        let text = error.to_string();
        assert!(text.starts_with("can't send to out-0: ") && text.ends_with("add an ACL"), "{text}");
    }
}
