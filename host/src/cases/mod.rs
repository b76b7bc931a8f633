//! Cases: what a topology is given, and what must come out, as TOML or YAML files say it.

pub mod bytes;
mod from_toml;
mod from_yaml;
mod names;
pub mod node;
mod patch;
mod reader;
pub mod rewrite;
mod time;
pub mod write;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use millstream_core::id::{Timestamp, TopicName};

use crate::config::{Mistake, Mistakes, Notes};
use crate::dev::view::FormatRule;
use bytes::{Expected, Syntax};
use node::{Kind, Node};

pub use names::check_names;
pub use reader::MANIFEST;

/// A file of cases.
#[derive(Clone, Debug)]
pub struct CaseFile {
    /// Where it is.
    pub path: PathBuf,
    /// Its text.
    pub text: String,
    /// The language that it is written in.
    pub syntax: Syntax,
    /// The manifest of the application.
    pub manifest: PathBuf,
    /// How bytes are shown.
    pub formats: Vec<FormatRule>,
    /// The cases, at least one.
    pub cases: Vec<Case>,
}

/// A case.
#[derive(Clone, Debug)]
pub struct Case {
    /// What is promised.
    pub name: String,
    /// The line of its name.
    pub line: usize,
    /// What happens, one after the other; at least one.
    pub steps: Vec<Step>,
    /// Partitions of topics; 1 for those not named.
    pub partitions: BTreeMap<String, i32>,
    /// Where the names in `partitions` and `ignore` are.
    pub topic_spans: Vec<Placed>,
    /// The wall-clock time at the beginning.
    pub start: Timestamp,
    /// When it commits.
    pub commit: CommitMode,
    /// Topics whose records nobody need expect.
    pub ignore: BTreeSet<String>,
}

/// A name and where it is written.
pub type Placed = (String, Range<usize>);

/// When a case commits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CommitMode {
    /// After each record and all that follows from it.
    #[default]
    EachRecord,
    /// Before the next step that writes no record; records in a row travel in batches.
    BeforeChecks,
    /// By the manifest's `commit-interval`.
    Interval,
}

/// A step of a case.
#[derive(Clone, Debug)]
pub struct Step {
    /// Where it is written.
    pub span: Range<usize>,
    /// Its line.
    pub line: usize,
    /// What it does.
    pub action: Action,
}

/// What a step does.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Writes a record.
    Pipe(PipedRecord),
    /// Lets wall-clock time go on.
    Advance(Duration),
    /// Stops and starts again on an empty disk.
    Restart,
    /// A record came out.
    Expect(ExpectedRecord),
    /// Nothing came out of the topic.
    ExpectNothing(TopicName),
    /// What a store holds.
    Store(ExpectedStore),
    /// A task has stopped, and its reason contains the text.
    Failure(String),
    /// The number of records that were left out.
    LeftOut(u64),
}

impl Action {
    /// Whether the step looks at what came out, and changes nothing.
    #[must_use]
    pub fn is_check(&self) -> bool {
        !matches!(self, Self::Pipe(_) | Self::Advance(_) | Self::Restart)
    }

    /// The topic that the step names.
    #[must_use]
    pub fn topic(&self) -> Option<&TopicName> {
        match self {
            Self::Pipe(record) => Some(&record.topic),
            Self::Expect(record) => Some(&record.topic),
            Self::ExpectNothing(topic) => Some(topic),
            _ => None,
        }
    }
}

/// Names and values of headers.
pub type HeaderList<T> = Vec<(String, T)>;

/// A record that is written.
#[derive(Clone, Debug, PartialEq)]
pub struct PipedRecord {
    /// The topic.
    pub topic: TopicName,
    /// The key.
    pub key: Option<Vec<u8>>,
    /// The value.
    pub value: Option<Vec<u8>>,
    /// The timestamp; the wall-clock time if there is none.
    pub timestamp: Option<Timestamp>,
    /// The headers.
    pub headers: HeaderList<Option<Vec<u8>>>,
    /// The partition; the default partitioner chooses if there is none.
    pub partition: Option<i32>,
}

/// A record that must have come out.
#[derive(Clone, Debug, PartialEq)]
pub struct ExpectedRecord {
    /// The topic.
    pub topic: TopicName,
    /// The key.
    pub key: Expected,
    /// The value.
    pub value: Expected,
    /// The timestamp, where it matters.
    pub timestamp: Option<Timestamp>,
    /// The headers, where they matter.
    pub headers: Option<ExpectedHeaders>,
    /// The partition, where it matters.
    pub partition: Option<i32>,
}

/// Headers that a record must have.
#[derive(Clone, Debug, PartialEq)]
pub enum ExpectedHeaders {
    /// These and no others, in this order.
    Exactly(HeaderList<Expected>),
    /// These among others.
    Among(HeaderList<Expected>),
}

/// What a store must hold.
#[derive(Clone, Debug, PartialEq)]
pub struct ExpectedStore {
    /// The store.
    pub store: String,
    /// The entries: all of them, or those of some keys.
    pub entries: Vec<ExpectedEntry>,
    /// Whether there may be no others.
    pub is_all: bool,
}

/// An entry of a store.
#[derive(Clone, Debug, PartialEq)]
pub struct ExpectedEntry {
    /// The key.
    pub key: Expected,
    /// The value; null where there must be no entry.
    pub value: Expected,
    /// The timestamp, where it matters.
    pub timestamp: Option<Timestamp>,
}

/// Reads the cases at `path`.
///
/// # Errors
///
/// All mistakes.
pub fn load(path: &Path) -> Result<CaseFile, Mistakes> {
    if syntax_of(path).is_none() && path.exists() {
        return Err(no_syntax(path));
    }
    let text = std::fs::read(path)
        .map_err(|error| at_all(path, format!("can't read the cases: {error}; give a file or a directory")))?;
    let text = String::from_utf8(text).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let line = error.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count() + 1;
        at_all(path, format!("line {line} is not UTF-8; save the file as UTF-8, and give bytes as {{base64: ..}}"))
    })?;
    parse(text, path)
}

fn no_syntax(path: &Path) -> Mistakes {
    let message = "this is not a case file: those are .toml, .yaml and .yml files; give one of them, or a directory that has them \
                   in folders named `cases`";
    at_all(path, message.to_owned())
}

/// Reads a value as it stands behind a name.
fn read_value(text: &str, syntax: Syntax) -> Option<Node> {
    let text = format!("x{}{text}", syntax.is());
    let root = read_document(&text, syntax, &mut Notes::new(Path::new(""), &text))?;
    match root.kind {
        Kind::Table(members) => members.into_iter().next().map(|member| member.value),
        _ => None,
    }
}

fn read_document(text: &str, syntax: Syntax, notes: &mut Notes<'_>) -> Option<Node> {
    match syntax {
        Syntax::Toml => from_toml::read(text, notes),
        Syntax::Yaml => from_yaml::read(text, notes),
    }
}

/// Reads cases from `text`; `path` says in which language it is written, and is named in mistakes.
///
/// # Errors
///
/// All mistakes.
pub fn parse(text: String, path: &Path) -> Result<CaseFile, Mistakes> {
    match syntax_of(path) {
        Some(syntax) => reader::read(text, path, syntax),
        None => Err(no_syntax(path)),
    }
}

fn at_all(path: &Path, message: String) -> Mistakes {
    Mistakes { path: path.into(), mistakes: vec![Mistake { line: 0, column: 0, message }] }
}

/// The language that a file is written in, by its ending.
#[must_use]
pub fn syntax_of(path: &Path) -> Option<Syntax> {
    match path.extension()?.to_str()? {
        "toml" => Some(Syntax::Toml),
        "yaml" | "yml" => Some(Syntax::Yaml),
        _ => None,
    }
}
