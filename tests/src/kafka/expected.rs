//! What the output must be, by the simplest functions that say it, and comparisons that tell the first difference.

use std::collections::BTreeMap;

use super::client::{KafkaRecord, TopicRecords};

/// For each word of the lines: how often it occurs, and the highest timestamp of its lines.
#[must_use]
pub fn words<'a>(lines: impl IntoIterator<Item = &'a KafkaRecord>) -> BTreeMap<String, (i64, i64)> {
    let mut counts: BTreeMap<String, (i64, i64)> = BTreeMap::new();
    for line in lines {
        let text = std::str::from_utf8(line.value.as_deref().unwrap_or_default()).expect("lines are text");
        for word in text.split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty()) {
            let (count, timestamp) = counts.entry(word.to_lowercase()).or_insert((0, i64::MIN));
            *count += 1;
            *timestamp = line.timestamp.max(*timestamp);
        }
    }
    counts
}

/// How many words the lines have.
#[must_use]
pub fn word_total(counts: &BTreeMap<String, (i64, i64)>) -> usize {
    counts.values().map(|(count, _)| *count as usize).sum()
}

/// Fails unless the output of a word count is exact: each word in one partition with the counts 1, 2, 3 .. and none missing, none
/// twice; timestamps never fall and end with the highest one.
///
/// # Panics
///
/// With the first difference.
pub fn assert_words(output: &TopicRecords, expected: &BTreeMap<String, (i64, i64)>) {
    let mut seen: BTreeMap<&str, (i64, i64, usize)> = BTreeMap::new();
    for (partition, records) in output.iter().enumerate() {
        for record in records {
            let word = record.key_text();
            let (count, timestamp, home) = seen.entry(word).or_insert((0, i64::MIN, partition));
            let (value, offset) = (record.value_long(), record.offset);
            assert_eq!(*home, partition, "{word:?} is in two partitions");
            assert_eq!(
                value,
                *count + 1,
                "{word:?} in partition {partition}, offset {offset}: after {count} comes {value}"
            );
            assert!(record.timestamp >= *timestamp, "{word:?}: the timestamp falls");
            (*count, *timestamp) = (value, record.timestamp);
        }
    }
    let found: BTreeMap<String, (i64, i64)> =
        seen.into_iter().map(|(word, (count, timestamp, _))| (word.to_owned(), (count, timestamp))).collect();
    for (word, wanted) in expected {
        assert_eq!(found.get(word), Some(wanted), "{word:?}: count and timestamp");
    }
    assert_eq!(found.len(), expected.len(), "words that are in no line");
}

/// What the counting plugin makes of its input, partition for partition.
#[must_use]
pub fn tallies(input: &TopicRecords) -> TopicRecords {
    let count = |records: &Vec<KafkaRecord>| {
        let mut counts: BTreeMap<&[u8], i64> = BTreeMap::new();
        let mut expected = Vec::with_capacity(records.len());
        for record in records {
            let (key, timestamp) = (record.key.clone(), record.timestamp);
            let count = counts.entry(record.key.as_deref().expect("orders have keys")).or_insert(0);
            *count += 1;
            let value = Some(count.to_be_bytes().to_vec());
            expected.push(KafkaRecord { key, value, timestamp, ..KafkaRecord::default() });
        }
        expected
    };
    input.iter().map(count).collect()
}

/// Fails unless both have the same records in the same order in each partition; offsets don't count, since transactions have control
/// records.
///
/// # Panics
///
/// With the first difference.
pub fn assert_same_records(output: &TopicRecords, expected: &TopicRecords) {
    assert_eq!(output.len(), expected.len(), "the number of partitions");
    for (partition, (found, wanted)) in output.iter().zip(expected).enumerate() {
        for (index, (found, wanted)) in found.iter().zip(wanted).enumerate() {
            let wanted = KafkaRecord { offset: found.offset, ..wanted.clone() };
            assert_eq!(*found, wanted, "record {index} of partition {partition}");
        }
        assert_eq!(found.len(), wanted.len(), "the number of records in partition {partition}");
    }
}
