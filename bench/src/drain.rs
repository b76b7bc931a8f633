//! One run: an engine is given a full topic, and is watched until everything is committed.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::json;

use crate::bench::Bench;
use crate::engine::{Application, COMMIT_INTERVAL_MS, Engine, Guarantee};
use crate::output::{Digest, digest_of_topic};
use crate::process::Process;
use crate::results::Run;
use crate::workload::{Compare, Workload};

/// How often is looked what is committed.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);
/// How long nothing may be committed before it is looked whether the output is complete.
const QUIET: Duration = Duration::from_millis(700);
/// How long an output may stay wrong when nothing more is committed: an engine may have paused.
const WRONG_FOR: Duration = Duration::from_secs(30);
/// How long an engine may do nothing.
const STALLED: Duration = Duration::from_secs(120);

/// The setting of a run under which its growth of memory is kept: bytes a million records, in the second half.
pub const RESIDENT_GROWTH: &str = "resident_growth_bytes_per_million";

/// What a look at a running engine has seen.
#[derive(Clone, Copy, Debug)]
struct Sample {
    at: Instant,
    cpu_seconds: f64,
    committed: i64,
    resident_bytes: u64,
}

/// Runs `workload` on `engine`, and checks the output against `expected`.
///
/// # Errors
///
/// When the engine fails or stalls, or its output is wrong.
pub fn drain(
    bench: &Bench,
    workload: &Workload,
    input: &str,
    engine: Engine,
    guarantee: Guarantee,
    expected: &Digest,
) -> Result<Run> {
    let application = bench.application(workload, input, engine, guarantee)?;
    let command = application.command(&bench.installed, engine, workload)?;
    let log = application.directory.join("engine.log");
    let mut process = Process::start(&command, &bench.cores.engine, &log)?;
    let (started, name) = (process.started, format!("{} {} on {}", workload.name, workload.variant, engine.name()));
    let (watched, peak_rss_bytes) = watch(bench, workload, &application, expected, &mut process).context(name)?;
    process.kill();
    let Watched { half, last, found, growth } = watched;
    bench.clear(&application)?;
    Ok(Run {
        workload: workload.name.to_owned(),
        variant: workload.variant.clone(),
        engine: engine.name().to_owned(),
        guarantee: guarantee.name().to_owned(),
        records: workload.records,
        cpu_seconds: last.cpu_seconds,
        cpu_seconds_second_half: last.cpu_seconds - half.cpu_seconds,
        wall_seconds: (last.at - started).as_secs_f64(),
        peak_rss_bytes,
        bytes_out: found.bytes,
        settings: [
            ("partitions", json!(workload.partitions)),
            ("stream_threads", json!(workload.stream_threads)),
            ("commit_interval_ms", json!(COMMIT_INTERVAL_MS)),
            ("engine_cores", json!(bench.cores.engine)),
            ("broker_cores", json!(bench.cores.broker)),
            ("scale", json!(bench.scale)),
            (RESIDENT_GROWTH, json!(growth.round())),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into(),
    })
}

/// A finished run.
struct Watched {
    /// When half of the output was committed.
    half: Sample,
    /// When the last of it was.
    last: Sample,
    found: Digest,
    /// See [`growth`].
    growth: f64,
}

/// Watches until the output is complete, and tells the peak of resident memory until then.
fn watch(
    bench: &Bench,
    workload: &Workload,
    application: &Application,
    expected: &Digest,
    process: &mut Process,
) -> Result<(Watched, u64)> {
    // Control records of transactions are counted here as records are, and a cache may swallow updates: that enough is there is only the
    // reason to look closer.
    let enough = match workload.program.compare() {
        Compare::LastValues => expected.key_count() as i64,
        _ => expected.records.cast_signed(),
    };
    let mut samples: Vec<Sample> = Vec::new();
    let (mut last_change, mut looked_at) = (process.started, 0);
    loop {
        process.check_running()?;
        let committed = bench.cluster.committed_end(&application.output, workload.partitions)?;
        if committed > samples.last().map_or(0, |sample| sample.committed) {
            last_change = Instant::now();
            let (cpu_seconds, resident_bytes) = (process.cpu_seconds()?, process.resident_bytes()?.1);
            samples.push(Sample { at: last_change, cpu_seconds, committed, resident_bytes });
        } else if committed >= enough && committed > looked_at && last_change.elapsed() > QUIET {
            looked_at = committed;
            let peak = process.resident_bytes()?.0;
            let found = digest_of_topic(&bench.cluster, workload, &application.output)?;
            if expected.check(&found).is_ok() {
                return Ok((watched(&samples, found)?, peak));
            }
        } else if looked_at == committed && looked_at > 0 && last_change.elapsed() > WRONG_FOR {
            let found = digest_of_topic(&bench.cluster, workload, &application.output)?;
            expected.check(&found)?;
        } else if last_change.elapsed() > STALLED {
            bail!("it commits nothing more after {committed} records; its log ends:\n{}", process.log_end());
        }
        // What is committed is the broker's: there is nothing to be woken by.
        std::thread::sleep(LOOK_INTERVAL);
    }
}

fn watched(samples: &[Sample], found: Digest) -> Result<Watched> {
    let last = *samples.last().context("nothing was committed")?;
    let half = samples.iter().find(|sample| sample.committed * 2 >= last.committed);
    let half = *half.unwrap_or(&last);
    let steady: Vec<Sample> = samples.iter().filter(|sample| sample.committed >= half.committed).copied().collect();
    Ok(Watched { half, last, found, growth: growth(&steady) })
}

/// The slope of resident memory over committed records, in bytes a million, by least squares; 0 of too few samples.
fn growth(samples: &[Sample]) -> f64 {
    let count = samples.len() as f64;
    let points = || samples.iter().map(|sample| (sample.committed as f64 / 1e6, sample.resident_bytes as f64));
    let (mean_x, mean_y) = points().fold((0.0, 0.0), |(x, y), point| (x + point.0 / count, y + point.1 / count));
    let (products, squares) = points().fold((0.0, 0.0), |(products, squares), (x, y)| {
        (products + (x - mean_x) * (y - mean_y), squares + (x - mean_x).powi(2))
    });
    if squares > 0.0 { products / squares } else { 0.0 }
}

impl Bench {
    /// A new application with an empty directory and an output topic.
    ///
    /// # Errors
    ///
    /// When the broker or the file system refuses.
    pub fn application(
        &self,
        workload: &Workload,
        input: &str,
        engine: Engine,
        guarantee: Guarantee,
    ) -> Result<Application> {
        let id = self.next_application_id(engine);
        let output = format!("{id}-out");
        let directory = self.directory.join("runs").join(&id);
        if directory.exists() {
            fs::remove_dir_all(&directory)?;
        }
        fs::create_dir_all(&directory).with_context(|| format!("can't create {}", directory.display()))?;
        self.cluster.create_topic(&output, workload.partitions)?;
        let bootstrap = self.cluster.bootstrap.clone();
        Ok(Application {
            id,
            bootstrap,
            input: input.to_owned(),
            output,
            directory,
            guarantee,
            group_protocol: "consumer",
        })
    }

    /// Deletes the topics and the files of an application.
    ///
    /// # Errors
    ///
    /// When the broker or the file system refuses.
    pub fn clear(&self, application: &Application) -> Result<()> {
        self.cluster.delete_topics(&application.id)?;
        self.cluster.delete_topics(&format!("changelog__{}", application.id))?;
        self.cluster.delete_topics(&format!("repartition__{}", application.id))?;
        fs::remove_dir_all(&application.directory)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_is_the_slope_of_memory_over_records() {
        let sample =
            |(committed, resident_bytes)| Sample { at: Instant::now(), cpu_seconds: 0.0, committed, resident_bytes };
        let growing = [(0, 100), (1_000_000, 1_100), (2_000_000, 2_100)].map(sample);
        assert_eq!(growth(&growing), 1_000.0);
        assert_eq!(growth(&[(0, 7), (9, 7)].map(sample)), 0.0);
        assert_eq!(growth(&[]), 0.0);
    }
}
