//! What an output must be, computed here from the input, and whether it is that: a fast wrong answer is worth nothing.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hasher};

use anyhow::{Result, bail};
use rdkafka::message::Message as _;

use crate::cluster::Cluster;
use crate::data::Records;
use crate::workload::{Compare, Program, Workload};

const RULES: u64 = 1_000;
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// What an output holds, in a few numbers: equal outputs have equal digests, whatever the order of different keys.
pub struct Digest {
    compare: Compare,
    /// For each key a digest of its values so far.
    keys: HashMap<u64, u64>,
    /// Records.
    pub records: u64,
    /// Bytes of keys and values.
    pub bytes: u64,
}

impl Digest {
    /// Of nothing yet.
    #[must_use]
    pub fn new(compare: Compare) -> Self {
        Self { compare, keys: HashMap::new(), records: 0, bytes: 0 }
    }

    /// Adds the next record of a key.
    pub fn add(&mut self, key: &[u8], value: &[u8], timestamp: i64) {
        self.records += 1;
        self.bytes += (key.len() + value.len()) as u64;
        let entry = self.keys.entry(hash(&[key])).or_default();
        *entry = match self.compare {
            Compare::LastValues => hash(&[value]),
            Compare::RecordsWithoutTime => hash(&[&entry.to_le_bytes(), value]),
            Compare::Records => hash(&[&entry.to_le_bytes(), value, &timestamp.to_le_bytes()]),
            Compare::JsonRecords => {
                // Sorted fields without blanks; what is no JSON stays what it is.
                let json = serde_json::from_slice::<serde_json::Value>(value).map(|json| json.to_string().into_bytes());
                hash(&[&entry.to_le_bytes(), &json.unwrap_or_else(|_| value.to_vec()), &timestamp.to_le_bytes()])
            }
        };
    }

    /// How many keys there are.
    #[must_use]
    pub fn key_count(&self) -> usize {
        self.keys.len()
    }

    fn whole(&self) -> u64 {
        let pair = |(key, values): (&u64, &u64)| hash(&[&key.to_le_bytes(), &values.to_le_bytes()]);
        self.keys.iter().map(pair).fold(0, u64::wrapping_add)
    }

    /// Fails when `found` is not what this says.
    ///
    /// # Errors
    ///
    /// With what is different.
    pub fn check(&self, found: &Self) -> Result<()> {
        let counts_match = self.compare == Compare::LastValues || self.records == found.records;
        if !counts_match || self.key_count() != found.key_count() {
            bail!(
                "the output has {} records of {} keys where {} records of {} keys are right",
                found.records,
                found.key_count(),
                self.records,
                self.key_count()
            );
        }
        let wrong = self.keys.iter().filter(|(key, values)| found.keys.get(key) != Some(values)).count();
        if wrong > 0 || self.whole() != found.whole() {
            bail!("the output is wrong for {wrong} of {} keys", self.key_count());
        }
        Ok(())
    }
}

fn hash(parts: &[&[u8]]) -> u64 {
    let mut hasher = DefaultHasher::new();
    parts.iter().for_each(|part| hasher.write(part));
    hasher.finish()
}

/// The digest of what is committed in a topic.
///
/// # Errors
///
/// When it can't be read.
pub fn digest_of_topic(cluster: &Cluster, workload: &Workload, topic: &str) -> Result<Digest> {
    let mut digest = Digest::new(workload.program.compare());
    cluster.read(topic, workload.partitions, |record| {
        let timestamp = record.timestamp().to_millis().unwrap_or(-1);
        digest.add(record.key().unwrap_or_default(), record.payload().unwrap_or_default(), timestamp);
    })?;
    Ok(digest)
}

/// The digest of what the output of a workload must be.
#[must_use]
pub fn expected(workload: &Workload) -> Digest {
    let mut digest = Digest::new(workload.program.compare());
    let mut records = Records::new(workload.data, workload.records);
    let mut counts: HashMap<Vec<u8>, i64> = HashMap::new();
    while let Some(timestamp) = records.advance() {
        let Records { key, value, .. } = &records;
        match workload.program {
            Program::PassThrough => digest.add(key, value, timestamp),
            Program::JsonFilter => {
                bill(value).inspect(|bill| digest.add(key, bill.to_string().as_bytes(), timestamp));
            }
            Program::WordCount => {
                for word in value.split(|byte| *byte == b' ') {
                    digest.add(word, &count(&mut counts, word).to_be_bytes(), timestamp);
                }
            }
            Program::Update => {
                let now = [&count(&mut counts, key).to_be_bytes(), &value[8..]].concat();
                digest.add(key, &now, timestamp);
            }
            Program::Count => digest.add(key, &count(&mut counts, key).to_be_bytes(), timestamp),
            Program::MatchRules => {
                for rule in rules_of(value) {
                    let rule = rule.to_be_bytes();
                    let count = count(&mut counts, &rule);
                    if count % 10 == 0 {
                        digest.add(&rule, &count.to_be_bytes(), timestamp);
                    }
                }
            }
        }
    }
    digest
}

fn count(counts: &mut HashMap<Vec<u8>, i64>, key: &[u8]) -> i64 {
    if let Some(count) = counts.get_mut(key) {
        *count += 1;
        return *count;
    }
    counts.insert(key.to_vec(), 1);
    1
}

fn bill(order: &[u8]) -> Option<serde_json::Value> {
    let order: serde_json::Value = serde_json::from_slice(order).ok()?;
    let total = order["quantity"].as_u64()? * order["cents"].as_u64()?;
    let country = order["country"].as_str()?.to_uppercase();
    order["priority"].as_bool()?.then(|| {
        serde_json::json!({
            "id": order["id"], "customer": order["customer"], "country": country, "total": total, "note": order["note"],
        })
    })
}

fn rules_of(value: &[u8]) -> impl Iterator<Item = u64> {
    let subject = value.get(8..).and_then(<[u8]>::first_chunk).map_or(0, |bytes| u64::from_be_bytes(*bytes));
    (0..RULES).filter(move |rule| (subject ^ rule.wrapping_mul(SPREAD)).wrapping_mul(SPREAD) >> 54 == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    type Written<'a> = &'a [(&'a str, &'a str, i64)];

    fn digest(compare: Compare, records: Written<'_>) -> Digest {
        let mut digest = Digest::new(compare);
        records.iter().for_each(|(key, value, time)| digest.add(key.as_bytes(), value.as_bytes(), *time));
        digest
    }

    #[test]
    fn outputs_are_equal_when_each_key_has_the_same_records_in_the_same_order() {
        use Compare::{JsonRecords, LastValues, Records, RecordsWithoutTime};
        let right = [("a", "1", 1), ("b", "2", 2), ("a", "3", 3)];
        let cases: &[(Compare, Written<'_>, bool, &str)] = &[
            (Records, &[("b", "2", 2), ("a", "1", 1), ("a", "3", 3)], true, "keys interleave otherwise"),
            (Records, &[("a", "3", 3), ("b", "2", 2), ("a", "1", 1)], false, "another order"),
            (Records, &[("a", "1", 1), ("b", "2", 2), ("a", "3", 4)], false, "another time"),
            (Records, &[("a", "1", 1), ("b", "2", 2), ("a", "3", 3), ("a", "3", 3)], false, "one twice"),
            (Records, &[("a", "1", 1), ("a", "3", 3)], false, "one is missing"),
            (RecordsWithoutTime, &[("a", "1", 9), ("b", "2", 9), ("a", "3", 9)], true, "other times"),
            (RecordsWithoutTime, &[("a", "3", 1), ("b", "2", 2), ("a", "1", 3)], false, "another order"),
            (LastValues, &[("b", "2", 0), ("a", "3", 0)], true, "earlier ones are swallowed"),
            (LastValues, &[("a", "3", 0), ("b", "2", 0), ("a", "1", 0)], false, "another one is last"),
            (JsonRecords, &[("a", " 1", 1), ("b", "2 ", 2), ("a", "3", 3)], true, "blanks"),
        ];
        for (compare, records, is_right, what) in cases {
            let checked = digest(*compare, &right).check(&digest(*compare, records));
            assert_eq!(checked.is_ok(), *is_right, "{compare:?}: {what}: {checked:?}");
        }
    }

    #[test]
    fn every_program_has_an_output() {
        for name in ["W1", "W2", "W3", "W4", "W7", "L"] {
            for workload in crate::workload::drained(name, 0.001).expect("it is there") {
                let digest = expected(&workload);
                assert!(digest.records > 0 && digest.bytes > 0, "{workload:?}");
            }
        }
    }
}
