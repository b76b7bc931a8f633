//! Where partitions begin and end: two questions that are under way together, for any number of partitions.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use millstream_core::Result;
use millstream_core::id::{Offset, TopicPartition};
use millstream_core::port::LogBounds;

use crate::error::{During, classify};
use crate::native::{AdminRequest, Client, Entry, NativeError};

/// How long a question to partitions' leaders may take.
pub(crate) const QUESTION_TIMEOUT: Duration = Duration::from_secs(3);

/// The bounds of `partitions`, in the order asked; `read_committed` makes the last offsets the last stable ones.
///
/// # Errors
///
/// For the first partition that is not known, whose leader was then asked for anew, as `during` classifies it.
pub(crate) fn ask(
    client: &Arc<Client>,
    partitions: &[TopicPartition],
    read_committed: bool,
    during: During,
) -> Result<Vec<LogBounds>> {
    let request = |first| AdminRequest::list_offsets(client, partitions, first, read_committed, QUESTION_TIMEOUT);
    // Both before either answer is waited for.
    let (first, last) = (request(true), request(false));
    let (first, last) = (answer(&first), answer(&last));
    let offset = |answer: &Answer, partition| match answer {
        Ok(entries) => entries.get(partition).ok_or_else(NativeError::timed_out).and_then(offset_of),
        Err(error) => Err(error.clone()),
    };
    let bounds = partitions.iter().map(|partition| {
        let bounds =
            offset(&first, partition).and_then(|first| Ok(LogBounds { first, end: offset(&last, partition)? }));
        bounds.map_err(|error| {
            client.refresh_leader(partition, QUESTION_TIMEOUT);
            classify(error, during, format_args!("ask where {partition} begins and ends"))
        })
    });
    bounds.collect()
}

type Answer = std::result::Result<BTreeMap<TopicPartition, Entry>, NativeError>;

fn answer(request: &AdminRequest) -> Answer {
    let entries = request.offsets(QUESTION_TIMEOUT)?;
    Ok(entries.into_iter().map(|entry| (entry.partition.clone(), entry)).collect())
}

fn offset_of(entry: &Entry) -> std::result::Result<Offset, NativeError> {
    entry.code.check()?;
    entry.offset.ok_or_else(NativeError::timed_out)
}
