//! A producing client: it owns its delivery reports, so it stays on the thread that made it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::c_void;
use std::ptr::{self, NonNull};
use std::time::Duration;

use millstream_core::id::{Offset, TaskId, TopicName, TopicPartition};
use millstream_core::port::{CommittedOffset, GroupMetadata, ProducerRecord};
use rdkafka::bindings as c;

use super::client::{Conf, ask_metadata, fatal_error};
use super::code::{ErrorCode, NativeError, take_error};
use super::event::Event;
use super::list::PartitionList;
use super::{milliseconds, text};

/// A record that could not be delivered.
#[derive(Clone, Debug)]
pub(crate) struct DeliveryFailure {
    pub(crate) partition: TopicPartition,
    /// The task that sent it.
    pub(crate) sender: Option<TaskId>,
    pub(crate) error: NativeError,
}

/// What became of a record given to [`ProducerClient::produce`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Queued {
    /// It is on its way.
    Yes,
    /// There is no room now.
    Full,
}

/// What delivery reports have told. The callback runs inside calls of [`ProducerClient`] only, on their thread.
#[derive(Default)]
struct Reports {
    failure: Option<DeliveryFailure>,
    /// For each tracked topic the last acknowledged offset of each partition.
    tracked: Vec<Vec<Option<Offset>>>,
}

/// A topic to produce to. Valid as long as the client that made it, which frees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Topic {
    handle: NonNull<c::rd_kafka_topic_t>,
    /// The topic's place in [`Reports::tracked`]; `None` when nobody asks for its offsets.
    tracked: Option<u16>,
}

/// What librdkafka carries with a record and gives back with its report: where to note its offset, and who sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mark {
    tracked: Option<u16>,
    sender: Option<TaskId>,
}

impl Mark {
    /// From the top: the task's partition in 32 bits, one more than its sub-topology in 16, one more than the topic's place in 16; 0 is
    /// nothing.
    fn to_opaque(self) -> *mut c_void {
        let sender = self.sender.map_or(0, |task| {
            let partition = u64::from(task.partition.cast_unsigned());
            partition << 16 | u64::from(task.sub_topology.0 as u16 + 1)
        });
        let tracked = self.tracked.map_or(0, |place| place + 1);
        ptr::without_provenance_mut((sender << 16 | u64::from(tracked)) as usize)
    }

    fn from_opaque(opaque: *mut c_void) -> Self {
        let bits = opaque.addr() as u64;
        let sub_topology = (bits >> 16) as u16;
        let sender = sub_topology.checked_sub(1);
        Self {
            tracked: (bits as u16).checked_sub(1),
            sender: sender.map(|number| TaskId::new(number.into(), ((bits >> 32) as u32).cast_signed())),
        }
    }
}

/// A producer. Not shared between threads: the raw pointers make it so.
pub(crate) struct ProducerClient {
    handle: NonNull<c::rd_kafka_t>,
    topics: Vec<(TopicName, Topic)>,
    tracked: Vec<TopicName>,
    /// Where failed deliveries arrive, when only they are reported. Otherwise the callback takes all reports.
    ///
    /// The two ways differ in `rd_kafka_flush`: with a callback it serves reports and looks every 10 ms whether it is done, so
    /// that without reports it would sleep; with events it wakes at the last acknowledgement, but does not serve reports.
    failures: Option<NonNull<c::rd_kafka_queue_t>>,
    /// Pointed to by librdkafka, hence boxed and freed last.
    reports: Box<RefCell<Reports>>,
}

impl ProducerClient {
    /// Starts a producer. Only of `tracked` topics are the acknowledged offsets remembered; without any, delivery reports
    /// come for failures only, which is cheaper.
    pub(crate) fn start(properties: &BTreeMap<String, String>, tracked: Vec<TopicName>) -> Result<Self, NativeError> {
        let mut properties = properties.clone();
        properties.insert("delivery.report.only.error".to_owned(), tracked.is_empty().to_string());
        let reports = Reports { failure: None, tracked: vec![Vec::new(); tracked.len()] };
        let reports = Box::new(RefCell::new(reports));
        let conf = Conf::new(&properties)?;
        let opaque = ptr::from_ref::<RefCell<Reports>>(&reports).cast_mut().cast::<c_void>();
        // SAFETY: the configuration is owned. The opaque lives in a box that the client frees after the handle.
        unsafe {
            c::rd_kafka_conf_set_opaque(conf.0.as_ptr(), opaque);
            if tracked.is_empty() {
                c::rd_kafka_conf_set_events(conf.0.as_ptr(), c::RD_KAFKA_EVENT_DR);
            } else {
                c::rd_kafka_conf_set_dr_msg_cb(conf.0.as_ptr(), Some(on_delivery));
            }
        }
        let handle = conf.into_handle(c::rd_kafka_type_t::RD_KAFKA_PRODUCER)?;
        // SAFETY: the handle lives; the queue is ours until `drop`.
        let main_queue = || NonNull::new(unsafe { c::rd_kafka_queue_get_main(handle.as_ptr()) });
        let failures = if tracked.is_empty() { main_queue() } else { None };
        Ok(Self { handle, topics: Vec::new(), tracked, failures, reports })
    }

    fn as_ptr(&self) -> *mut c::rd_kafka_t {
        self.handle.as_ptr()
    }

    /// The topic of this name. The last one asked for is found at once.
    pub(crate) fn topic(&mut self, name: &TopicName) -> Result<Topic, NativeError> {
        if let Some(found) = self.topics.iter().rposition(|(known, _)| known == name) {
            return Ok(self.topics[found].1);
        }
        let text = text::to_c(name.as_str());
        // SAFETY: the handle lives; a topic that is not null is ours and destroyed in `drop`.
        let handle = unsafe { c::rd_kafka_topic_new(self.as_ptr(), text.as_ptr(), ptr::null_mut()) };
        // SAFETY: reads the error of this thread.
        let handle = NonNull::new(handle).ok_or_else(|| unsafe { NativeError::from(c::rd_kafka_last_error()) })?;
        let tracked = self.tracked.iter().position(|tracked| tracked == name).map(|index| index as u16);
        let topic = Topic { handle, tracked };
        self.topics.push((name.clone(), topic));
        Ok(topic)
    }

    /// Queues a copy of a record that `sender` sends.
    pub(crate) fn produce(
        &self,
        topic: Topic,
        record: &ProducerRecord<'_>,
        sender: Option<TaskId>,
    ) -> Result<Queued, NativeError> {
        const UNASSIGNED: i32 = -1;
        let headers = self.native_headers(record)?;
        let mark = Mark { tracked: topic.tracked, sender };
        let mut arguments = [
            argument(Kind::RD_KAFKA_VTYPE_RKT, Value { rkt: topic.handle.as_ptr() }),
            argument(Kind::RD_KAFKA_VTYPE_PARTITION, Value { i32_: record.partition.unwrap_or(UNASSIGNED) }),
            argument(Kind::RD_KAFKA_VTYPE_KEY, memory(record.key)),
            argument(Kind::RD_KAFKA_VTYPE_VALUE, memory(record.value)),
            argument(Kind::RD_KAFKA_VTYPE_TIMESTAMP, Value { i64_: expressible(record.timestamp) }),
            argument(Kind::RD_KAFKA_VTYPE_OPAQUE, Value { ptr: mark.to_opaque() }),
            argument(Kind::RD_KAFKA_VTYPE_MSGFLAGS, Value { i: c::RD_KAFKA_MSG_F_COPY }),
            argument(Kind::RD_KAFKA_VTYPE_END, Value { i: 0 }),
        ];
        let mut count = 7;
        if let Some(headers) = headers {
            arguments[7] = argument(Kind::RD_KAFKA_VTYPE_HEADERS, Value { headers: headers.as_ptr() });
            count = 8;
        }
        // SAFETY: handle and topic live; each argument has the type that its kind says, and what they point to lives during
        // the call and is copied.
        let outcome = unsafe { take_error(c::rd_kafka_produceva(self.as_ptr(), arguments.as_ptr(), count)) };
        let Err(error) = outcome else {
            return Ok(Queued::Yes);
        };
        if let Some(headers) = headers {
            // SAFETY: on failure the headers are still ours.
            unsafe { c::rd_kafka_headers_destroy(headers.as_ptr()) };
        }
        let is_full = error.code.is(c::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__QUEUE_FULL);
        if is_full { Ok(Queued::Full) } else { Err(error) }
    }

    fn native_headers(
        &self,
        record: &ProducerRecord<'_>,
    ) -> Result<Option<NonNull<c::rd_kafka_headers_t>>, NativeError> {
        if record.headers.is_empty() {
            return Ok(None);
        }
        // SAFETY: takes a hint only; librdkafka aborts when memory ends.
        let headers = unsafe { c::rd_kafka_headers_new(8) };
        for (key, value) in record.headers.iter() {
            // A key of length -1 would be measured as C text; an empty one has length 0 and is kept.
            let (data, length) = value.map_or((ptr::null(), 0), |value| (value.as_ptr(), value.len() as isize));
            // SAFETY: the headers are ours; key and value are copied.
            let code = unsafe {
                c::rd_kafka_header_add(headers, key.as_ptr().cast(), key.len() as isize, data.cast(), length)
            };
            if let Err(error) = ErrorCode::from(code).check() {
                // SAFETY: the headers are ours.
                unsafe { c::rd_kafka_headers_destroy(headers) };
                return Err(error);
            }
        }
        Ok(NonNull::new(headers))
    }

    /// Serves delivery reports for up to `timeout`.
    pub(crate) fn poll(&self, timeout: Duration) {
        let Some(queue) = self.failures else {
            // SAFETY: the handle lives; callbacks run now, while nothing of `reports` is borrowed.
            unsafe { c::rd_kafka_poll(self.as_ptr(), milliseconds(timeout)) };
            return;
        };
        let mut timeout = milliseconds(timeout);
        // SAFETY: the queue lives; each event is ours, and its messages live as long as it.
        while let Some(event) = unsafe { Event::from_raw(c::rd_kafka_queue_poll(queue.as_ptr(), timeout)) } {
            event.for_each_failed_delivery(|message| unsafe { self.reports.borrow_mut().note(message) });
            timeout = 0;
        }
    }

    /// Sends everything at once, and serves delivery reports until nothing is under way or `timeout` has passed. Returns whether
    /// nothing is.
    pub(crate) fn flush(&self, timeout: Duration) -> bool {
        // SAFETY: as in `poll`.
        let is_empty = ErrorCode::from(unsafe { c::rd_kafka_flush(self.as_ptr(), milliseconds(timeout)) }).is_ok();
        if self.failures.is_some() {
            self.poll(Duration::ZERO);
        }
        is_empty
    }

    /// The records that were given and are not acknowledged; reports that were not served count too.
    pub(crate) fn queued(&self) -> i32 {
        // SAFETY: the handle lives.
        unsafe { c::rd_kafka_outq_len(self.as_ptr()) }
    }

    /// The first failed delivery since the last call.
    pub(crate) fn take_failure(&self) -> Option<DeliveryFailure> {
        self.reports.borrow_mut().failure.take()
    }

    /// The last acknowledged offset of a partition of a tracked topic.
    pub(crate) fn last_offset(&self, partition: &TopicPartition) -> Option<Offset> {
        let index = self.tracked.iter().position(|topic| *topic == partition.topic)?;
        let number = usize::try_from(partition.partition).ok()?;
        self.reports.borrow().tracked[index].get(number).copied().flatten()
    }

    /// Why the producer can't be used any more, if so.
    pub(crate) fn fatal_error(&self) -> Option<NativeError> {
        fatal_error(self.handle)
    }

    /// Waits until a broker is connected, for up to `timeout`.
    pub(crate) fn await_broker(&self, timeout: Duration) {
        // SAFETY: no topic is given. Whatever the answer is, the next call tells.
        let _ = unsafe { ask_metadata(self.handle, false, ptr::null_mut(), timeout) };
    }

    /// Fences former producers of the transactional id and aborts their transaction.
    pub(crate) fn init_transactions(&self, timeout: Duration) -> Result<(), NativeError> {
        // SAFETY: the handle lives; the error is ours.
        unsafe { take_error(c::rd_kafka_init_transactions(self.as_ptr(), milliseconds(timeout))) }
    }

    pub(crate) fn begin_transaction(&self) -> Result<(), NativeError> {
        // SAFETY: as above.
        unsafe { take_error(c::rd_kafka_begin_transaction(self.as_ptr())) }
    }

    pub(crate) fn commit_transaction(&self, timeout: Duration) -> Result<(), NativeError> {
        // SAFETY: as above.
        unsafe { take_error(c::rd_kafka_commit_transaction(self.as_ptr(), milliseconds(timeout))) }
    }

    pub(crate) fn abort_transaction(&self, timeout: Duration) -> Result<(), NativeError> {
        // SAFETY: as above.
        unsafe { take_error(c::rd_kafka_abort_transaction(self.as_ptr(), milliseconds(timeout))) }
    }

    /// Adds offsets to the transaction on behalf of `group`.
    pub(crate) fn send_offsets(
        &self,
        offsets: &[(TopicPartition, CommittedOffset)],
        group: &GroupMetadata,
        timeout: Duration,
    ) -> Result<(), NativeError> {
        let mut list = PartitionList::with_capacity(offsets.len());
        for (partition, committed) in offsets {
            list.push(partition, Some(committed.offset), &committed.metadata);
        }
        let (group_id, member_id) = (text::to_c(&group.group_id), text::to_c(&group.member_id));
        let instance_id = group.group_instance_id.as_deref().map(text::to_c);
        let instance_id = instance_id.as_ref().map_or(ptr::null(), |text| text.as_ptr());
        // SAFETY: the texts live during the call and are copied; the metadata is destroyed once; the error is ours.
        unsafe {
            let metadata = c::rd_kafka_consumer_group_metadata_new_with_genid(
                group_id.as_ptr(),
                group.generation,
                member_id.as_ptr(),
                instance_id,
            );
            let error =
                c::rd_kafka_send_offsets_to_transaction(self.as_ptr(), list.as_ptr(), metadata, milliseconds(timeout));
            c::rd_kafka_consumer_group_metadata_destroy(metadata);
            take_error(error)
        }
    }
}

impl Drop for ProducerClient {
    fn drop(&mut self) {
        // SAFETY: everything is owned, topics go before the handle, and `reports` is freed after it.
        unsafe {
            for (_, topic) in self.topics.drain(..) {
                c::rd_kafka_topic_destroy(topic.handle.as_ptr());
            }
            if let Some(queue) = self.failures {
                c::rd_kafka_queue_destroy(queue.as_ptr());
            }
            c::rd_kafka_destroy(self.handle.as_ptr());
        }
    }
}

use c::{rd_kafka_vtype_t as Kind, rd_kafka_vu_s__bindgen_ty_1 as Value};

fn argument(vtype: Kind, u: Value) -> c::rd_kafka_vu_t {
    c::rd_kafka_vu_t { vtype, u }
}

/// A null key or value is a null pointer; an empty one is not.
fn memory(bytes: Option<&[u8]>) -> Value {
    let (ptr, size) = bytes.map_or((ptr::null_mut(), 0), |bytes| (bytes.as_ptr().cast_mut().cast(), bytes.len()));
    Value { mem: c::rd_kafka_vu_s__bindgen_ty_1__bindgen_ty_1 { ptr, size } }
}

/// librdkafka takes timestamp 0 for "now", which would put a record of 1970 into today's windows; one millisecond after
/// is the nearest that it can say.
fn expressible(timestamp: i64) -> i64 {
    if timestamp == 0 { 1 } else { timestamp }
}

unsafe extern "C" fn on_delivery(_: *mut c::rd_kafka_t, message: *const c::rd_kafka_message_t, opaque: *mut c_void) {
    // SAFETY: `opaque` is the box of the client inside whose call this runs; the message lives during the call.
    unsafe { (*opaque.cast::<RefCell<Reports>>()).borrow_mut().note(message) };
}

impl Reports {
    /// # Safety
    ///
    /// `message` points to a message that lives; its `_private` is what `produce` gave as its opaque.
    unsafe fn note(&mut self, message: *const c::rd_kafka_message_t) {
        // SAFETY: by the contract. The code is read as a number, because brokers may send codes that the bindings do not know.
        unsafe {
            let code = ErrorCode((&raw const (*message).err).cast::<i32>().read());
            let mark = Mark::from_opaque((*message)._private);
            if code.is_ok() {
                let number = usize::try_from((*message).partition);
                if let (Some(index), Ok(number)) = (mark.tracked, number) {
                    self.acknowledge(index.into(), number, Offset((*message).offset));
                }
            } else if self.failure.is_none() {
                // The texts that librdkafka has for this can't be used: one is the record's value, the other is freed before the report.
                let topic = text::copy(c::rd_kafka_topic_name((*message).rkt));
                let partition = TopicPartition::new(topic, (*message).partition);
                self.failure = Some(DeliveryFailure { partition, sender: mark.sender, error: code.into() });
            }
        }
    }

    fn acknowledge(&mut self, topic: usize, partition: usize, offset: Offset) {
        let Some(partitions) = self.tracked.get_mut(topic) else { return };
        if partitions.len() <= partition {
            partitions.resize(partition + 1, None);
        }
        partitions[partition] = partitions[partition].max(Some(offset));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_comes_back_as_it_was_given() {
        for tracked in [None, Some(0), Some(7), Some(u16::MAX - 1)] {
            for sender in
                [None, Some(TaskId::new(0, 0)), Some(TaskId::new(3, 199)), Some(TaskId::new(65_534, i32::MAX))]
            {
                let mark = Mark { tracked, sender };
                assert_eq!(Mark::from_opaque(mark.to_opaque()), mark);
            }
        }
    }
}
