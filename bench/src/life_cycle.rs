//! W8: the same application from its first start to its restore, with what each step costs.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::json;

use crate::bench::{Bench, Plan};
use crate::cluster::TopicReader;
use crate::engine::{Application, Engine, Guarantee};
use crate::fill::{self, Writer};
use crate::goals::life_cycle::{COMMIT, IDLE, RESTART_CLEAN, RESTART_KILLED, RESTORE, START, START_NEW};
use crate::process::Process;
use crate::progress::say;
use crate::results::Run;
use crate::workload::{Count, Data, Program, Workload};

/// Entries in the stores at full size.
const ENTRIES: f64 = 5e6;
const VALUE_BYTES: usize = 100;
/// Records under way when the process is killed, at full size.
const KILLED_RECORDS: f64 = 1e6;
/// A thousand records a second for five seconds.
const COMMIT_PACE: Duration = Duration::from_millis(20);
const COMMIT_RECORDS_A_PACE: u64 = 20;
const COMMIT_PERIOD_PACES: u32 = 250;
/// How long an idle process is watched, after it has had as long to become idle.
const IDLE_PERIOD: Duration = Duration::from_secs(10);
/// How long a step may take: Kafka Streams waits 45 s for its former self.
const STEP_TIMEOUT: Duration = Duration::from_secs(180);
/// How often a log is looked into.
const LOOK_INTERVAL: Duration = Duration::from_millis(5);
/// After those of the topics that were filled, and not in the future, which brokers refuse.
const FIRST_TIMESTAMP: i64 = 1_780_000_000_000;

/// Measures every engine that has state, one after the other, as often as the plan says.
///
/// # Errors
///
/// When an engine does not do what is asked of it.
pub fn run(bench: &Bench, plan: &Plan, add: &mut impl FnMut(Run) -> Result<()>) -> Result<()> {
    let workload = Workload {
        name: "W8",
        variant: String::new(),
        records: ((ENTRIES * bench.scale) as u64).max(10_000),
        data: Data::EachKeyOnce { value_bytes: VALUE_BYTES },
        program: Program::Update,
        partitions: 4,
        stream_threads: 1,
    };
    say(format_args!("W8: filling {} records", Count(workload.records)));
    let full = fill::input_topic(&bench.cluster, &workload)?;
    for _ in 0..plan.runs {
        for engine in
            [Engine::Millstream, Engine::KafkaStreams].into_iter().filter(|engine| plan.engines.contains(engine))
        {
            for run in measure(bench, &workload, &full, engine).with_context(|| format!("W8 on {}", engine.name()))? {
                say(format_args!(
                    "  {:<14} {:<32} {:7.2} s, {:.2} CPU-s, {} MiB",
                    run.engine,
                    run.variant,
                    run.wall_seconds,
                    run.cpu_seconds,
                    run.peak_rss_bytes >> 20
                ));
                add(run)?;
            }
        }
    }
    Ok(())
}

/// One application through its life; its steps need each other.
fn measure(bench: &Bench, workload: &Workload, full: &str, engine: Engine) -> Result<Vec<Run>> {
    let mut runs = vec![new_application(bench, workload, engine)?];
    let mut subject = Subject::new(bench, workload, full, engine)?;
    let process = subject.start("consumer")?;
    subject.await_committed(&process, workload.records)?;
    runs.push(subject.idle(&process)?);
    process.stop()?;
    runs.push(subject.first_output(RESTART_CLEAN, "consumer")?);
    runs.push(subject.first_output_after_kill()?);
    if engine == Engine::Millstream {
        runs.push(subject.first_output(START, "solo")?);
        runs.push(subject.commits()?);
    }
    runs.push(subject.restore()?);
    bench.clear(&subject.application)?;
    Ok(runs)
}

/// An application that nobody knows yet, with one record to read.
fn new_application(bench: &Bench, workload: &Workload, engine: Engine) -> Result<Run> {
    let mut subject = Subject::with_own_input(bench, workload, engine)?;
    let run = subject.first_output(START_NEW, "consumer")?;
    bench.cluster.delete_topics(&subject.application.input)?;
    bench.clear(&subject.application)?;
    Ok(run)
}

/// The application that is measured.
struct Subject<'a> {
    bench: &'a Bench,
    workload: &'a Workload,
    engine: Engine,
    application: Application,
    /// Records sent beyond those that the topic had.
    sent: u64,
}

impl<'a> Subject<'a> {
    fn new(bench: &'a Bench, workload: &'a Workload, input: &str, engine: Engine) -> Result<Self> {
        // The records that are sent later would spoil the full topic for the next: each has a copy of its own.
        let mut subject = Self::with_own_input(bench, workload, engine)?;
        let mut writer = Writer::new(&bench.cluster.bootstrap, &subject.application.input)?;
        let mut outcome = Ok(());
        bench.cluster.read(input, workload.partitions, |record| {
            use rdkafka::message::Message as _;
            let timestamp = record.timestamp().to_millis().unwrap_or(0);
            let (key, value) = (record.key().unwrap_or_default(), record.payload().unwrap_or_default());
            if outcome.is_ok() {
                outcome = writer.send(key, value, timestamp, None);
            }
        })?;
        outcome?;
        writer.flush()?;
        subject.sent = 0;
        Ok(subject)
    }

    fn with_own_input(bench: &'a Bench, workload: &'a Workload, engine: Engine) -> Result<Self> {
        let mut application = bench.application(workload, "", engine, Guarantee::ExactlyOnceV2)?;
        application.input = format!("{}-in", application.id);
        bench.cluster.create_topic(&application.input, workload.partitions)?;
        Ok(Self { bench, workload, engine, application, sent: 0 })
    }

    fn start(&mut self, group_protocol: &'static str) -> Result<Process> {
        self.application.group_protocol = group_protocol;
        let command = self.application.command(&self.bench.installed, self.engine, self.workload)?;
        self.start_command(&command)
    }

    fn start_command(&self, command: &Command) -> Result<Process> {
        Process::start(command, &self.bench.cores.engine, &self.application.directory.join("engine.log"))
    }

    /// Waits until the output has so many records, control records included, and no more come.
    fn await_committed(&self, process: &Process, records: u64) -> Result<()> {
        let mut last = (0, Instant::now());
        while last.0 < records.cast_signed() || last.1.elapsed() < Duration::from_secs(2) {
            let committed = self.committed()?;
            if committed > last.0 {
                last = (committed, Instant::now());
            }
            if last.1.elapsed() > STEP_TIMEOUT {
                bail!("{committed} records are committed of {records}; the log ends:\n{}", process.log_end());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    fn committed(&self) -> Result<i64> {
        self.bench.cluster.committed_end(&self.application.output, self.workload.partitions)
    }

    /// Sends records of keys that go round.
    fn send(&mut self, count: u64) -> Result<()> {
        let mut writer = Writer::new(&self.bench.cluster.bootstrap, &self.application.input)?;
        self.send_with(&mut writer, count)
    }

    fn send_with(&mut self, writer: &mut Writer, count: u64) -> Result<()> {
        for _ in 0..count {
            self.sent += 1;
            let timestamp = FIRST_TIMESTAMP + self.sent.cast_signed();
            writer.send(&self.sent.to_be_bytes(), &[7; VALUE_BYTES], timestamp, None)?;
        }
        writer.flush()
    }

    /// A process that has nothing to do: its CPU time in the period, and the memory it has then.
    fn idle(&self, process: &Process) -> Result<Run> {
        std::thread::sleep(IDLE_PERIOD);
        let (begin, cpu) = (Instant::now(), process.cpu_seconds()?);
        std::thread::sleep(IDLE_PERIOD);
        let cpu = process.cpu_seconds()? - cpu;
        let resident = process.resident_bytes()?.1;
        Ok(self.run(IDLE, self.workload.records, begin.elapsed(), cpu, resident))
    }

    /// Starts the application with one record to read; the time until what comes of it is committed.
    fn first_output(&mut self, variant: &str, group_protocol: &'static str) -> Result<Run> {
        self.send(1)?;
        let reader = self.reader_at_end()?;
        let process = self.start(group_protocol)?;
        let run = self.await_output(variant, reader, &process)?;
        process.stop()?;
        Ok(run)
    }

    /// Sends records at a slow pace; the median time of a commit, as the host tells it.
    fn commits(&mut self) -> Result<Run> {
        let mut command = self.application.command(&self.bench.installed, self.engine, self.workload)?;
        let process = self.start_command(command.env("MILLSTREAM_LOG", "info,millstream_core=debug"))?;
        let mut writer = Writer::new(&self.bench.cluster.bootstrap, &self.application.input)?;
        for _ in 0..COMMIT_PERIOD_PACES {
            self.send_with(&mut writer, COMMIT_RECORDS_A_PACE)?;
            std::thread::sleep(COMMIT_PACE);
        }
        let (elapsed, cpu) = (process.started.elapsed(), process.cpu_seconds()?);
        let mut times: Vec<f64> = process.log_text().lines().filter_map(commit_seconds).collect();
        times.sort_by(f64::total_cmp);
        let median = times.get(times.len() / 2).copied();
        let median = median.with_context(|| format!("no commit is told; the log ends:\n{}", process.log_end()))?;
        let run = self.run(COMMIT, self.sent, elapsed, cpu, process.resident_bytes()?.0);
        process.stop()?;
        Ok(Run { wall_seconds: median, ..run })
    }

    fn reader_at_end(&self) -> Result<TopicReader> {
        self.bench.cluster.reader_at_end(&self.application.output, self.workload.partitions)
    }

    fn await_output(&self, variant: &str, mut reader: TopicReader, process: &Process) -> Result<Run> {
        while !reader.poll(LOOK_INTERVAL, &mut |_| ())? {
            if process.started.elapsed() > STEP_TIMEOUT {
                bail!("{variant}: nothing is committed; the log ends:\n{}", process.log_end());
            }
        }
        let (elapsed, cpu) = (process.started.elapsed(), process.cpu_seconds()?);
        Ok(self.run(variant, 1, elapsed, cpu, process.resident_bytes()?.0))
    }

    /// The same after the process was killed in the middle of its work.
    fn first_output_after_kill(&mut self) -> Result<Run> {
        let process = self.start("consumer")?;
        let before = self.committed()?;
        let records = ((KILLED_RECORDS * self.bench.scale) as u64).max(10_000);
        self.send(records)?;
        let begin = Instant::now();
        while self.committed()? == before {
            if begin.elapsed() > STEP_TIMEOUT {
                bail!("nothing is committed, so it can't be killed in its work; the log ends:\n{}", process.log_end());
            }
        }
        process.kill();
        let reader = self.reader_at_end()?;
        // If it was too quick, there is at least this one to do.
        self.send(1)?;
        let process = self.start("consumer")?;
        let run = self.await_output(RESTART_KILLED, reader, &process)?;
        self.await_committed(&process, self.workload.records + self.sent)?;
        process.stop()?;
        Ok(run)
    }

    /// The time from the first "restoring" in the log to the last "restored", with an empty state directory.
    fn restore(&mut self) -> Result<Run> {
        std::fs::remove_dir_all(self.application.state_directory())?;
        let process = self.start("solo")?;
        let mut begin = None;
        loop {
            let text = process.log_text();
            let told = |word: &str| {
                text.matches(&format!("\"{word}\"")).count() + text.lines().filter(|line| is_said(line, word)).count()
            };
            if begin.is_none() && told("restoring") > 0 {
                begin = Some((Instant::now(), process.cpu_seconds()?));
            }
            if let Some((begin, cpu)) = begin.filter(|_| told("restored") >= self.workload.partitions as usize) {
                let (elapsed, cpu) = (begin.elapsed(), process.cpu_seconds()? - cpu);
                let peak = process.resident_bytes()?.0;
                process.stop()?;
                return Ok(self.run(RESTORE, self.workload.records, elapsed, cpu, peak));
            }
            if process.started.elapsed() > STEP_TIMEOUT {
                bail!("it is not restored; the log ends:\n{}", process.log_end());
            }
            std::thread::sleep(LOOK_INTERVAL);
        }
    }

    fn run(&self, variant: &str, records: u64, elapsed: Duration, cpu_seconds: f64, memory: u64) -> Run {
        Run {
            workload: self.workload.name.to_owned(),
            variant: variant.to_owned(),
            engine: self.engine.name().to_owned(),
            guarantee: self.application.guarantee.name().to_owned(),
            records,
            cpu_seconds,
            cpu_seconds_second_half: 0.0,
            wall_seconds: elapsed.as_secs_f64(),
            peak_rss_bytes: memory,
            bytes_out: 0,
            settings: [
                ("entries", json!(self.workload.records)),
                ("partitions", json!(self.workload.partitions)),
                (
                    "group_protocol",
                    json!(if self.engine == Engine::Millstream { self.application.group_protocol } else { "classic" }),
                ),
                ("scale", json!(self.bench.scale)),
            ]
            .map(|(name, value)| (name.to_owned(), value))
            .into(),
        }
    }
}

/// What a line of the log says of a commit.
fn commit_seconds(line: &str) -> Option<f64> {
    let line: serde_json::Value = serde_json::from_str(line).ok()?;
    Some(line.get("took_us")?.as_f64()? / 1e6)
}

/// How the Java programs say it.
fn is_said(line: &str, word: &str) -> bool {
    line.split(' ').next() == Some(word)
}
