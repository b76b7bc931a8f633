//! What a seed decides before its world begins.

use std::collections::BTreeMap;
use std::time::Duration;

use millstream_core::commit::ProcessingGuarantee;
use millstream_core::id::TopicName;
use millstream_core::stream_thread::{OnError, StreamThreadSettings};

use super::application::{DEAD_LETTERS, JOBS, Job};
use super::group::Style;
use super::random::Random;

/// A mistake that is made on purpose, which the simulator must find: its canaries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sabotage {
    /// None.
    None,
    /// Changes are applied to the state when they are logged: steps 4 and 3 swapped.
    StateBeforeCommit,
    /// Records are flushed after the positions are committed: steps 2 and 3 swapped.
    FlushAfterPositions,
    /// Positions are committed beside the transaction and not in it.
    OffsetsOutsideTransaction,
    /// The broker does not look at members' generations.
    NoFencingOfMembers,
    /// Inputs and changelogs are read with their uncommitted records.
    UncommittedReads,
}

/// See the file's documentation.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The seed.
    pub seed: u64,
    /// The mistake that is made on purpose.
    pub sabotage: Sabotage,
    /// The application.
    pub job: Job,
    /// What is promised.
    pub guarantee: ProcessingGuarantee,
    /// How tasks find their threads.
    pub style: Style,
    /// Whether members that come back take their former places.
    pub is_static: bool,
    /// Processes.
    pub processes: usize,
    /// Threads of each process.
    pub threads: usize,
    /// Partitions of each topic.
    pub partitions: i32,
    /// Records that the application is fed with.
    pub records: usize,
    /// Whether all of them are there before the first process starts, with ascending timestamps.
    pub is_preloaded: bool,
    /// Which flags values have.
    pub flags: &'static str,
    /// Whether stores are on the disk.
    pub is_store_persistent: bool,
    /// Steps of chaos before the world calms down.
    pub steps: usize,
    /// Out of a thousand requests so many fail.
    pub fault_permille: usize,
    /// Out of a thousand rounds so many end with the death of the process.
    pub death_permille: usize,
    /// Out of a thousand rounds so many freeze.
    pub pause_permille: usize,
    /// How long a transaction may stay open.
    pub transaction_timeout: Duration,
    /// The threads' settings.
    pub settings: StreamThreadSettings,
}

impl Plan {
    /// The plan of `seed`.
    #[must_use]
    pub fn new(seed: u64, sabotage: Sabotage) -> Self {
        let mut random = Random::new(seed);
        let job = random.pick(&JOBS);
        let guarantee =
            if random.permille(750) { ProcessingGuarantee::ExactlyOnce } else { ProcessingGuarantee::AtLeastOnce };
        let (eager, cooperative) = (Style::Eager, Style::Cooperative);
        let style = random.pick(&[Style::Solo, eager, eager, cooperative, cooperative, Style::Abrupt]);
        let processes = if style == Style::Solo { 2 } else { random.within(1..=3) };
        let settings = settings(guarantee, &mut random);
        Self {
            seed,
            sabotage,
            job,
            guarantee,
            style,
            is_static: random.permille(500),
            processes,
            threads: random.within(1..=2),
            partitions: random.within(1..=3) as i32,
            records: random.within(5..=120),
            is_preloaded: random.permille(300),
            flags: random.pick(&["", "d", "dx", "dxsbr", "r", "dsb"]),
            is_store_persistent: random.permille(850),
            steps: random.within(100..=600),
            fault_permille: random.pick(&[0, 10, 30, 80]),
            death_permille: random.pick(&[0, 20, 50, 150]),
            pause_permille: random.pick(&[0, 20, 100]),
            transaction_timeout: Duration::from_millis(random.pick(&[150, 1000, 10_000])),
            settings,
        }
    }
}

fn settings(guarantee: ProcessingGuarantee, random: &mut Random) -> StreamThreadSettings {
    let policy = random.pick(&[OnError::Skip, OnError::DeadLetter, OnError::DeadLetter, OnError::Fail]);
    let plugin = "brittle".to_owned();
    let dead_letters = random.permille(800) || policy == OnError::DeadLetter;
    let dead_letter_topics = dead_letters.then(|| (plugin.clone(), TopicName::from(DEAD_LETTERS)));
    let settings = StreamThreadSettings {
        guarantee,
        commit_interval: Duration::from_millis(random.pick(&[0, 1, 5, 20, 100])),
        apply_interval: Duration::ZERO,
        rest_after: Duration::ZERO,
        task_idle_max: random.pick(&[None, Some(Duration::ZERO), Some(Duration::from_millis(20))]),
        buffered_records_max: random.within(1..=12),
        run_records_max: random.within(1..=8),
        batching: random.permille(700),
        write_buffer_bytes_max: random.pick(&[200, 2000, 1 << 20]),
        cache_bytes_max: 0,
        purge_interval: Duration::from_millis(random.pick(&[1, 50, 30_000])),
        task_timeout: Duration::from_secs(100_000),
        poll_timeout: Duration::from_millis(100),
        on_error: BTreeMap::from([(plugin, policy)]),
        dead_letter_topics: dead_letter_topics.into_iter().collect(),
    };
    // Not random choices of their own, so that seeds go on to mean what they meant.
    let apply_interval = Duration::from_millis([0, 10, 100, 1000][settings.run_records_max % 4]);
    let rest_after = Duration::from_millis([0, 30, 5000][settings.buffered_records_max % 3]);
    StreamThreadSettings { apply_interval, rest_after, cache_bytes_max: settings.write_buffer_bytes_max, ..settings }
}
