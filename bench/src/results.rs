//! What was measured: one object a run, kept in `bench/results.json` as the runs come in.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The setting that names the machine.
pub const MACHINE: &str = "machine";
/// The setting that tells where topics and state lie.
pub const FILES: &str = "files";
/// The setting that tells which Millstream it was.
pub const COMMIT: &str = "commit";

/// One run of one engine.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Run {
    /// `W1` and so on.
    pub workload: String,
    /// What tells it from others of its workload.
    pub variant: String,
    /// The engine's name.
    pub engine: String,
    /// The guarantee's name.
    pub guarantee: String,
    /// Input records; what restores are told in are entries.
    pub records: u64,
    /// User and system time of the whole process, its start included, until everything was committed.
    pub cpu_seconds: f64,
    /// The part of it since half of the output was committed.
    pub cpu_seconds_second_half: f64,
    /// From the start of the process until everything was committed; what it means for a W8 is in its variant.
    pub wall_seconds: f64,
    /// The peak of resident memory; of an idle process, what it has then.
    pub peak_rss_bytes: u64,
    /// Bytes of the keys and values in the output topic.
    pub bytes_out: u64,
    /// How it was set.
    pub settings: BTreeMap<String, Value>,
}

impl Run {
    /// Whether both did the same in the same place, so that their costs can be compared: a start weighs more in a small run.
    #[must_use]
    pub fn is_same_work(&self, other: &Self) -> bool {
        (&self.workload, &self.variant, &self.guarantee, self.records)
            == (&other.workload, &other.variant, &other.guarantee, other.records)
            && self.is_same_machine(other)
    }

    /// Whether both ran on the same machine, with their files in the same kind of place.
    #[must_use]
    pub fn is_same_machine(&self, other: &Self) -> bool {
        [MACHINE, FILES].iter().all(|name| self.settings.get(*name) == other.settings.get(*name))
    }

    /// Where and with what it ran: results that are kept may be of another machine, or another commit.
    #[must_use]
    pub fn place(&self) -> String {
        let known = [MACHINE, FILES, COMMIT].iter().filter_map(|name| self.settings.get(*name)?.as_str());
        known.collect::<Vec<_>>().join("; ")
    }

    /// CPU-seconds a million records.
    #[must_use]
    pub fn cpu_per_million(&self) -> f64 {
        self.cpu_seconds / self.records as f64 * 1e6
    }

    /// CPU-seconds a million records of the second half.
    #[must_use]
    pub fn cpu_per_million_second_half(&self) -> f64 {
        self.cpu_seconds_second_half / self.records as f64 * 2e6
    }

    /// Records a second.
    #[must_use]
    pub fn records_per_second(&self) -> f64 {
        self.records as f64 / self.wall_seconds
    }
}

/// Everything that `bench/RESULTS.md` is made of, beside the runs: written by the run, read when only the page is to be made again.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Circumstances {
    /// What is told of the machine, the versions and the run: name and value, in order.
    pub facts: Vec<(String, String)>,
}

/// Writes `value` as JSON to `path`, whole or not at all.
///
/// # Errors
///
/// When it can't be written.
pub fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(value)? + "\n";
    write_text(path, &text)
}

/// Writes `text` to `path`, whole or not at all.
///
/// # Errors
///
/// When it can't be written.
pub fn write_text(path: &Path, text: &str) -> Result<()> {
    let new = path.with_extension("new");
    fs::write(&new, text)
        .and_then(|()| fs::rename(&new, path))
        .with_context(|| format!("can't write {}", path.display()))
}

/// The runs in the file at `path`; none when there is no file.
///
/// # Errors
///
/// When the file is something else.
pub fn read_runs(path: &Path) -> Result<Vec<Run>> {
    match fs::read(path) {
        Ok(text) => serde_json::from_slice(&text).with_context(|| format!("{} holds no runs", path.display())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error).with_context(|| format!("can't read {}", path.display())),
    }
}

/// Lowest, median and highest of some numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// The lowest.
    pub low: f64,
    /// The one in the middle, or the mean of the two.
    pub median: f64,
    /// The highest.
    pub high: f64,
}

impl Spread {
    /// Of `numbers`; `None` when there is none.
    #[must_use]
    pub fn of(numbers: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut sorted: Vec<f64> = numbers.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let (low, high) = (*sorted.first()?, *sorted.last()?);
        let middle = sorted.len() / 2;
        let median =
            if sorted.len() % 2 == 1 { sorted[middle] } else { f64::midpoint(sorted[middle - 1], sorted[middle]) };
        Some(Self { low, median, high })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(Spread::of([]), None);
        assert_eq!(Spread::of([3.0, 1.0, 9.0]), Some(Spread { low: 1.0, median: 3.0, high: 9.0 }));
        assert_eq!(Spread::of([4.0, 1.0, 2.0, 9.0]), Some(Spread { low: 1.0, median: 3.0, high: 9.0 }));
    }
}
