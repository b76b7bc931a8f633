//! Reads a file of cases, and notes everything that is wrong with it.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::{Component, Path, PathBuf};

use millstream_core::id::TopicName;

use super::bytes::{Expected, Syntax};
use super::node::{Member, Node, member};
use super::{
    Action, Case, CaseFile, CommitMode, ExpectedEntry, ExpectedHeaders, ExpectedRecord, ExpectedStore, HeaderList,
    PipedRecord, Placed, Step, read_document, time,
};
use crate::config::{Mistakes, Notes, hint, parse_duration};

/// The manifest that cases belong to when they name none.
pub const MANIFEST: &str = "millstream.toml";

/// What only manifests have.
const MANIFEST_KEYS: &[&str] = &["application", "kafka", "plugins", "stores", "sources", "processors", "sinks"];

const FILE_KEYS: &[&str] = &["app", "formats", "cases"];
const CASE_KEYS: &[&str] = &["name", "steps", "partitions", "start", "commit", "ignore"];
const COMMIT_MODES: &[&str] = &["each-record", "before-checks", "interval"];

/// The keys that say what a step does, and those that go with each.
const STEPS: &[(&str, &[&str])] = &[
    ("pipe", &["key", "value", "timestamp", "headers", "partition"]),
    ("advance", &[]),
    ("restart", &[]),
    ("expect", &["key", "value", "timestamp", "headers", "partition"]),
    ("expect-nothing", &[]),
    ("store", &["key", "value", "timestamp", "entries"]),
    ("failure", &[]),
    ("left-out", &[]),
];

/// The most partitions of a topic, as in dev mode.
const PARTITIONS_MAX: i64 = 1024;

pub fn read(text: String, path: &Path, syntax: Syntax) -> Result<CaseFile, Mistakes> {
    let mut notes = Notes::new(path, &text);
    let Some(root) = read_document(&text, syntax, &mut notes) else { return Err(notes.into_mistakes()) };
    let newlines = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at).collect();
    let mut reader = Reader { notes, newlines };
    let read = reader.file(&root, path);
    let notes = reader.notes;
    match read {
        Some((manifest, formats, cases)) if notes.is_clean() => {
            Ok(CaseFile { path: path.into(), syntax, manifest, formats, cases, text })
        }
        _ => Err(notes.into_mistakes()),
    }
}

struct Reader<'a> {
    notes: Notes<'a>,
    newlines: Vec<usize>,
}

type File = (PathBuf, Vec<crate::dev::view::FormatRule>, Vec<Case>);

impl Reader<'_> {
    /// Notes a mistake, and gives nothing.
    fn wrong<T>(&mut self, span: &Range<usize>, message: impl Into<String>) -> Option<T> {
        self.notes.mistake(span, message);
        None
    }

    fn line_of(&self, span: &Range<usize>) -> usize {
        self.newlines.partition_point(|newline| *newline < span.start) + 1
    }

    /// The members of a table whose names are all known.
    fn members<'n>(&mut self, node: &'n Node, what: &str, known: &[&str]) -> Option<&'n [Member]> {
        let Some(members) = node.table() else {
            return self.wrong(&node.span, format!("{what} must be a table, found {}", node.describe()));
        };
        for member in members {
            self.check_known(member, what, known);
        }
        Some(members)
    }

    fn check_known(&mut self, member: &Member, what: &str, known: &[&str]) {
        let name = member.name.as_str();
        if known.contains(&name) {
            return;
        }
        let near = hint(name, known.iter().copied());
        let rest = if near.is_empty() { format!("; known are {}", known.join(", ")) } else { near };
        self.notes.mistake(&member.span, format!("unknown key `{name}` in {what}{rest}"));
    }

    fn file(&mut self, root: &Node, path: &Path) -> Option<File> {
        if root.member("cases").is_none() && MANIFEST_KEYS.iter().any(|name| root.member(name).is_some()) {
            let message = "this is a manifest, not a case file; give its directory, and `millstream test` runs the cases in folders \
                           named `cases` below it; a case file belongs to the nearest millstream.toml, or to the manifest that its \
                           `app` names";
            return self.wrong(&(0..0), message);
        }
        let members = self.members(root, "a case file", FILE_KEYS)?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let manifest = match member(members, "app") {
            Some(node) => match node.text() {
                Some(app) => Some(plain(&folder.join(app))),
                None => self.wrong(&node.span, format!("`app` must be a path, found {}", node.describe())),
            },
            None => {
                let nearest = manifest_above(folder);
                let message =
                    format!("there is no {MANIFEST} here or above; name the manifest: `app`, a path from this file");
                nearest.or_else(|| self.wrong(&(0..0), message))
            }
        };
        let formats = self.texts(members, "formats").into_iter().filter_map(|(span, text)| match text.parse() {
            Ok(rule) => Some(rule),
            Err(message) => self.wrong(&span, format!("`formats`: {message}")),
        });
        let formats = formats.collect();
        let cases = match member(members, "cases") {
            Some(node) => match node.list() {
                Some(cases) if !cases.is_empty() => cases,
                _ => return self.wrong(&node.span, "`cases` must be a list of cases, at least one"),
            },
            None => return self.wrong(&(0..0), "there is no `cases`, the list of cases"),
        };
        let mut names = BTreeSet::new();
        let mut read = Vec::new();
        for node in cases {
            let Some(case) = self.case(node) else { continue };
            if !names.insert(case.name.clone()) {
                self.notes.mistake(&node.span, format!("there are two cases {:?}; give one another name", case.name));
            }
            read.push(case);
        }
        Some((manifest?, formats, read))
    }

    fn texts(&mut self, members: &[Member], name: &str) -> Vec<(Range<usize>, String)> {
        let Some(node) = member(members, name) else { return Vec::new() };
        let items = match node.list() {
            Some(items) => items,
            None => std::slice::from_ref(node),
        };
        let mut texts = Vec::new();
        for item in items {
            match item.text() {
                Some(text) => texts.push((item.span.clone(), text.to_owned())),
                None => {
                    self.notes.mistake(&item.span, format!("`{name}`: expected a text, found {}", item.describe()));
                }
            }
        }
        texts
    }

    fn case(&mut self, node: &Node) -> Option<Case> {
        let members = self.members(node, "a case", CASE_KEYS)?;
        let name = match member(members, "name") {
            Some(name) => match name.text() {
                Some(text) if !text.trim().is_empty() => Some((text.to_owned(), self.line_of(&name.span))),
                _ => self.wrong(&name.span, "`name` must be a text that says what is promised"),
            },
            None => self.wrong(&node.span, "a case needs `name`: what is promised"),
        };
        let (partitions, mut topic_spans) = self.partitions(members);
        let start = self.point_in_time(members, "start");
        let commit = self.commit(members);
        let ignore = self.texts(members, "ignore");
        topic_spans.extend(ignore.iter().map(|(span, topic)| (topic.clone(), span.clone())));
        let ignore = ignore.into_iter().map(|(_, topic)| topic).collect();
        let steps = match member(members, "steps") {
            Some(steps) => match steps.list() {
                Some(steps) if !steps.is_empty() => steps.iter().filter_map(|step| self.step(step)).collect(),
                _ => return self.wrong(&steps.span, "`steps` must be a list of steps, at least one"),
            },
            None => return self.wrong(&node.span, "a case needs `steps`: what happens, one after the other"),
        };
        let (name, line) = name?;
        Some(Case { name, line, steps, partitions, topic_spans, start: start.unwrap_or(0), commit: commit?, ignore })
    }

    fn commit(&mut self, members: &[Member]) -> Option<CommitMode> {
        let Some(node) = member(members, "commit") else { return Some(CommitMode::default()) };
        match node.text() {
            Some("each-record") => Some(CommitMode::EachRecord),
            Some("before-checks") => Some(CommitMode::BeforeChecks),
            Some("interval") => Some(CommitMode::Interval),
            other => {
                let near = other.map(|word| hint(word, COMMIT_MODES.iter().copied())).unwrap_or_default();
                let (modes, found) = (COMMIT_MODES.join(", "), node.describe());
                self.wrong(&node.span, format!("`commit`: expected one of {modes}, found {found}{near}"))
            }
        }
    }

    fn partitions(&mut self, members: &[Member]) -> (BTreeMap<String, i32>, Vec<Placed>) {
        let (mut partitions, mut spans) = (BTreeMap::new(), Vec::new());
        let Some(node) = member(members, "partitions") else { return (partitions, spans) };
        let Some(topics) = node.table() else {
            let message = format!("`partitions` must be a table of topics and numbers, found {}", node.describe());
            self.notes.mistake(&node.span, message);
            return (partitions, spans);
        };
        for Member { name, span, value } in topics {
            match value.integer().filter(|number| (1..=PARTITIONS_MAX).contains(number)) {
                Some(number) => drop(partitions.insert(name.clone(), number as i32)),
                None => {
                    let found = value.describe();
                    let message = format!("`{name}`: expected a number from 1 to {PARTITIONS_MAX}, found {found}");
                    self.notes.mistake(&value.span, message);
                }
            }
            spans.push((name.clone(), span.clone()));
        }
        (partitions, spans)
    }

    fn point_in_time(&mut self, members: &[Member], name: &str) -> Option<i64> {
        let node = member(members, name)?;
        time::read(node).or_else(|| {
            let (expected, found) = (time::EXPECTED, node.describe());
            self.wrong(&node.span, format!("`{name}`: expected {expected}, found {found}"))
        })
    }

    fn step(&mut self, node: &Node) -> Option<Step> {
        let Some(members) = node.table() else {
            let example = "such as {pipe: TOPIC, value: ..}";
            return self.wrong(&node.span, format!("a step must be a table, {example}, found {}", node.describe()));
        };
        let is_action = |member: &&Member| STEPS.iter().any(|(name, _)| *name == member.name);
        let actions: Vec<&Member> = members.iter().filter(is_action).collect();
        let [action] = actions[..] else {
            return match actions.get(1) {
                Some(second) => {
                    let (one, two) = (&actions[0].name, &second.name);
                    self.wrong(&second.span, format!("a step does one thing, not `{one}` and `{two}`; make two of it"))
                }
                None => self.no_action(node, members),
            };
        };
        let (name, others) = STEPS.iter().find(|(name, _)| *name == action.name)?;
        for other in members.iter().filter(|member| member.name != *name) {
            self.check_known(other, &format!("a step `{name}`"), others);
        }
        let line = self.line_of(&node.span);
        let action = self.action(name, &action.value, members)?;
        Some(Step { span: node.span.clone(), line, action })
    }

    fn no_action<T>(&mut self, node: &Node, members: &[Member]) -> Option<T> {
        let names: Vec<&str> = STEPS.iter().map(|(name, _)| *name).collect();
        let near = members.iter().find_map(|member| {
            let near = hint(&member.name, names.iter().copied());
            (!near.is_empty()).then(|| (member.span.clone(), format!("unknown step `{}`{near}", member.name)))
        });
        let (span, message) = near
            .unwrap_or_else(|| (node.span.clone(), format!("a step must have one of the keys {}", names.join(", "))));
        self.wrong(&span, message)
    }

    fn action(&mut self, name: &str, value: &Node, members: &[Member]) -> Option<Action> {
        let expected = match name {
            "pipe" => match value.text() {
                Some(topic) => return self.piped(topic.into(), members).map(Action::Pipe),
                None => "a topic",
            },
            "expect" => match value.text() {
                Some(topic) => return self.expected_record(topic.into(), members).map(Action::Expect),
                None => "a topic",
            },
            "expect-nothing" => match value.text() {
                Some(topic) => return Some(Action::ExpectNothing(topic.into())),
                None => "a topic",
            },
            "store" => match value.text() {
                Some(store) => return self.expected_store(store, value, members).map(Action::Store),
                None => "the name of a store",
            },
            "advance" => match value.text().and_then(parse_duration) {
                Some(duration) => return Some(Action::Advance(duration)),
                None => "a duration such as \"100ms\", \"30s\" or \"5m\"",
            },
            "failure" => match value.text() {
                Some(text) => return Some(Action::Failure(text.to_owned())),
                None => "a text that the reason contains",
            },
            "left-out" => match value.integer().and_then(|number| u64::try_from(number).ok()) {
                Some(number) => return Some(Action::LeftOut(number)),
                None => "a whole number",
            },
            _ => match value.kind {
                super::node::Kind::Flag(true) => return Some(Action::Restart),
                _ => "true",
            },
        };
        self.wrong(&value.span, format!("`{name}`: expected {expected}, found {}", value.describe()))
    }

    fn piped(&mut self, topic: TopicName, members: &[Member]) -> Option<PipedRecord> {
        let key = self.written(members, "key");
        let value = self.written(members, "value");
        let timestamp = self.point_in_time(members, "timestamp");
        let partition = self.partition(members);
        let mut headers = Vec::new();
        for (name, expected) in self.headers(members)?.map(|(headers, _)| headers).unwrap_or_default() {
            match expected.bytes() {
                Ok(bytes) => headers.push((name, bytes)),
                Err(message) => {
                    let span = member(members, "headers").map_or(0..0, |node| node.span.clone());
                    self.notes.mistake(&span, format!("header `{name}`: {message}"));
                }
            }
        }
        Some(PipedRecord { topic, key: key?, value: value?, timestamp, headers, partition })
    }

    /// Bytes that are written; null where nothing is said.
    fn written(&mut self, members: &[Member], name: &str) -> Option<Option<Vec<u8>>> {
        let expected = self.expected(members, name)?;
        expected.bytes().map_or_else(
            |message| {
                let span = member(members, name).map_or(0..0, |node| node.span.clone());
                self.wrong(&span, format!("`{name}`: {message}"))
            },
            Some,
        )
    }

    fn expected(&mut self, members: &[Member], name: &str) -> Option<Expected> {
        let Some(node) = member(members, name) else { return Some(Expected::Null) };
        match Expected::read(node) {
            Ok(expected) => Some(expected),
            Err(message) => self.wrong(&node.span, format!("`{name}`: {message}")),
        }
    }

    fn partition(&mut self, members: &[Member]) -> Option<i32> {
        let node = member(members, "partition")?;
        let partition = node.integer().filter(|number| (0..PARTITIONS_MAX).contains(number));
        match partition {
            Some(partition) => Some(partition as i32),
            None => self.wrong(&node.span, format!("`partition`: expected a number from 0, found {}", node.describe())),
        }
    }

    /// The headers, and whether they are a list of pairs. The outer `None`: they are wrong.
    fn headers(&mut self, members: &[Member]) -> Option<Option<(HeaderList<Expected>, bool)>> {
        let Some(node) = member(members, "headers") else { return Some(None) };
        let mut headers = Vec::new();
        let is_list = node.list().is_some();
        let mut read = |reader: &mut Self, name: &str, value: Option<&Node>| match value.map(Expected::read) {
            None => headers.push((name.to_owned(), Expected::Null)),
            Some(Ok(expected)) => headers.push((name.to_owned(), expected)),
            Some(Err(message)) => {
                let span = value.map_or(0..0, |value| value.span.clone());
                reader.notes.mistake(&span, format!("header `{name}`: {message}"));
            }
        };
        if let Some(members) = node.table() {
            members.iter().for_each(|member| read(self, &member.name, Some(&member.value)));
        } else if let Some(items) = node.list() {
            for item in items {
                match item.list() {
                    Some([name]) if name.text().is_some() => read(self, name.text().unwrap_or_default(), None),
                    Some([name, value]) if name.text().is_some() => {
                        read(self, name.text().unwrap_or_default(), Some(value));
                    }
                    _ => self.notes.mistake(&item.span, "a header must be a pair [name, value] whose name is a text"),
                }
            }
        } else {
            let message = format!("`headers` must be a table or a list of pairs, found {}", node.describe());
            return self.wrong(&node.span, message);
        }
        Some(Some((headers, is_list)))
    }

    fn expected_record(&mut self, topic: TopicName, members: &[Member]) -> Option<ExpectedRecord> {
        let key = self.expected(members, "key");
        let value = self.expected(members, "value");
        let timestamp = self.point_in_time(members, "timestamp");
        let partition = self.partition(members);
        let headers = self.headers(members)?.map(|(headers, is_list)| match is_list {
            true => ExpectedHeaders::Exactly(headers),
            false => ExpectedHeaders::Among(headers),
        });
        Some(ExpectedRecord { topic, key: key?, value: value?, timestamp, headers, partition })
    }

    fn expected_store(&mut self, store: &str, at: &Node, members: &[Member]) -> Option<ExpectedStore> {
        let store = store.to_owned();
        match (member(members, "entries"), member(members, "key")) {
            (Some(_), Some(key)) => self.wrong(&key.span, "a step `store` has `key` or `entries`, not both"),
            (None, None) => self
                .wrong(&at.span, "a step `store` needs `key` and its `value`, or `entries`: all that the store holds"),
            (None, Some(_)) => {
                let entries = vec![self.entry(members)?];
                Some(ExpectedStore { store, entries, is_all: false })
            }
            (Some(list), None) => {
                let Some(items) = list.list() else {
                    return self.wrong(&list.span, format!("`entries` must be a list, found {}", list.describe()));
                };
                let mut entries = Vec::new();
                for item in items {
                    let members = self.members(item, "an entry", &["key", "value", "timestamp"]);
                    entries.extend(members.and_then(|members| self.entry(members)));
                }
                Some(ExpectedStore { store, entries, is_all: true })
            }
        }
    }

    fn entry(&mut self, members: &[Member]) -> Option<ExpectedEntry> {
        let timestamp = self.point_in_time(members, "timestamp");
        let key = self.expected(members, "key")?;
        if matches!(key, Expected::Null) {
            let span = members.first().map_or(0..0, |member| member.span.clone());
            return self.wrong(&span, "an entry of a store needs `key`");
        }
        Some(ExpectedEntry { key, value: self.expected(members, "value")?, timestamp })
    }
}

/// The manifest in `folder` or the nearest one above.
fn manifest_above(folder: &Path) -> Option<PathBuf> {
    let absolute = std::path::absolute(if folder.as_os_str().is_empty() { Path::new(".") } else { folder }).ok()?;
    let levels = absolute.ancestors().position(|above| above.join(MANIFEST).is_file())?;
    let up: PathBuf = std::iter::repeat_n("..", levels).collect();
    Some(plain(&folder.join(up).join(MANIFEST)))
}

/// The path without the parts that `..` takes back. Links are not looked at: the path is for people to read.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if matches!(plain.components().next_back(), Some(Component::Normal(_))) => {
                plain.pop();
            }
            other => plain.push(other),
        }
    }
    plain
}
