//! What the results depend on beside the engines: the machine, the versions, the settings, and what else the machine did.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use crate::bench::{Bench, Plan};
use crate::engine::{COMMIT_INTERVAL_MS, Engine, output_of};
use crate::process::machine_busy_seconds;
use crate::results::{COMMIT, Circumstances, FILES, MACHINE};

/// The fact that tells how much else the machine did.
pub const OTHERS: &str = "other load";

/// All that is known before the first run.
#[must_use]
pub fn gather(bench: &Bench, plan: &Plan, place: &Place) -> Circumstances {
    let [machine, files, (_, commit)] = place.clone();
    let mut facts = vec![
        ("date", date()),
        machine,
        ("cores", format!("broker and bench on {}, engine on {}", bench.cores.broker, bench.cores.engine)),
        files,
        ("Millstream", commit),
        ("Kafka and Kafka Streams", format!("{}; {}", kafka_version(&bench.installed.checkout), java_version())),
        ("librdkafka", rdkafka::util::get_rdkafka_version().1),
    ];
    if plan.engines.contains(&Engine::Quix) {
        facts.push(("Quix Streams", include_str!("../quix/requirements.txt").trim().to_owned()));
    }
    let warm_up = if plan.has_warm_up() { " after one that is not counted" } else { "" };
    facts.push((
        "settings",
        format!(
            "runs by turns, there and back{warm_up}, one stream thread, topics of 4 partitions and 1 replica, a commit every {COMMIT_INTERVAL_MS} ms on all \
             sides under both guarantees; all else as it comes. `kafka-streams-tuned`: linger 50 ms, batches of 256 KiB. One JVM per run with Java's \
             default flags"
        ),
    ));
    Circumstances { facts: facts.into_iter().map(|(name, value)| (name.to_owned(), value)).collect() }
}

/// Machine, files and commit, as settings that all runs have in common: results may be kept.
pub type Place = [(&'static str, String); 3];

/// See [`Place`].
#[must_use]
pub fn place(bench: &Bench) -> Place {
    [(MACHINE, machine()), (FILES, files(bench)), (COMMIT, commit(bench))]
}

/// How busy the machine was when a run began.
pub struct Busy {
    at: Instant,
    busy_seconds: f64,
}

impl Busy {
    /// As of now.
    #[must_use]
    pub fn now() -> Self {
        Self { at: Instant::now(), busy_seconds: machine_busy_seconds() }
    }

    /// The fact of what the machine did since beside the engines, of which `engine_seconds` are known. The broker counts as other.
    #[must_use]
    pub fn of_others(&self, engine_seconds: f64) -> (String, String) {
        let elapsed = self.at.elapsed().as_secs_f64();
        let cores = machine_cores();
        let engines = engine_seconds / elapsed;
        let others = (machine_busy_seconds() - self.busy_seconds) / elapsed - engines;
        let text = format!(
            "on average {engines:.2} of {cores} cores were busy with the engines, {others:.2} with everything else (the broker, the bench \
             itself and whatever else ran on the machine; more than one core of it means that others shared the engine's core, which makes caches \
             colder and times longer)"
        );
        (OTHERS.to_owned(), text)
    }
}

fn line_of(path: &str, field: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().find(|line| line.starts_with(field))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// All of the machine's, not only those that this program is pinned to.
fn machine_cores() -> usize {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    text.lines().filter(|line| line.starts_with("processor")).count()
}

fn processor() -> String {
    line_of("/proc/cpuinfo", "model name").unwrap_or_else(|| std::env::consts::ARCH.to_owned())
}

fn memory_gib() -> u64 {
    let kib = line_of("/proc/meminfo", "MemTotal").and_then(|text| text.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) >> 20
}

fn kernel() -> String {
    fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned()
}

fn machine() -> String {
    format!("{}, {} cores, {} GiB memory, Linux {}", processor(), machine_cores(), memory_gib(), kernel())
}

/// On a disk, the first engine after a filling pays for its writeback: 1 KiB records then cost up to twice as much.
fn files(bench: &Bench) -> String {
    let file_system = said(Command::new("stat").args(["--file-system", "--format=%T"]).arg(&bench.directory));
    format!("topics and state on {file_system}")
}

/// Stands for what a command would have said, had it not failed.
const UNKNOWN: &str = "unknown";

fn said(command: &mut Command) -> String {
    output_of(command).unwrap_or_else(|_| UNKNOWN.to_owned())
}

fn date() -> String {
    said(Command::new("date").args(["-u", "+%Y-%m-%d %H:%M UTC"]))
}

/// `-dirty` if anything differs from it that the results are of: documents and results are not.
fn commit(bench: &Bench) -> String {
    let git = |arguments: &[&str]| said(Command::new("git").arg("-C").arg(&bench.installed.checkout).args(arguments));
    let name = git(&["describe", "--always"]);
    let changed = git(&["diff", "--name-only", "HEAD", "--", ".", ":!*.md", ":!bench/results.*"]);
    let dirty = if changed.is_empty() || name == UNKNOWN { "" } else { "-dirty" };
    format!("commit {name}{dirty}")
}

fn kafka_version(checkout: &Path) -> String {
    let pom = fs::read_to_string(checkout.join("tests/kafka/pom.xml")).unwrap_or_default();
    let version = pom.split_once("<kafka.version>").and_then(|(_, rest)| rest.split_once('<'));
    version.map_or_else(|| "unknown".to_owned(), |(version, _)| version.to_owned())
}

fn java_version() -> String {
    // It tells on standard error.
    let output = Command::new("java").arg("-version").output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stderr).into_owned()).unwrap_or_default();
    text.lines().nth(1).unwrap_or("unknown").to_owned()
}
