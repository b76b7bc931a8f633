//! The workloads: what is read, what is done with it, and what the output must look like.

use std::fmt;

use anyhow::{Result, bail};

/// One workload at its size, ready to be run by any engine.
#[derive(Clone, Debug)]
pub struct Workload {
    /// As the workloads are called everywhere: `W1`.
    pub name: &'static str,
    /// What tells it from the others of its name: `108 B`.
    pub variant: String,
    /// Input records.
    pub records: u64,
    /// What the input looks like.
    pub data: Data,
    /// What is done with it.
    pub program: Program,
    /// Partitions of its topics.
    pub partitions: i32,
    /// Stream threads of the engine.
    pub stream_threads: u32,
}

/// What an input looks like. The same for the same numbers: seeds are fixed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Data {
    /// Keys of 8 bytes, and values of so many bytes that begin with the record's number.
    Keyed {
        /// Different keys.
        keys: u64,
        /// Bytes of a value.
        value_bytes: usize,
    },
    /// Each key once, in an order that looks random.
    EachKeyOnce {
        /// Bytes of a value.
        value_bytes: usize,
    },
    /// Orders in JSON; with their key of 8 bytes they have 253.
    Json,
    /// Lines of 8 words, Zipf over 50 000 words, without a key.
    Lines,
}

/// What is done with the records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Program {
    /// Each record as it is.
    PassThrough,
    /// Parse, keep half, change fields.
    JsonFilter,
    /// Split into words, repartition, count.
    WordCount,
    /// Get, change and put a value of the record's key.
    Update,
    /// Match against 1 000 rules, repartition by rule, keep 32 bytes a rule, forward one match of 10.
    MatchRules,
    /// Count the records of each key, and forward the count.
    Count,
}

/// Which part of the outputs must be the same for all engines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compare {
    /// Every record of every key in its order, with its timestamp.
    Records,
    /// The same, values as JSON.
    JsonRecords,
    /// Every record of every key in its order; timestamps depend on how partitions interleave.
    RecordsWithoutTime,
    /// The last value of every key: a record cache may swallow those before, and timestamps depend on how partitions interleave.
    LastValues,
}

impl Program {
    /// See [`Compare`].
    #[must_use]
    pub fn compare(self) -> Compare {
        match self {
            Self::PassThrough | Self::Update | Self::Count => Compare::Records,
            Self::JsonFilter => Compare::JsonRecords,
            Self::WordCount => Compare::LastValues,
            Self::MatchRules => Compare::RecordsWithoutTime,
        }
    }
}

/// What `--scale` makes of a number of records; enough stay to tell a start from work.
fn scaled(records: u64, scale: f64) -> u64 {
    ((records as f64 * scale) as u64).max(1_000)
}

const MILLION: u64 = 1_000_000;
/// With fewer records no rule of W7 is met ten times.
const MATCHED_RECORDS_MIN: u64 = 30_000;
/// Partitions of the topics of all workloads but the one whose subject they are.
const PARTITIONS: i32 = 4;

/// The names that `--workloads` takes, and what each is about.
pub const NAMES: &[(&str, &str)] = &[
    ("W1", "pass-through, topic to topic"),
    ("W2", "JSON: parse, keep half, change fields"),
    ("W3", "word count with repartition"),
    ("W4", "get, change, put in a RocksDB store with changelog"),
    ("W7", "match against 1 000 rules, repartition, state per match"),
    ("W8", "restore, start, restart, idle"),
    ("W9", "growth: W4 with more tasks and threads"),
    (LANGUAGES_NAME, "the same plugin in each language: stateless, and count"),
];

/// The workload that compares plugins' languages, and is a soak at full size.
pub const LANGUAGES_NAME: &str = "L";

/// The workloads that are drained and have the name `name`; empty for one that is measured otherwise.
///
/// # Errors
///
/// When nothing is called so.
pub fn drained(name: &str, scale: f64) -> Result<Vec<Workload>> {
    let keyed = |keys, value_bytes| Data::Keyed { keys, value_bytes };
    let of = |variant: String, millions, data, program| Workload {
        name: NAMES.iter().find(|(known, _)| *known == name).map_or("", |(known, _)| known),
        variant,
        records: scaled(millions * MILLION, scale),
        data,
        program,
        partitions: PARTITIONS,
        stream_threads: 1,
    };
    Ok(match name {
        "W1" => vec![
            of("108 B".to_owned(), 10, keyed(10_000, 100), Program::PassThrough),
            of("1 KiB".to_owned(), 10, keyed(10_000, 1016), Program::PassThrough),
        ],
        "W2" => vec![of("253 B".to_owned(), 5, Data::Json, Program::JsonFilter)],
        "W3" => vec![of("8 words a line".to_owned(), 2, Data::Lines, Program::WordCount)],
        "W4" => {
            // Fewer records would meet most of their keys once only: the number of keys shrinks with them.
            let keys = |keys: u64| scaled(keys, scale).max(10_000).min(keys);
            let variants = [10_000, MILLION, 10 * MILLION].map(keys);
            let distinct = variants.into_iter().enumerate().filter(|(index, keys)| !variants[..*index].contains(keys));
            distinct
                .map(|(_, keys)| of(format!("{} keys", Count(keys)), 10, keyed(keys, 100), Program::Update))
                .collect()
        }
        "W7" => {
            let workload = of("1 000 rules".to_owned(), 1, keyed(MILLION, 1016), Program::MatchRules);
            vec![Workload { records: workload.records.max(MATCHED_RECORDS_MIN), ..workload }]
        }
        "W9" => {
            let sizes = [(1, 1), (10, 1), (50, 1), (200, 1), (10, 2), (200, 2)];
            let growth = |(partitions, stream_threads)| Workload {
                partitions,
                stream_threads,
                ..of(tasks_and_threads(partitions, stream_threads), 2, keyed(10_000, 100), Program::Update)
            };
            sizes.into_iter().map(growth).collect()
        }
        "W8" => Vec::new(),
        LANGUAGES_NAME => vec![
            of("stateless".to_owned(), 10, keyed(10_000, 100), Program::PassThrough),
            of("count".to_owned(), 10, keyed(10_000, 100), Program::Count),
        ],
        _ => bail!(
            "there is no workload {name}; there are {}",
            NAMES.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
        ),
    })
}

fn tasks_and_threads(tasks: i32, threads: u32) -> String {
    let plural = |count: u32| if count == 1 { "" } else { "s" };
    format!("{tasks} task{}, {threads} thread{}", plural(tasks.unsigned_abs()), plural(threads))
}

/// A number as people write it: 10 000, 1.5 M.
#[derive(Clone, Copy, Debug)]
pub struct Count(pub u64);

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            count if count >= MILLION => write!(f, "{} M", count as f64 / MILLION as f64),
            count if count >= 1_000 => write!(f, "{} {:03}", count / 1_000, count % 1_000),
            count => write!(f, "{count}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_as_people_write_them() {
        let shown = [7, 10_000, 123_456, 1_500_000, 10_000_000].map(|count| Count(count).to_string());
        assert_eq!(shown, ["7", "10 000", "123 456", "1.5 M", "10 M"]);
    }

    #[test]
    fn a_scale_shrinks_records_and_keys_and_keeps_variants_apart() {
        let keys = |scale| -> Vec<String> {
            drained("W4", scale).expect("W4 is there").into_iter().map(|workload| workload.variant).collect()
        };
        assert_eq!(keys(1.0), ["10 000 keys", "1 M keys", "10 M keys"]);
        assert_eq!(keys(0.1), ["10 000 keys", "100 000 keys", "1 M keys"]);
        assert_eq!(keys(0.001), ["10 000 keys"]);
        assert!(drained("W5", 1.0).is_err(), "there are no windows yet");
    }

    #[test]
    fn every_workload_that_is_drained_has_its_size() {
        for (name, _) in NAMES {
            for workload in drained(name, 0.01).expect("it is there") {
                assert_eq!(workload.name, *name);
                assert!(workload.records >= 1_000, "{workload:?}");
            }
        }
    }
}
