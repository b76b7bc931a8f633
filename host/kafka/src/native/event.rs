//! Events: rebalances, errors, answers to admin requests.

use std::ptr::NonNull;

use rdkafka::bindings as c;

use super::code::{ErrorCode, NativeError};
use super::list::{self, Entry};
use super::text;

/// An owned event.
pub(crate) struct Event(NonNull<c::rd_kafka_event_t>);

impl Event {
    /// # Safety
    ///
    /// `event` is null or an event that the caller owns.
    pub(super) unsafe fn from_raw(event: *mut c::rd_kafka_event_t) -> Option<Self> {
        NonNull::new(event).map(Self)
    }

    pub(super) fn as_ptr(&self) -> *mut c::rd_kafka_event_t {
        self.0.as_ptr()
    }

    /// Whether it is a rebalance; then [`Self::error`] tells which one, and [`Self::partitions`] of what.
    pub(crate) fn is_rebalance(&self) -> bool {
        self.kind() == c::RD_KAFKA_EVENT_REBALANCE
    }

    /// Whether it reports an error of the client.
    pub(crate) fn is_error(&self) -> bool {
        self.kind() == c::RD_KAFKA_EVENT_ERROR
    }

    /// Shows each failed delivery that the event reports.
    pub(super) fn for_each_failed_delivery(&self, mut visit: impl FnMut(*const c::rd_kafka_message_t)) {
        if self.kind() != c::RD_KAFKA_EVENT_DR {
            return;
        }
        // SAFETY: the event is owned; messages belong to it and are read before it is dropped.
        unsafe {
            let mut message = c::rd_kafka_event_message_next(self.0.as_ptr());
            while !message.is_null() {
                visit(message);
                message = c::rd_kafka_event_message_next(self.0.as_ptr());
            }
        }
    }

    fn kind(&self) -> i32 {
        // SAFETY: the event is owned.
        unsafe { c::rd_kafka_event_type(self.0.as_ptr()) }
    }

    /// The event's error; its code is [`ErrorCode::OK`] when there is none.
    pub(crate) fn error(&self) -> NativeError {
        // SAFETY: the event is owned; its text lives as long as it and is copied.
        unsafe {
            let code = ErrorCode::from(c::rd_kafka_event_error(self.0.as_ptr()));
            NativeError { code, text: text::copy(c::rd_kafka_event_error_string(self.0.as_ptr())) }
        }
    }

    /// The partitions of a rebalance or an offset commit.
    pub(crate) fn partitions(&self) -> Vec<Entry> {
        // SAFETY: the list belongs to the event, which is owned; the entries are copied.
        unsafe {
            let list = c::rd_kafka_event_topic_partition_list(self.0.as_ptr());
            if list.is_null() { Vec::new() } else { list::copy_entries(list) }
        }
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        // SAFETY: owned, and not used afterwards.
        unsafe { c::rd_kafka_event_destroy(self.0.as_ptr()) }
    }
}
