//! The safe skin over librdkafka's C interface, and the only unsafe code of this crate.
//!
//! Each file wraps one C object and frees it on drop. Nothing in here knows tasks, transactions' meaning or error kinds.

mod admin;
mod client;
mod code;
mod event;
mod list;
mod producer;
mod queue;
mod text;
mod wakeup;

pub(crate) use admin::{AdminRequest, NewTopic};
pub(crate) use client::{Client, Role, check_property};
pub(crate) use code::{ErrorCode, NativeError};
pub(crate) use code::{is_assign_code, is_fatal_code, is_topic_exists_code, is_unknown_topic_code};
pub(crate) use event::Event;
pub(crate) use list::{Entry, PartitionList};
pub(crate) use producer::{DeliveryFailure, ProducerClient, Queued, Topic};
pub(crate) use queue::{LegacyPartition, MessageBuffer, Queue, Taken};
pub(crate) use wakeup::Wakeup;

/// Milliseconds for the C interface; a duration that is too long is cut.
pub(crate) fn milliseconds(duration: std::time::Duration) -> i32 {
    i32::try_from(duration.as_millis()).unwrap_or(i32::MAX)
}
