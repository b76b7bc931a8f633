//! Queues, and the records that are taken from them in batches.

use std::ffi::c_void;
use std::ptr::{self, NonNull};
use std::sync::Arc;

use millstream_core::id::{Offset, Timestamp, TopicPartition};
use millstream_core::record::{Headers, Record, pack_header};
use rdkafka::bindings as c;

use super::client::Client;
use super::code::{ErrorCode, NativeError};
use super::text;
use super::wakeup::{self, Wakeup};

/// A queue of a client. Keeps the client alive, and the bell that it rings.
pub(crate) struct Queue {
    queue: NonNull<c::rd_kafka_queue_t>,
    bell: Option<Arc<Wakeup>>,
    client: Arc<Client>,
}

// SAFETY: librdkafka's queues may be used from any thread.
unsafe impl Send for Queue {}

impl Queue {
    /// Takes over a queue of `client`.
    pub(super) fn adopt(client: Arc<Client>, queue: *mut c::rd_kafka_queue_t) -> Self {
        Self { queue: NonNull::new(queue).expect("librdkafka allocates or aborts"), bell: None, client }
    }

    /// A new queue, for answers.
    pub(crate) fn new(client: &Arc<Client>) -> Self {
        // SAFETY: the client lives.
        let queue = unsafe { c::rd_kafka_queue_new(client.as_ptr()) };
        Self::adopt(Arc::clone(client), queue)
    }

    /// The queue of fetched records of one partition, cut off from the consumer's one queue: what is not taken here is not
    /// fetched for long. To be called before the partition is assigned.
    pub(crate) fn of_partition(client: &Arc<Client>, partition: &TopicPartition) -> Option<Self> {
        let topic = text::to_c(partition.topic.as_str());
        // SAFETY: the client lives; a queue that is not null is ours.
        unsafe {
            let queue = c::rd_kafka_queue_get_partition(client.as_ptr(), topic.as_ptr(), partition.partition);
            let queue = Self::adopt(Arc::clone(client), NonNull::new(queue)?.as_ptr());
            c::rd_kafka_queue_forward(queue.as_ptr(), ptr::null_mut());
            Some(queue)
        }
    }

    pub(super) fn as_ptr(&self) -> *mut c::rd_kafka_queue_t {
        self.queue.as_ptr()
    }

    /// Rings `bell` whenever the queue gets an entry while it is empty.
    pub(crate) fn ring(&mut self, bell: &Arc<Wakeup>) {
        let opaque = Arc::as_ptr(bell).cast_mut().cast::<c_void>();
        self.bell = Some(Arc::clone(bell));
        // SAFETY: the bell stays in `self.bell` until the callback is taken away in `drop`; both happen under the queue's lock.
        unsafe { c::rd_kafka_queue_cb_event_enable(self.as_ptr(), Some(wakeup::on_queue_event), opaque) };
    }

    /// Whether something waits in the queue.
    pub(crate) fn is_empty(&self) -> bool {
        // SAFETY: the queue lives.
        unsafe { c::rd_kafka_queue_length(self.as_ptr()) == 0 }
    }

    /// Takes up to `count_max` entries without blocking and shows each to `visit`, in order.
    pub(crate) fn take(&self, count_max: usize, buffer: &mut MessageBuffer, mut visit: impl FnMut(Taken<'_>)) {
        if count_max == 0 {
            return;
        }
        let MessageBuffer { messages, headers } = buffer;
        messages.clear();
        messages.reserve(count_max);
        // SAFETY: the queue lives; the array has room for `count_max` pointers, and as many as returned are written. Each
        // message is ours, is read while it lives, and is destroyed once.
        unsafe {
            let count = c::rd_kafka_consume_batch_queue(self.as_ptr(), 0, messages.as_mut_ptr(), count_max);
            messages.set_len(usize::try_from(count).unwrap_or(0));
            for message in messages.drain(..) {
                visit(read(message, headers));
                c::rd_kafka_message_destroy(message);
            }
        }
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        // SAFETY: owned; the callback is taken away before the bell can go.
        unsafe {
            if self.bell.is_some() {
                c::rd_kafka_queue_cb_event_enable(self.as_ptr(), None, ptr::null_mut());
            }
            c::rd_kafka_queue_destroy(self.as_ptr());
        }
        let _ = &self.client;
    }
}

/// Memory used again for each batch.
#[derive(Default)]
pub(crate) struct MessageBuffer {
    messages: Vec<*mut c::rd_kafka_message_t>,
    headers: Vec<u8>,
}

/// One entry of a partition's queue.
pub(crate) enum Taken<'a> {
    /// A record.
    Record(Offset, Record<'a>),
    /// Everything (stable) before this offset has been delivered.
    End(Offset),
    /// The partition can't be read on.
    Failed(NativeError),
}

/// # Safety
///
/// `message` points to a message that lives as long as the result. `scratch` takes the headers.
unsafe fn read<'a>(message: *mut c::rd_kafka_message_t, scratch: &'a mut Vec<u8>) -> Taken<'a> {
    // SAFETY: by the contract. The code is read as a number, because brokers may send codes that the bindings do not know;
    // payload and key have the lengths beside them, and are null exactly when the record has none.
    unsafe {
        let code = ErrorCode((&raw const (*message).err).cast::<i32>().read());
        if code.is_ok() {
            let timestamp = c::rd_kafka_message_timestamp(message, ptr::null_mut());
            let record = Record {
                key: bytes((*message).key, (*message).key_len),
                value: bytes((*message).payload, (*message).len),
                timestamp: timestamp as Timestamp,
                headers: read_headers(message, scratch),
            };
            Taken::Record(Offset((*message).offset), record)
        } else if code.is(c::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__PARTITION_EOF) {
            Taken::End(Offset((*message).offset))
        } else {
            let text = bytes((*message).payload, (*message).len);
            let text = text.map_or_else(|| code.text(), |text| String::from_utf8_lossy(text).into_owned());
            Taken::Failed(NativeError { code, text })
        }
    }
}

/// # Safety
///
/// `data` is null or points to `length` bytes that live long enough.
unsafe fn bytes<'a>(data: *const c_void, length: usize) -> Option<&'a [u8]> {
    // SAFETY: by the contract.
    (!data.is_null()).then(|| unsafe { std::slice::from_raw_parts(data.cast(), length) })
}

/// # Safety
///
/// `message` points to a message that lives.
unsafe fn read_headers(message: *const c::rd_kafka_message_t, packed: &mut Vec<u8>) -> Headers<'_> {
    // SAFETY: by the contract; the headers belong to the message and are copied.
    unsafe {
        if has_no_headers(message) {
            return Headers::EMPTY;
        }
        let mut headers = ptr::null_mut();
        if c::rd_kafka_message_headers(message, &raw mut headers) != OK {
            return Headers::EMPTY;
        }
        packed.clear();
        let (mut name, mut value, mut length) = (ptr::null(), ptr::null(), 0);
        let mut index = 0;
        while c::rd_kafka_header_get_all(headers, index, &raw mut name, &raw mut value, &raw mut length) == OK {
            pack_header(packed, std::ffi::CStr::from_ptr(name).to_bytes(), bytes(value, length));
            index += 1;
        }
        Headers::from_packed(packed)
    }
}

/// Whether a message is known to have no headers: librdkafka makes a buffer for each message to find that out, which was a tenth of a pass-through
/// (bench/LOG.md). False says nothing.
///
/// # Safety
///
/// `message` points to a message that lives.
unsafe fn has_no_headers(message: *const c::rd_kafka_message_t) -> bool {
    // SAFETY: by the contract. A message with a leader's epoch came in a batch of format 2, where a value is followed by the count of headers
    // (KIP-98), in the same buffer, which lives as long as the message. Only empty values don't lie there.
    unsafe {
        let (value, length) = ((*message).payload.cast::<u8>(), (*message).len);
        let is_format_2 = c::rd_kafka_message_leader_epoch(message) >= 0;
        is_format_2 && length > 0 && *value.add(length) == 0
    }
}

const OK: c::rd_kafka_resp_err_t = c::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR;

/// A partition that is read without a group: it starts and stops on its own.
pub(crate) struct LegacyPartition {
    topic: NonNull<c::rd_kafka_topic_t>,
    partition: i32,
    queue: Queue,
}

impl LegacyPartition {
    /// Starts to fetch `partition` from `offset`.
    pub(crate) fn start(
        client: &Arc<Client>,
        partition: &TopicPartition,
        offset: Offset,
        bell: &Arc<Wakeup>,
    ) -> Result<Self, NativeError> {
        let mut queue = Queue::new(client);
        queue.ring(bell);
        let name = text::to_c(partition.topic.as_str());
        // SAFETY: client and queue live; the topic is ours and is destroyed in `drop`.
        unsafe {
            let topic = c::rd_kafka_topic_new(client.as_ptr(), name.as_ptr(), ptr::null_mut());
            let topic = NonNull::new(topic).ok_or_else(|| NativeError::from(c::rd_kafka_last_error()))?;
            let started =
                c::rd_kafka_consume_start_queue(topic.as_ptr(), partition.partition, offset.0, queue.as_ptr());
            if started != 0 {
                let error = NativeError::from(c::rd_kafka_last_error());
                c::rd_kafka_topic_destroy(topic.as_ptr());
                return Err(error);
            }
            Ok(Self { topic, partition: partition.partition, queue })
        }
    }

    /// Where its records arrive.
    pub(crate) fn queue(&self) -> &Queue {
        &self.queue
    }
}

impl Drop for LegacyPartition {
    fn drop(&mut self) {
        // SAFETY: topic and queue live; stopping waits for the fetcher, after which nothing refers to the queue.
        unsafe {
            c::rd_kafka_consume_stop(self.topic.as_ptr(), self.partition);
            c::rd_kafka_topic_destroy(self.topic.as_ptr());
        }
    }
}
