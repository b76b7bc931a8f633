//! `bench/RESULTS.md` and the plot, from the runs.

use std::fmt::Write;
use std::path::Path;

use anyhow::Result;

use crate::drain::RESIDENT_GROWTH;
use crate::goals;
use crate::plot;
use crate::results::{self, Circumstances, Run, Spread};
use crate::workload::{Count, LANGUAGES_NAME, NAMES};

/// Writes the page and the plot to `directory`.
///
/// # Errors
///
/// When they can't be written.
pub fn write(directory: &Path, runs: &[Run], circumstances: &Circumstances) -> Result<()> {
    results::write_text(&directory.join("results.svg"), &plot::svg(runs))?;
    results::write_text(&directory.join("RESULTS.md"), &page(runs, circumstances))
}

/// The runs that differ in nothing but chance, in the order in which they first came.
#[must_use]
pub fn groups(runs: &[Run]) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    for run in runs {
        let of = |group: &&mut Group<'_>| {
            let first = group.runs[0];
            (&first.workload, &first.variant, &first.guarantee, &first.engine)
                == (&run.workload, &run.variant, &run.guarantee, &run.engine)
        };
        match groups.iter_mut().find(of) {
            Some(group) => group.runs.push(run),
            None => groups.push(Group { runs: vec![run] }),
        }
    }
    groups
}

/// See [`groups`].
pub struct Group<'a> {
    /// At least one.
    pub runs: Vec<&'a Run>,
}

impl Group<'_> {
    /// What the runs have in common.
    #[must_use]
    pub fn first(&self) -> &Run {
        self.runs[0]
    }

    /// The spread of a number of each run.
    #[must_use]
    pub fn spread(&self, of: impl Fn(&Run) -> f64) -> Spread {
        let zero = Spread { low: 0.0, median: 0.0, high: 0.0 };
        Spread::of(self.runs.iter().map(|run| of(run))).unwrap_or(zero)
    }
}

/// Where the runs were made, when that was not one place for all.
struct Places(Vec<String>);

impl Places {
    fn of(groups: &[Group<'_>]) -> Self {
        let mut places = Vec::new();
        for place in groups.iter().map(|group| group.first().place()) {
            if !places.contains(&place) {
                places.push(place);
            }
        }
        Self(places)
    }

    fn list(&self) -> String {
        if self.0.len() < 2 {
            return String::new();
        }
        let mut list = String::from("\nSome results were kept from other runs of the bench; rows say which:\n\n");
        for (number, place) in (1..).zip(&self.0) {
            let _ = writeln!(list, "- [{number}] {}", if place.is_empty() { "not noted" } else { place });
        }
        list
    }

    fn mark(&self, group: &Group<'_>) -> String {
        let number = self.0.iter().position(|place| *place == group.first().place()).filter(|_| self.0.len() > 1);
        number.map_or_else(String::new, |number| format!(" [{}]", number + 1))
    }
}

fn page(runs: &[Run], circumstances: &Circumstances) -> String {
    let groups = groups(runs);
    let mut page = String::from(
        "# Results\n\nWritten by `make bench` from `bench/results.json`; see `bench/README.md` for what is measured and how, and `bench/LOG.md` \
         for what was found. Every output was compared with what it must be. Numbers are medians, with lowest and highest in parentheses.\n\n\
         W5 (windows) and W6 (joins) are not here: the engine does not have them yet.\n\n![CPU a record](results.svg)\n\n",
    );
    for (name, value) in &circumstances.facts {
        let _ = writeln!(page, "- **{name}**: {value}");
    }
    let scale = runs.iter().filter_map(|run| run.settings.get("scale")?.as_f64()).fold(1.0, f64::min);
    if scale < 1.0 {
        let _ = writeln!(
            page,
            "- **scale**: rows say how many records they had; the smallest were made with {scale} of the full size. With few records, starting \
             (and in Java compiling) is a larger part of the whole than at full size, which makes the other engines look worse than they are \
             there; the last column, of the second halves alone, does not have the start in it, though Java still compiles then"
        );
    }
    let places = Places::of(&groups);
    page.push_str(&places.list());
    let _ = writeln!(page, "\n## Goals\n");
    page.push_str(&goals::table(&groups));
    for (name, about) in NAMES {
        let of_workload: Vec<&Group<'_>> = groups.iter().filter(|group| group.first().workload == *name).collect();
        if of_workload.is_empty() {
            continue;
        }
        let _ = writeln!(page, "\n## {name}: {about}\n");
        if *name == "W8" {
            life_cycle_table(&mut page, &of_workload, &places);
        } else {
            drain_table(&mut page, &of_workload, &places);
        }
        if *name == LANGUAGES_NAME {
            growth_table(&mut page, &of_workload, &places);
        }
    }
    page
}

/// Whether memory stays flat while records pass.
fn growth_table(page: &mut String, groups: &[&Group<'_>], places: &Places) {
    page.push_str("\nMemory, in the second half of each run:\n\n| | engine | peak | growth a million records |\n|---|---|--:|--:|\n");
    for group in groups {
        let growth = |run: &Run| run.settings.get(RESIDENT_GROWTH).and_then(serde_json::Value::as_f64).unwrap_or(0.0);
        let Spread { low, median, high } = group.spread(growth);
        let kib = |bytes: f64| (bytes / 1024.0).round();
        let _ = writeln!(
            page,
            "| {}, {}{} | {} | {} | {} KiB ({} to {}) |",
            group.first().variant,
            group.first().guarantee,
            places.mark(group),
            group.first().engine,
            mebibytes(group.spread(|run| run.peak_rss_bytes as f64).median),
            kib(median),
            kib(low),
            kib(high),
        );
    }
}

fn drain_table(page: &mut String, groups: &[&Group<'_>], places: &Places) {
    page.push_str(
        "| | guarantee | engine | runs | CPU-s per million records | second half | records/s | peak memory | bytes out | times Millstream's CPU | \
         second half |\n|---|---|---|--:|--:|--:|--:|--:|--:|--:|--:|\n",
    );
    for group in groups {
        let first = group.first();
        let is_ours = |other: &Run| other.engine == "millstream" && other.is_same_work(first);
        let ours = groups.iter().find(|group| is_ours(group.first()));
        let ratio = |of: fn(&Run) -> f64| {
            // The second half is nothing when all of the output came in one commit.
            let ratio =
                ours.map(|ours| group.spread(of).median / ours.spread(of).median).filter(|ratio| ratio.is_finite());
            ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}"))
        };
        let _ = writeln!(
            page,
            "| {}, {} records{} | {} | {} | {} | {} | {:.2} | {} | {} | {} | {} | {} |",
            first.variant,
            Count(first.records),
            places.mark(group),
            first.guarantee,
            first.engine,
            group.runs.len(),
            with_spread(group.spread(Run::cpu_per_million)),
            group.spread(Run::cpu_per_million_second_half).median,
            Count(group.spread(Run::records_per_second).median as u64 / 1000 * 1000),
            mebibytes(group.spread(|run| run.peak_rss_bytes as f64).median),
            mebibytes(group.spread(|run| run.bytes_out as f64).median),
            ratio(Run::cpu_per_million),
            ratio(Run::cpu_per_million_second_half),
        );
    }
}

fn life_cycle_table(page: &mut String, groups: &[&Group<'_>], places: &Places) {
    page.push_str(
        "| | guarantee | engine | records | seconds | CPU-seconds | memory |\n|---|---|---|--:|--:|--:|--:|\n",
    );
    for group in groups {
        let first = group.first();
        let _ = writeln!(
            page,
            "| {}{} | {} | {} | {} | {} | {} | {} |",
            first.variant,
            places.mark(group),
            first.guarantee,
            first.engine,
            Count(first.records),
            with_spread(group.spread(|run| run.wall_seconds)),
            with_spread(group.spread(|run| run.cpu_seconds)),
            mebibytes(group.spread(|run| run.peak_rss_bytes as f64).median),
        );
    }
}

fn with_spread(spread: Spread) -> String {
    format!("{:.2} ({:.2} to {:.2})", spread.median, spread.low, spread.high)
}

fn mebibytes(bytes: f64) -> String {
    format!("{:.0} MiB", bytes / f64::from(1 << 20))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A run of W1 that took so many CPU-seconds for a million records.
    pub fn run(engine: &str, cpu_seconds: f64) -> Run {
        Run {
            workload: "W1".to_owned(),
            variant: "108 B".to_owned(),
            engine: engine.to_owned(),
            guarantee: "exactly-once-v2".to_owned(),
            records: 1_000_000,
            cpu_seconds,
            cpu_seconds_second_half: cpu_seconds / 2.0,
            wall_seconds: 2.0,
            peak_rss_bytes: 64 << 20,
            bytes_out: 108_000_000,
            settings: std::collections::BTreeMap::new(),
        }
    }

    #[test]
    fn the_page_tells_medians_ratios_and_goals() {
        let runs = [run("millstream", 1.0), run("kafka-streams", 6.0), run("millstream", 3.0), run("millstream", 2.0)];
        let facts = vec![("machine".to_owned(), "a fast one".to_owned())];
        let page = page(&runs, &Circumstances { facts });
        assert!(page.contains("- **machine**: a fast one"), "{page}");
        assert!(
            page.contains("| millstream | 3 | 2.00 (1.00 to 3.00) | 2.00 | 500 000 | 64 MiB | 103 MiB | 1.00 | 1.00 |"),
            "{page}"
        );
        assert!(page.contains("| kafka-streams | 1 | 6.00 (6.00 to 6.00) | 6.00 |"), "{page}");
        assert!(page.contains("| 0.33 | no |"), "{page}");
    }

    #[test]
    fn runs_of_different_machines_are_not_compared() {
        let on = |machine: &str, commit: &str, mut run: Run| {
            run.settings.insert(results::MACHINE.to_owned(), machine.into());
            run.settings.insert(results::COMMIT.to_owned(), commit.into());
            run
        };
        let ours = on("a fast one", "commit 2", run("millstream", 1.0));
        let page_with = |theirs| page(&[ours.clone(), theirs], &Circumstances { facts: Vec::new() });
        let elsewhere = page_with(on("a slow one", "commit 2", run("kafka-streams", 9.0)));
        assert!(!elsewhere.contains("of Kafka Streams'"), "{elsewhere}");
        assert!(elsewhere.contains("- [2] a slow one; commit 2\n"), "{elsewhere}");
        assert!(elsewhere.contains("| 108 B, 1 M records [2] | exactly-once-v2 | kafka-streams |"), "{elsewhere}");
        let earlier = page_with(on("a fast one", "commit 1", run("kafka-streams", 5.0)));
        assert!(earlier.contains("of Kafka Streams' (default) | 0.20 | yes |"), "{earlier}");
        assert!(earlier.contains("- [2] a fast one; commit 1\n"), "{earlier}");
        let same = page_with(on("a fast one", "commit 2", run("kafka-streams", 5.0)));
        assert!(!same.contains("[1]") && !same.contains("kept from other runs"), "{same}");
    }

    #[test]
    fn runs_of_different_sizes_are_not_compared() {
        let larger = Run { records: 2_000_000, ..run("kafka-streams", 6.0) };
        let page = page(&[run("millstream", 2.0), larger], &Circumstances { facts: Vec::new() });
        assert!(!page.contains("of Kafka Streams'"), "{page}");
        assert!(page.contains("| - | - |"), "{page}");
    }
}
