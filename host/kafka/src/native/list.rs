//! A list of topic partitions with offsets and metadata.

use std::ptr::NonNull;

use millstream_core::id::{Offset, TopicPartition};
use rdkafka::bindings as c;

use super::code::ErrorCode;
use super::text;

/// An owned list.
pub(crate) struct PartitionList(NonNull<c::rd_kafka_topic_partition_list_t>);

/// One entry, copied out.
pub(crate) struct Entry {
    pub(crate) partition: TopicPartition,
    /// The offset; `None` where librdkafka has no real one.
    pub(crate) offset: Option<Offset>,
    pub(crate) metadata: String,
    pub(crate) code: ErrorCode,
}

impl PartitionList {
    /// An empty list with room for `capacity` entries.
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        let capacity = i32::try_from(capacity).unwrap_or(i32::MAX);
        // SAFETY: any capacity is allowed; librdkafka aborts when memory ends, so it never returns null.
        let list = unsafe { c::rd_kafka_topic_partition_list_new(capacity) };
        Self(NonNull::new(list).expect("librdkafka allocates or aborts"))
    }

    /// Partitions without offsets.
    pub(crate) fn of<'a>(partitions: impl IntoIterator<Item = &'a TopicPartition>) -> Self {
        let mut list = Self::with_capacity(8);
        for partition in partitions {
            list.push(partition, None, "");
        }
        list
    }

    /// Topics, for a subscription.
    pub(crate) fn of_topics<'a>(topics: impl IntoIterator<Item = &'a str>) -> Self {
        let list = Self::with_capacity(8);
        for topic in topics {
            let name = text::to_c(topic);
            // SAFETY: the list is owned; the name is copied.
            unsafe { c::rd_kafka_topic_partition_list_add(list.0.as_ptr(), name.as_ptr(), -1) };
        }
        list
    }

    /// Appends a partition.
    pub(crate) fn push(&mut self, partition: &TopicPartition, offset: Option<Offset>, metadata: &str) {
        let topic = text::to_c(partition.topic.as_str());
        // SAFETY: the list is owned and the name copied; the entry stays where it is until the next change of the list.
        // The metadata is freed by the list with the allocator that `rd_kafka_mem_malloc` uses.
        unsafe {
            let entry = c::rd_kafka_topic_partition_list_add(self.0.as_ptr(), topic.as_ptr(), partition.partition);
            if let Some(offset) = offset {
                (*entry).offset = offset.0;
            }
            if !metadata.is_empty() {
                let copy = c::rd_kafka_mem_malloc(std::ptr::null_mut(), metadata.len());
                copy.cast::<u8>().copy_from_nonoverlapping(metadata.as_ptr(), metadata.len());
                (*entry).metadata = copy;
                (*entry).metadata_size = metadata.len();
            }
        }
    }

    pub(super) fn as_ptr(&self) -> *mut c::rd_kafka_topic_partition_list_t {
        self.0.as_ptr()
    }

    /// All entries, copied.
    pub(crate) fn entries(&self) -> Vec<Entry> {
        // SAFETY: the list is owned.
        unsafe { copy_entries(self.0.as_ptr()) }
    }
}

/// Copies the entries of a list that somebody else owns.
///
/// # Safety
///
/// `list` points to a list that nobody changes during the call.
pub(super) unsafe fn copy_entries(list: *const c::rd_kafka_topic_partition_list_t) -> Vec<Entry> {
    // SAFETY: by the contract; `elems` holds `cnt` entries, and is null only when there are none.
    unsafe {
        let count = usize::try_from((*list).cnt).unwrap_or(0);
        (0..count).map(|index| copy_entry((*list).elems.add(index))).collect()
    }
}

/// # Safety
///
/// `entry` points to a valid entry. Its code is read as a number: it may be one that the bindings do not know.
pub(super) unsafe fn copy_entry(entry: *const c::rd_kafka_topic_partition_t) -> Entry {
    // SAFETY: by the contract; metadata has `metadata_size` bytes when it is not null.
    unsafe {
        let metadata = if (*entry).metadata.is_null() {
            String::new()
        } else {
            let bytes = std::slice::from_raw_parts((*entry).metadata.cast::<u8>(), (*entry).metadata_size);
            String::from_utf8_lossy(bytes).into_owned()
        };
        let offset = (*entry).offset;
        Entry {
            partition: TopicPartition::new(text::copy((*entry).topic), (*entry).partition),
            offset: (offset >= 0).then_some(Offset(offset)),
            metadata,
            code: ErrorCode((&raw const (*entry).err).cast::<i32>().read()),
        }
    }
}

impl Drop for PartitionList {
    fn drop(&mut self) {
        // SAFETY: owned, and not used afterwards.
        unsafe { c::rd_kafka_topic_partition_list_destroy(self.0.as_ptr()) }
    }
}
