//! A client of the cluster: the handle that everything else hangs on.

use std::collections::BTreeMap;
use std::ffi::{c_char, c_int};
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::time::Duration;

use millstream_core::id::{Offset, TopicPartition};
use millstream_core::port::GroupMetadata;
use rdkafka::bindings as c;

use super::code::{ErrorCode, NativeError, take_error};
use super::event::Event;
use super::list::PartitionList;
use super::queue::Queue;
use super::{milliseconds, text};

/// What a client is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Consumer,
    /// Reading without a group. Its troubles go to the log.
    Restoring,
    /// Anything but consuming: a librdkafka producer is the lighter handle.
    Admin,
}

const EVENTS_OF_CONSUMER: i32 = c::RD_KAFKA_EVENT_ERROR | c::RD_KAFKA_EVENT_REBALANCE | c::RD_KAFKA_EVENT_OFFSET_COMMIT;

/// A client, shared by the objects made from it: queues and topics keep it alive.
pub(crate) struct Client(NonNull<c::rd_kafka_t>);

// SAFETY: librdkafka's handles may be used from any thread, several at a time (its INTRODUCTION.md, "Threads and callbacks").
unsafe impl Send for Client {}
// SAFETY: as above.
unsafe impl Sync for Client {}

impl Client {
    /// Starts a client; it connects in the background.
    pub(crate) fn start(role: Role, properties: &BTreeMap<String, String>) -> Result<Arc<Self>, NativeError> {
        let conf = Conf::new(properties)?;
        let kind = match role {
            Role::Consumer | Role::Restoring => c::rd_kafka_type_t::RD_KAFKA_CONSUMER,
            Role::Admin => c::rd_kafka_type_t::RD_KAFKA_PRODUCER,
        };
        let events = match role {
            Role::Consumer => EVENTS_OF_CONSUMER,
            Role::Restoring => c::RD_KAFKA_EVENT_NONE,
            Role::Admin => c::RD_KAFKA_EVENT_ERROR,
        };
        // SAFETY: the configuration is owned.
        unsafe { c::rd_kafka_conf_set_events(conf.0.as_ptr(), events) };
        Ok(Arc::new(Self(conf.into_handle(kind)?)))
    }

    pub(super) fn as_ptr(&self) -> *mut c::rd_kafka_t {
        self.0.as_ptr()
    }

    /// The queue of all client-wide events: errors and, of a consumer, rebalances.
    pub(crate) fn events(self: &Arc<Self>, role: Role) -> Queue {
        // SAFETY: the handle lives. The consumer queue exists when there is a group, and then takes the main queue's events too.
        let queue = unsafe {
            if role == Role::Consumer && c::rd_kafka_poll_set_consumer(self.as_ptr()) == OK {
                c::rd_kafka_queue_get_consumer(self.as_ptr())
            } else {
                c::rd_kafka_queue_get_main(self.as_ptr())
            }
        };
        Queue::adopt(Arc::clone(self), queue)
    }

    /// Subscribes to topics as a member of the group.
    pub(crate) fn subscribe(&self, topics: &[String]) -> Result<(), NativeError> {
        let list = PartitionList::of_topics(topics.iter().map(String::as_str));
        // SAFETY: handle and list live; the list is copied.
        ErrorCode::from(unsafe { c::rd_kafka_subscribe(self.as_ptr(), list.as_ptr()) }).check()
    }

    /// Ends the subscription. Unlike closing, this makes also a static member leave once it has given up its partitions.
    pub(crate) fn unsubscribe(&self) {
        // SAFETY: the handle lives.
        unsafe { c::rd_kafka_unsubscribe(self.as_ptr()) };
    }

    /// Closes the consumer: waits, for some seconds at most, until the coordinator knows that a member has left.
    pub(crate) fn close_consumer(&self) {
        // SAFETY: the handle lives.
        unsafe { c::rd_kafka_consumer_close(self.as_ptr()) };
    }

    /// Replaces the assignment; `None` gives up all partitions.
    pub(crate) fn assign(&self, partitions: Option<&PartitionList>) -> Result<(), NativeError> {
        let list = partitions.map_or(ptr::null_mut(), PartitionList::as_ptr);
        // SAFETY: handle and list live; the list is copied.
        ErrorCode::from(unsafe { c::rd_kafka_assign(self.as_ptr(), list) }).check()
    }

    /// Whether the partitions of the last revocation belong to others already.
    pub(crate) fn is_assignment_lost(&self) -> bool {
        // SAFETY: the handle lives.
        unsafe { c::rd_kafka_assignment_lost(self.as_ptr()) != 0 }
    }

    /// The member as librdkafka knows it now; its id is empty when it is none.
    pub(crate) fn group_metadata(&self) -> Option<GroupMetadata> {
        // SAFETY: the handle lives; the metadata is owned by us until destroyed, its texts are copied before.
        unsafe {
            let metadata = c::rd_kafka_consumer_group_metadata(self.as_ptr());
            if metadata.is_null() {
                return None;
            }
            let instance = c::rd_kafka_consumer_group_metadata_group_instance_id(metadata);
            let copied = GroupMetadata {
                group_id: text::copy(c::rd_kafka_consumer_group_metadata_group_id(metadata)),
                generation: c::rd_kafka_consumer_group_metadata_generation_id(metadata),
                member_id: text::copy(c::rd_kafka_consumer_group_metadata_member_id(metadata)),
                group_instance_id: (!instance.is_null()).then(|| text::copy(instance)),
            };
            c::rd_kafka_consumer_group_metadata_destroy(metadata);
            Some(copied)
        }
    }

    /// Continues partitions elsewhere; blocks until the fetcher knows.
    pub(crate) fn seek(&self, list: &PartitionList, timeout: Duration) -> Result<(), NativeError> {
        // SAFETY: handle and list live; each entry's outcome is written into the list.
        unsafe { take_error(c::rd_kafka_seek_partitions(self.as_ptr(), list.as_ptr(), milliseconds(timeout))) }?;
        list.entries().iter().try_for_each(|entry| entry.code.check())
    }

    /// The offset after the last record or control record that was taken from `partition`.
    pub(crate) fn position(&self, partition: &TopicPartition) -> Option<Offset> {
        let list = PartitionList::of([partition]);
        // SAFETY: handle and list live.
        let code = unsafe { c::rd_kafka_position(self.as_ptr(), list.as_ptr()) };
        ErrorCode::from(code).check().ok()?;
        list.entries().first().and_then(|entry| entry.offset)
    }

    /// The high watermark told by the last fetch of `partition`. It says nothing before there was one.
    pub(crate) fn last_high_watermark(&self, partition: &TopicPartition) -> Option<Offset> {
        let topic = text::to_c(partition.topic.as_str());
        let (mut low, mut high) = (-1, -1);
        // SAFETY: the handle lives; both numbers are written before the call returns.
        let code = unsafe {
            c::rd_kafka_get_watermark_offsets(
                self.as_ptr(),
                topic.as_ptr(),
                partition.partition,
                &raw mut low,
                &raw mut high,
            )
        };
        (ErrorCode::from(code).is_ok() && high >= 0).then_some(Offset(high))
    }

    /// Why the client can't be used any more, if so.
    pub(crate) fn fatal_error(&self) -> Option<NativeError> {
        fatal_error(self.0)
    }

    /// Reads the group's committed offsets into `list`.
    pub(crate) fn committed(&self, list: &PartitionList, timeout: Duration) -> Result<(), NativeError> {
        // SAFETY: handle and list live.
        ErrorCode::from(unsafe { c::rd_kafka_committed(self.as_ptr(), list.as_ptr(), milliseconds(timeout)) }).check()
    }

    /// Starts to commit offsets; the outcome is an event in `answers`.
    pub(crate) fn start_commit(&self, list: &PartitionList, answers: &Queue) -> Result<(), NativeError> {
        // SAFETY: handle, list and queue live; the list is copied; without a callback the opaque is not used.
        let code =
            unsafe { c::rd_kafka_commit_queue(self.as_ptr(), list.as_ptr(), answers.as_ptr(), None, ptr::null_mut()) };
        ErrorCode::from(code).check()
    }

    /// Asks the cluster for its topics (all, or those that this client uses) and returns their names; the client then knows
    /// their leaders.
    pub(crate) fn refresh_metadata(&self, all_topics: bool, timeout: Duration) -> Result<Vec<String>, NativeError> {
        // SAFETY: no topic is given.
        unsafe { ask_metadata(self.0, all_topics, ptr::null_mut(), timeout) }
    }

    /// Asks the cluster for one topic, whether this client uses it or not; the client then knows its leaders.
    pub(crate) fn refresh_topic(&self, topic: &str, timeout: Duration) -> Result<(), NativeError> {
        let name = text::to_c(topic);
        // SAFETY: the handle lives; the topic is ours until destroyed.
        unsafe {
            let topic = c::rd_kafka_topic_new(self.as_ptr(), name.as_ptr(), ptr::null_mut());
            let topic = NonNull::new(topic).ok_or_else(|| NativeError::from(c::rd_kafka_last_error()))?;
            let answered = ask_metadata(self.0, false, topic.as_ptr(), timeout);
            c::rd_kafka_topic_destroy(topic.as_ptr());
            answered.map(drop)
        }
    }

    /// Asks for a partition's leader after a question to it has failed: the client remembers leaders for a quarter of an hour, also those
    /// that were replaced.
    pub(crate) fn refresh_leader(&self, partition: &TopicPartition, timeout: Duration) {
        if let Err(error) = self.refresh_topic(partition.topic.as_str(), timeout) {
            tracing::debug!(%error, %partition, "the leader is not known yet");
        }
    }

    /// Waits up to `timeout` for an event of `queue`.
    pub(crate) fn poll(queue: &Queue, timeout: Duration) -> Option<Event> {
        // SAFETY: the queue lives; the event is ours.
        unsafe { Event::from_raw(c::rd_kafka_queue_poll(queue.as_ptr(), milliseconds(timeout))) }
    }
}

const OK: c::rd_kafka_resp_err_t = c::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR;

impl Drop for Client {
    fn drop(&mut self) {
        // Without closing the consumer: a member leaves when it is told to, never because its process ends.
        // SAFETY: owned; every queue and topic holds the `Arc` of this client, so they are gone.
        unsafe { c::rd_kafka_destroy_flags(self.as_ptr(), c::RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE) };
    }
}

/// Asks the cluster for its topics (all, or those that the client uses, or one), and returns their names.
///
/// # Safety
///
/// `topic` is null, or a topic of the client that lives.
pub(super) unsafe fn ask_metadata(
    handle: NonNull<c::rd_kafka_t>,
    all_topics: bool,
    topic: *mut c::rd_kafka_topic_t,
    timeout: Duration,
) -> Result<Vec<String>, NativeError> {
    let mut metadata: *const c::rd_kafka_metadata = ptr::null();
    // SAFETY: the handle lives; on success the metadata is ours until destroyed, and its texts are copied before.
    unsafe {
        let all_topics = c_int::from(all_topics);
        let timeout = milliseconds(timeout);
        let code = c::rd_kafka_metadata(handle.as_ptr(), all_topics, topic, &raw mut metadata, timeout);
        ErrorCode::from(code).check()?;
        let count = usize::try_from((*metadata).topic_cnt).unwrap_or(0);
        let names = (0..count).map(|index| text::copy((*(*metadata).topics.add(index)).topic)).collect();
        c::rd_kafka_metadata_destroy(metadata);
        Ok(names)
    }
}

/// Why a client can't be used any more, if so.
pub(super) fn fatal_error(handle: NonNull<c::rd_kafka_t>) -> Option<NativeError> {
    let mut reason = text::Reason::new();
    // SAFETY: the handle lives and the reason has the room that is told.
    let code = unsafe { c::rd_kafka_fatal_error(handle.as_ptr(), reason.as_mut_ptr(), reason.len()) };
    let code = ErrorCode::from(code);
    (!code.is_ok()).then(|| NativeError { code, text: reason.into_text() })
}

/// An owned configuration.
pub(super) struct Conf(pub(super) NonNull<c::rd_kafka_conf_t>);

impl Conf {
    pub(super) fn new(properties: &BTreeMap<String, String>) -> Result<Self, NativeError> {
        // SAFETY: takes nothing; librdkafka aborts when memory ends.
        let conf = unsafe { c::rd_kafka_conf_new() };
        let conf = Self(NonNull::new(conf).expect("librdkafka allocates or aborts"));
        // SAFETY: the configuration is owned, and the callback may be called from any thread.
        unsafe { c::rd_kafka_conf_set_log_cb(conf.0.as_ptr(), Some(on_log)) };
        for (key, value) in properties {
            conf.set(key, value)?;
        }
        Ok(conf)
    }

    fn set(&self, key: &str, value: &str) -> Result<(), NativeError> {
        let (key, value) = (text::to_c(key), text::to_c(value));
        let mut reason = text::Reason::new();
        // SAFETY: the configuration is owned, the texts are copied, the reason has the room that is told.
        let outcome = unsafe {
            c::rd_kafka_conf_set(self.0.as_ptr(), key.as_ptr(), value.as_ptr(), reason.as_mut_ptr(), reason.len())
        };
        if outcome == c::rd_kafka_conf_res_t::RD_KAFKA_CONF_OK {
            return Ok(());
        }
        let code = c::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__INVALID_ARG.into();
        Err(NativeError { code, text: reason.into_text() })
    }

    /// Makes a client of it.
    pub(super) fn into_handle(self, kind: c::rd_kafka_type_t) -> Result<NonNull<c::rd_kafka_t>, NativeError> {
        let mut reason = text::Reason::new();
        // SAFETY: the configuration is owned; on success the new handle owns it, so it must not be dropped.
        let handle = unsafe { c::rd_kafka_new(kind, self.0.as_ptr(), reason.as_mut_ptr(), reason.len()) };
        match NonNull::new(handle) {
            Some(handle) => {
                std::mem::forget(self);
                Ok(handle)
            }
            None => {
                let code = c::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__INVALID_ARG.into();
                Err(NativeError { code, text: reason.into_text() })
            }
        }
    }
}

impl Drop for Conf {
    fn drop(&mut self) {
        // SAFETY: owned, and not used afterwards.
        unsafe { c::rd_kafka_conf_destroy(self.0.as_ptr()) };
    }
}

/// What librdkafka says of one property, without starting anything.
pub(crate) fn check_property(key: &str, value: &str) -> Result<(), NativeError> {
    Conf::new(&BTreeMap::new())?.set(key, value)
}

unsafe extern "C" fn on_log(
    handle: *const c::rd_kafka_t,
    level: c_int,
    facility: *const c_char,
    message: *const c_char,
) {
    // SAFETY: librdkafka gives texts that live during the call. The handle is null while it is being made.
    let (client, facility, message) = unsafe {
        let client = if handle.is_null() { String::new() } else { text::copy(c::rd_kafka_name(handle)) };
        (client, text::copy(facility), text::copy(message))
    };
    crate::log::client_line(level, &client, &facility, &message);
}
