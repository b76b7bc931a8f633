//! Requests to the cluster's administration, and their answers.

use std::ffi::c_char;
use std::sync::Arc;
use std::time::Duration;

use millstream_core::id::{Offset, TopicPartition};
use rdkafka::bindings as c;

use super::client::Client;
use super::code::{ErrorCode, NativeError};
use super::event::Event;
use super::list::{self, Entry, PartitionList};
use super::queue::Queue;
use super::{milliseconds, text};

/// A topic to be created.
pub(crate) struct NewTopic<'a> {
    pub(crate) name: &'a str,
    pub(crate) partitions: i32,
    /// The replication factor; -1 is the broker's default.
    pub(crate) replication: i32,
    pub(crate) configs: &'a [(String, String)],
}

/// What the cluster knows of a topic.
pub(crate) struct TopicDescription {
    pub(crate) name: String,
    pub(crate) partitions: i32,
    pub(crate) code: ErrorCode,
}

/// The outcome for one topic: its name, and what went wrong.
pub(crate) type TopicOutcome = (String, Result<(), NativeError>);

/// A request that was sent, and the queue of its one answer.
pub(crate) struct AdminRequest {
    answers: Queue,
}

/// Options of one request; freed after it was started.
struct Options(*mut c::rd_kafka_AdminOptions_t);

impl Options {
    fn new(client: &Client, operation: c::rd_kafka_admin_op_t, timeout: Duration) -> Self {
        let mut reason = text::Reason::new();
        // SAFETY: the client lives; the options are ours until dropped; the reason has the room that is told.
        unsafe {
            let options = c::rd_kafka_AdminOptions_new(client.as_ptr(), operation);
            let timeout = milliseconds(timeout);
            c::rd_kafka_AdminOptions_set_request_timeout(options, timeout, reason.as_mut_ptr(), reason.len());
            Self(options)
        }
    }
}

impl Drop for Options {
    fn drop(&mut self) {
        // SAFETY: owned, and not used afterwards.
        unsafe { c::rd_kafka_AdminOptions_destroy(self.0) };
    }
}

use c::rd_kafka_admin_op_t as Operation;

impl AdminRequest {
    /// Asks for topics by name.
    pub(crate) fn describe_topics(client: &Arc<Client>, names: &[&str], timeout: Duration) -> Self {
        let options = Options::new(client, Operation::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS, timeout);
        let answers = Queue::new(client);
        let names: Vec<_> = names.iter().map(|name| text::to_c(name)).collect();
        let mut pointers: Vec<*const c_char> = names.iter().map(|name| name.as_ptr()).collect();
        // SAFETY: everything lives during the calls and is copied; the collection is ours.
        unsafe {
            let topics = c::rd_kafka_TopicCollection_of_topic_names(pointers.as_mut_ptr(), pointers.len());
            c::rd_kafka_DescribeTopics(client.as_ptr(), topics, options.0, answers.as_ptr());
            c::rd_kafka_TopicCollection_destroy(topics);
        }
        Self { answers }
    }

    /// Creates topics.
    pub(crate) fn create_topics(client: &Arc<Client>, topics: &[NewTopic<'_>], timeout: Duration) -> Self {
        let options = Options::new(client, Operation::RD_KAFKA_ADMIN_OP_CREATETOPICS, timeout);
        let answers = Queue::new(client);
        let mut reason = text::Reason::new();
        let mut pointers = Vec::with_capacity(topics.len());
        for topic in topics {
            let name = text::to_c(topic.name);
            // SAFETY: the texts are copied; a topic that is not null is ours.
            unsafe {
                let created = c::rd_kafka_NewTopic_new(
                    name.as_ptr(),
                    topic.partitions,
                    topic.replication,
                    reason.as_mut_ptr(),
                    reason.len(),
                );
                if created.is_null() {
                    continue;
                }
                for (key, value) in topic.configs {
                    let (key, value) = (text::to_c(key), text::to_c(value));
                    c::rd_kafka_NewTopic_set_config(created, key.as_ptr(), value.as_ptr());
                }
                pointers.push(created);
            }
        }
        // SAFETY: everything lives during the call and is copied; the topics are ours and destroyed once.
        unsafe {
            c::rd_kafka_CreateTopics(
                client.as_ptr(),
                pointers.as_mut_ptr(),
                pointers.len(),
                options.0,
                answers.as_ptr(),
            );
            pointers.iter().for_each(|topic| c::rd_kafka_NewTopic_destroy(*topic));
        }
        Self { answers }
    }

    /// Deletes the records before the offsets of `list`.
    pub(crate) fn delete_records(client: &Arc<Client>, before: &PartitionList, timeout: Duration) -> Self {
        let options = Options::new(client, Operation::RD_KAFKA_ADMIN_OP_DELETERECORDS, timeout);
        let answers = Queue::new(client);
        // SAFETY: everything lives during the calls and is copied; the request is ours and destroyed once.
        unsafe {
            let mut request = c::rd_kafka_DeleteRecords_new(before.as_ptr());
            c::rd_kafka_DeleteRecords(client.as_ptr(), &raw mut request, 1, options.0, answers.as_ptr());
            c::rd_kafka_DeleteRecords_destroy(request);
        }
        Self { answers }
    }

    /// Asks for the first or the last offset of partitions; `read_committed` makes the last one the last stable one.
    pub(crate) fn list_offsets<'a>(
        client: &Arc<Client>,
        partitions: impl IntoIterator<Item = &'a TopicPartition>,
        first: bool,
        read_committed: bool,
        timeout: Duration,
    ) -> Self {
        let options = Options::new(client, Operation::RD_KAFKA_ADMIN_OP_LISTOFFSETS, timeout);
        let answers = Queue::new(client);
        let spec = if first {
            c::rd_kafka_OffsetSpec_t::RD_KAFKA_OFFSET_SPEC_EARLIEST
        } else {
            c::rd_kafka_OffsetSpec_t::RD_KAFKA_OFFSET_SPEC_LATEST
        };
        let isolation = if read_committed {
            c::rd_kafka_IsolationLevel_t::RD_KAFKA_ISOLATION_LEVEL_READ_COMMITTED
        } else {
            c::rd_kafka_IsolationLevel_t::RD_KAFKA_ISOLATION_LEVEL_READ_UNCOMMITTED
        };
        let mut list = PartitionList::with_capacity(8);
        for partition in partitions {
            list.push(partition, Some(Offset(spec as i64)), "");
        }
        // SAFETY: everything lives during the calls and is copied. The one error possible, an option that the operation does
        // not have, is freed.
        unsafe {
            let refused = c::rd_kafka_AdminOptions_set_isolation_level(options.0, isolation);
            if !refused.is_null() {
                c::rd_kafka_error_destroy(refused);
            }
            c::rd_kafka_ListOffsets(client.as_ptr(), list.as_ptr(), options.0, answers.as_ptr());
        }
        Self { answers }
    }

    /// The offsets asked for by [`Self::list_offsets`].
    pub(crate) fn offsets(&self, timeout: Duration) -> Result<Vec<Entry>, NativeError> {
        Ok(self.answer_in(timeout)?.offsets())
    }

    /// The answer to a request with this `timeout`.
    pub(crate) fn answer_in(&self, timeout: Duration) -> Result<AdminAnswer, NativeError> {
        // The request itself ends in time; the little more lets its own error arrive.
        self.answer(timeout + Duration::from_millis(500)).unwrap_or_else(|| Err(NativeError::timed_out()))
    }

    /// The answer, if it comes within `timeout`; an answer that is an error as a whole becomes one.
    pub(crate) fn answer(&self, timeout: Duration) -> Option<Result<AdminAnswer, NativeError>> {
        let event = Client::poll(&self.answers, timeout)?;
        let error = event.error();
        Some(if error.code.is_ok() { Ok(AdminAnswer(event)) } else { Err(error) })
    }
}

/// An answer. Asked for what it does not hold, it is empty.
pub(crate) struct AdminAnswer(Event);

impl AdminAnswer {
    /// The topics described.
    pub(crate) fn topics(&self) -> Vec<TopicDescription> {
        let mut count = 0;
        // SAFETY: the result belongs to the event, which lives; a null result is another kind of event; texts are copied.
        unsafe {
            let result = c::rd_kafka_event_DescribeTopics_result(self.0.as_ptr());
            if result.is_null() {
                return Vec::new();
            }
            let topics = c::rd_kafka_DescribeTopics_result_topics(result, &raw mut count);
            (0..count)
                .map(|index| {
                    let topic = *topics.add(index);
                    let mut partitions = 0;
                    c::rd_kafka_TopicDescription_partitions(topic, &raw mut partitions);
                    TopicDescription {
                        name: text::copy(c::rd_kafka_TopicDescription_name(topic)),
                        partitions: i32::try_from(partitions).unwrap_or(i32::MAX),
                        code: c::rd_kafka_error_code(c::rd_kafka_TopicDescription_error(topic)).into(),
                    }
                })
                .collect()
        }
    }

    /// The outcome for each topic to be created.
    pub(crate) fn created(&self) -> Vec<TopicOutcome> {
        let mut count = 0;
        // SAFETY: as above.
        unsafe {
            let result = c::rd_kafka_event_CreateTopics_result(self.0.as_ptr());
            if result.is_null() {
                return Vec::new();
            }
            let topics = c::rd_kafka_CreateTopics_result_topics(result, &raw mut count);
            (0..count)
                .map(|index| {
                    let topic = *topics.add(index);
                    let code = ErrorCode::from(c::rd_kafka_topic_result_error(topic));
                    let text = text::copy(c::rd_kafka_topic_result_error_string(topic));
                    let outcome = if code.is_ok() { Ok(()) } else { Err(NativeError { code, text }) };
                    (text::copy(c::rd_kafka_topic_result_name(topic)), outcome)
                })
                .collect()
        }
    }

    /// The partitions whose records were to be deleted.
    pub(crate) fn deleted(&self) -> Vec<Entry> {
        // SAFETY: as above; the list is copied.
        unsafe {
            let result = c::rd_kafka_event_DeleteRecords_result(self.0.as_ptr());
            if result.is_null() {
                return Vec::new();
            }
            list::copy_entries(c::rd_kafka_DeleteRecords_result_offsets(result))
        }
    }

    fn offsets(&self) -> Vec<Entry> {
        let mut count = 0;
        // SAFETY: as above; the entries are copied.
        unsafe {
            let result = c::rd_kafka_event_ListOffsets_result(self.0.as_ptr());
            if result.is_null() {
                return Vec::new();
            }
            let infos = c::rd_kafka_ListOffsets_result_infos(result, &raw mut count);
            let entry = |index| list::copy_entry(c::rd_kafka_ListOffsetsResultInfo_topic_partition(*infos.add(index)));
            (0..count).map(entry).collect()
        }
    }
}
