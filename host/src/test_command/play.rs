//! Plays a case: gives the topology what the steps say, and compares what comes out.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use millstream_core::id::{Offset, TaskId, TopicName, TopicPartition};
use millstream_core::topology::{NodeKind, SinkTopic};
use millstream_core::{Error, Result};
use millstream_driver::{DriverOptions, LocatedRecord, ManualClock, StoredEntry, TestRecord, TopologyDriver};

use super::diff::{self, Pair, Writer};
use super::{counted, edits};
use crate::app::PluginSet;
use crate::cases::bytes::Expected;
use crate::cases::rewrite::Edit;
use crate::cases::{Action, Case, CaseFile, CommitMode, ExpectedEntry, ExpectedRecord, ExpectedStore, PipedRecord};
use crate::config::Application;

/// An application whose plugins are compiled.
pub struct Loaded {
    /// The manifest.
    pub application: Application,
    /// Its plugins.
    pub plugins: PluginSet,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The line of the step.
    pub line: usize,
    /// What is wrong with it, and the details in lines of their own.
    pub text: String,
}

/// What a case has shown.
#[derive(Clone, Debug, Default)]
pub struct Played {
    /// What is wrong; nothing, if the case passes.
    pub problems: Vec<Problem>,
    /// What would make the case say what came out; nothing, if a task has stopped of which no step knows.
    pub edits: Vec<Edit>,
}

/// Plays a case.
pub fn play(file: &CaseFile, case: &Case, loaded: &Loaded) -> Played {
    let mut played = Played::default();
    let clock = ManualClock::default();
    clock.advance(Duration::from_millis(case.start.unsigned_abs()));
    let driver = start(case, loaded, DriverOptions { clock, ..DriverOptions::default() });
    let driver = match driver {
        Ok(driver) => driver,
        Err(error) => {
            played.problems.push(Problem { line: case.line, text: explain(&error) });
            return played;
        }
    };
    let writer = Writer { syntax: file.syntax, formats: &file.formats };
    let (watched, unread) = (watched_topics(case, &loaded.application), BTreeMap::new());
    let (claimed, piped) = (BTreeSet::new(), BTreeSet::new());
    let is_cut_short = false;
    let mut player = Player { case, loaded, driver, writer, watched, unread, claimed, piped, is_cut_short, played };
    if let Err((line, error)) = player.run() {
        player.is_cut_short = true;
        player.problem(line, explain(&error));
    }
    if player.is_cut_short {
        player.played.edits.clear();
    }
    player.played
}

/// An error with its causes.
fn explain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    text
}

fn start(case: &Case, loaded: &Loaded, options: DriverOptions) -> Result<TopologyDriver> {
    let Application { settings, topology, .. } = &loaded.application;
    let mut thread = settings.stream_thread.clone();
    thread.poll_timeout = Duration::ZERO;
    // A case looks at the state itself.
    thread.apply_interval = Duration::ZERO;
    if case.commit != CommitMode::Interval {
        thread.commit_interval = Duration::ZERO;
    }
    let mut partitions = case.partitions.clone();
    // Topics that no node names: those that records choose, those that a pattern finds, those of dead letters.
    let named = case.steps.iter().filter_map(|step| step.action.topic()).map(ToString::to_string);
    let dead =
        settings.plugins.values().filter_map(|plugin| plugin.dead_letter_topic.as_ref()).map(ToString::to_string);
    let internal = internal_topics(&loaded.application);
    for topic in named.chain(dead).filter(|topic| !internal.contains(topic)) {
        partitions.entry(topic).or_insert(1);
    }
    let options = DriverOptions { settings: thread, partitions, ..options };
    TopologyDriver::try_new(topology.clone(), loaded.plugins.factory(), options)
}

/// The topics that the engine makes: with as many partitions as it needs.
fn internal_topics(application: &Application) -> BTreeSet<String> {
    let topology = &application.topology;
    let changelogs = topology.stores().iter().map(|store| topology.changelog_topic(&store.name).to_string());
    topology.repartitions().iter().map(|repartition| repartition.topic.to_string()).chain(changelogs).collect()
}

/// The topics of which everything must be expected: those that sinks and dead letters go to.
fn watched_topics(case: &Case, application: &Application) -> Vec<TopicName> {
    let mut topics: Vec<TopicName> = Vec::new();
    for node in application.topology.nodes() {
        if let NodeKind::Sink(sink) = &node.kind {
            match &sink.topic {
                SinkTopic::Name(topic) if !sink.internal => topics.push(topic.clone()),
                SinkTopic::Name(_) => {}
                SinkTopic::FromHeader(_) | SinkTopic::FromKey => {
                    topics.extend(case.partitions.keys().map(|topic| topic.as_str().into()))
                }
            }
        }
    }
    topics.extend(application.settings.plugins.values().filter_map(|plugin| plugin.dead_letter_topic.clone()));
    let mut seen = BTreeSet::new();
    topics.retain(|topic| !case.ignore.contains(topic.as_str()) && seen.insert(topic.clone()));
    topics
}

struct Player<'a> {
    case: &'a Case,
    loaded: &'a Loaded,
    driver: TopologyDriver,
    writer: Writer<'a>,
    watched: Vec<TopicName>,
    /// What came out and was not looked at yet.
    unread: BTreeMap<TopicName, Vec<LocatedRecord>>,
    /// Tasks of whose end a step knows, or that were told.
    claimed: BTreeSet<TaskId>,
    /// Where the case has written itself: a topic may be input and output.
    piped: BTreeSet<(TopicPartition, Offset)>,
    /// Whether what came out is not what the case would say: something has failed of which no step knows.
    is_cut_short: bool,
    played: Played,
}

type Stopped = (usize, Error);

impl Player<'_> {
    fn problem(&mut self, line: usize, text: impl Into<String>) {
        self.played.problems.push(Problem { line, text: text.into() });
    }

    fn run(&mut self) -> std::result::Result<(), Stopped> {
        let steps = &self.case.steps;
        let at_line = |line: usize| move |error| (line, error);
        self.driver.settle().map_err(at_line(self.case.line))?;
        let mut at = 0;
        while let Some(step) = steps.get(at) {
            if step.action.is_check() {
                let end = steps[at..].iter().position(|step| !step.action.is_check()).map_or(steps.len(), |n| at + n);
                self.check(at..end).map_err(at_line(step.line))?;
                at = end;
            } else {
                let next_pipes = matches!(steps.get(at + 1).map(|step| &step.action), Some(Action::Pipe(_)));
                self.perform(&step.action, next_pipes).map_err(at_line(step.line))?;
                at += 1;
            }
        }
        let last = steps.len() - 1;
        self.tell_failures(steps[last].line);
        self.check_leftovers(last).map_err(at_line(steps[last].line))
    }

    fn perform(&mut self, action: &Action, next_pipes: bool) -> Result<()> {
        match action {
            Action::Pipe(record) => {
                self.pipe(record)?;
                if self.case.commit == CommitMode::BeforeChecks && next_pipes { Ok(()) } else { self.driver.settle() }
            }
            Action::Advance(duration) => {
                self.driver.clock.advance(*duration);
                self.driver.settle()
            }
            Action::Restart => self.restart(),
            _ => Ok(()),
        }
    }

    fn pipe(&mut self, record: &PipedRecord) -> Result<()> {
        use millstream_core::port::Clock as _;
        let PipedRecord { topic, key, value, timestamp, headers, partition } = record.clone();
        let timestamp = timestamp.unwrap_or_else(|| self.driver.clock.wall_clock_time());
        let at = self.driver.try_write(topic.as_str(), partition, &TestRecord { key, value, timestamp, headers })?;
        self.piped.insert(at);
        Ok(())
    }

    fn restart(&mut self) -> Result<()> {
        self.driver.thread.close(false)?;
        let TopologyDriver { log, clock, .. } = &self.driver;
        let (log, clock, read_to) = (log.clone(), clock.clone(), self.driver.read_to());
        let options = DriverOptions { log, clock, read_to, ..DriverOptions::default() };
        self.driver = start(self.case, self.loaded, options)?;
        self.driver.settle()
    }

    // === Checks ===

    fn check(&mut self, block: std::ops::Range<usize>) -> Result<()> {
        let steps = &self.case.steps[block.clone()];
        let mut topics: Vec<&TopicName> = Vec::new();
        for topic in steps.iter().filter_map(|step| step.action.topic()) {
            if !topics.contains(&topic) {
                topics.push(topic);
            }
        }
        for step in steps {
            if let Action::Failure(text) = &step.action {
                self.check_failure(step.line, text);
            }
        }
        self.tell_failures(steps[0].line);
        for topic in topics {
            self.check_topic(topic, block.clone())?;
        }
        for (index, step) in block.zip(steps) {
            match &step.action {
                Action::Store(expected) => self.check_store(index, expected)?,
                Action::LeftOut(expected) => self.check_left_out(index, *expected),
                _ => {}
            }
        }
        Ok(())
    }

    /// What came out of a topic since it was looked at last.
    fn take_new(&mut self, topic: &TopicName) -> Result<Vec<LocatedRecord>> {
        let mut records = self.unread.remove(topic).unwrap_or_default();
        records.extend(self.driver.read_new(topic)?);
        records.retain(|record| {
            let partition = TopicPartition { topic: topic.clone(), partition: record.partition };
            !self.piped.contains(&(partition, record.offset))
        });
        Ok(records)
    }

    fn check_topic(&mut self, topic: &TopicName, block: std::ops::Range<usize>) -> Result<()> {
        let found = self.take_new(topic)?;
        let case = self.case;
        let mut nothing = None;
        let mut expected: Vec<(usize, &ExpectedRecord)> = Vec::new();
        for index in block {
            match &case.steps[index].action {
                Action::Expect(record) if record.topic == *topic => expected.push((index, record)),
                Action::ExpectNothing(other) if other == topic => nothing = Some(index),
                _ => {}
            }
        }
        let pairs =
            diff::align(expected.len(), found.len(), |one, other| diff::is_expected(expected[one].1, &found[other]));
        if pairs.iter().all(|pair| matches!(pair, Pair::Same(..))) {
            return Ok(());
        }
        let is_wrong = |pair: &&Pair| !matches!(pair, Pair::Same(..));
        let line = match pairs.iter().find(is_wrong) {
            Some(Pair::Missing(at)) => case.steps[expected[*at].0].line,
            _ => case.steps[expected.first().map(|(index, _)| *index).or(nothing).unwrap_or(0)].line,
        };
        let writer = self.writer;
        let likes = diff::likes(&pairs);
        let found: Vec<ExpectedRecord> = found
            .iter()
            .zip(&likes)
            .map(|(found, like)| writer.found(topic, found, like.map(|at| expected[at].1)))
            .collect();
        let (wanted, came) = (counted(expected.len(), "record"), counted(found.len(), "record"));
        let text = format!("topic {topic}: {wanted} expected (-), {came} came out (+)");
        let lines = diff::lines(&pairs, |at| writer.expected(expected[at].1), |at| writer.expected(&found[at]));
        self.problem(line, with_lines(text, lines));
        let indexes: Vec<usize> = expected.iter().map(|(index, _)| *index).collect();
        self.played.edits.extend(edits::of_topic(topic, &pairs, &indexes, nothing, found));
        Ok(())
    }

    fn check_store(&mut self, index: usize, expected: &ExpectedStore) -> Result<()> {
        let found = self.driver.entries(&expected.store)?;
        match expected.is_all {
            true => self.check_entries(index, expected, &found),
            false => self.check_entry(index, expected, &found),
        }
        Ok(())
    }

    /// The entry of one key.
    fn check_entry(&mut self, index: usize, expected: &ExpectedStore, found: &[StoredEntry]) {
        let ExpectedStore { store, entries, .. } = expected;
        let (entry, writer) = (&entries[0], self.writer);
        let there = found.iter().find(|found| entry.key.matches(Some(&found.key)));
        if diff::is_entry(entry, there) {
            return;
        }
        let there = there.map(|there| writer.entry_found(store, there, Some(entry)));
        let (wanted, shown) = (writer.entry(entry), there.as_ref().map(|there| writer.entry(there)));
        let text = format!(
            "store {store}: expected (-), there is (+)\n  - {}\n  + {}",
            diff::shortened(&wanted, shown.as_deref()),
            shown
                .as_ref()
                .map_or_else(|| "no entry of this key".to_owned(), |shown| diff::shortened(shown, Some(&wanted)))
        );
        self.problem(self.case.steps[index].line, text);
        let nothing = ExpectedEntry { key: entry.key.clone(), value: Expected::Null, timestamp: None };
        let entries = vec![there.unwrap_or(nothing)];
        self.played.edits.push(Edit::Replace(index, Action::Store(ExpectedStore { entries, ..expected.clone() })));
    }

    /// All entries.
    fn check_entries(&mut self, index: usize, expected: &ExpectedStore, found: &[StoredEntry]) {
        let (store, writer) = (&expected.store, self.writer);
        let mut wanted: Vec<_> = expected.entries.iter().collect();
        wanted.sort_by_key(|entry| entry.key.bytes().ok().flatten());
        let is_same = |one: usize, other: usize| {
            wanted[one].key.matches(Some(&found[other].key)) && diff::is_entry(wanted[one], Some(&found[other]))
        };
        let pairs = diff::align(wanted.len(), found.len(), is_same);
        if pairs.iter().all(|pair| matches!(pair, Pair::Same(..))) {
            return;
        }
        let likes = diff::likes(&pairs);
        let shown = |at: usize| writer.entry(&writer.entry_found(store, &found[at], likes[at].map(|at| wanted[at])));
        let text = format!("store {store}: {} expected (-), there are {} (+)", entries(wanted.len()), found.len());
        let lines = diff::lines(&pairs, |at| writer.entry(wanted[at]), shown);
        self.problem(self.case.steps[index].line, with_lines(text, lines));
        let entries = self.entries_found(expected, found);
        self.played.edits.push(Edit::Replace(index, Action::Store(ExpectedStore { entries, ..expected.clone() })));
    }

    /// What a case would say of a store: entries that it has named stay in their order.
    fn entries_found(&self, expected: &ExpectedStore, found: &[StoredEntry]) -> Vec<ExpectedEntry> {
        let (store, writer) = (&expected.store, self.writer);
        let mut others: Vec<&StoredEntry> = found.iter().collect();
        let mut after: Vec<(&[u8], ExpectedEntry)> = Vec::new();
        for entry in &expected.entries {
            if let Some(at) = others.iter().position(|found| entry.key.matches(Some(&found.key))) {
                let found = others.remove(at);
                after.push((&found.key, writer.entry_found(store, found, Some(entry))));
            }
        }
        for found in others {
            let at = after.iter().position(|(key, _)| *key > &found.key[..]).unwrap_or(after.len());
            after.insert(at, (&found.key, writer.entry_found(store, found, None)));
        }
        after.into_iter().map(|(_, entry)| entry).collect()
    }

    fn check_left_out(&mut self, index: usize, expected: u64) {
        let found = self.driver.thread.totals().records_dropped;
        if found != expected {
            let text = format!("left out: {expected} expected (-), {found} in fact (+)");
            self.problem(self.case.steps[index].line, text);
            self.played.edits.push(Edit::Replace(index, Action::LeftOut(found)));
        }
    }

    fn check_failure(&mut self, line: usize, text: &str) {
        let failed = self.driver.thread.failed_tasks();
        let new = failed.iter().filter(|(task, _)| !self.claimed.contains(task));
        match new.clone().find(|(_, reason)| reason.contains(text)) {
            Some((task, _)) => drop(self.claimed.insert(*task)),
            None => {
                let reasons: String = new.map(|(_, reason)| format!("\n  + {}", indented(reason))).collect();
                let found = if reasons.is_empty() { "; none has stopped".to_owned() } else { reasons };
                self.problem(line, format!("expected that a task has stopped, and why: {text:?}{found}"));
                let failed: Vec<TaskId> = self.driver.thread.failed_tasks().keys().copied().collect();
                self.claimed.extend(failed);
            }
        }
    }

    /// Tells of tasks that have stopped although no step says so.
    fn tell_failures(&mut self, line: usize) {
        let failed = self.driver.thread.failed_tasks().clone();
        for (task, reason) in failed {
            if self.claimed.insert(task) {
                self.is_cut_short = true;
                let text = format!(
                    "a task has stopped, of which no step knows (`failure` would say so):\n  + {}",
                    indented(&reason)
                );
                self.problem(line, text);
            }
        }
    }

    fn check_leftovers(&mut self, last: usize) -> Result<()> {
        for topic in self.watched.clone() {
            let found = self.take_new(&topic)?;
            if found.is_empty() {
                continue;
            }
            let writer = self.writer;
            let found: Vec<_> = found.iter().map(|found| writer.found(&topic, found, None)).collect();
            let pairs: Vec<_> = (0..found.len()).map(Pair::Extra).collect();
            let text = format!("topic {topic}: {} came out (+) that no step expects", counted(found.len(), "record"));
            let lines = diff::lines(&pairs, |_| String::new(), |at| writer.expected(&found[at]));
            self.problem(self.case.steps[last].line, with_lines(text, lines));
            let found = found.into_iter().map(Action::Expect).collect();
            self.played.edits.push(Edit::Insert(last + 1, found));
        }
        Ok(())
    }
}

fn with_lines(mut text: String, lines: Vec<String>) -> String {
    for line in lines {
        text.push('\n');
        text.push_str(&line);
    }
    text
}

fn entries(number: usize) -> String {
    if number == 1 { "1 entry".to_owned() } else { format!("{number} entries") }
}

/// A text of several lines below a `+`.
fn indented(text: &str) -> String {
    text.replace('\n', "\n    ")
}
