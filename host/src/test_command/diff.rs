//! Compares what was expected with what came out, and shows both as the case file would write them.

use millstream_core::id::TopicName;
use millstream_driver::{LocatedRecord, StoredEntry, TestRecord};

use crate::cases::bytes::{Expected, Form, Syntax, likely_form};
use crate::cases::{ExpectedEntry, ExpectedHeaders, ExpectedRecord};
use crate::dev::view::{Format, FormatRule, RecordView};

/// Lines of one difference that are shown.
const LINES_MAX: usize = 60;

/// How two lists line up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pair {
    /// The expected one with this index is the found one with that.
    Same(usize, usize),
    /// The expected one with this index is missing.
    Missing(usize),
    /// The found one with this index was not expected.
    Extra(usize),
}

/// Lines two lists up, so that as many as possible are the same: the longest common subsequence.
pub fn align(expected: usize, found: usize, is_same: impl Fn(usize, usize) -> bool) -> Vec<Pair> {
    // Longer lists are compared place by place: the table would be too large.
    const CELLS_MAX: usize = 4_000_000;
    if expected.saturating_mul(found) > CELLS_MAX {
        return place_by_place(expected, found, is_same);
    }
    let width = found + 1;
    let mut lengths = vec![0_u32; (expected + 1) * width];
    for row in (0..expected).rev() {
        for column in (0..found).rev() {
            lengths[row * width + column] = if is_same(row, column) {
                lengths[(row + 1) * width + column + 1] + 1
            } else {
                lengths[(row + 1) * width + column].max(lengths[row * width + column + 1])
            };
        }
    }
    let (mut row, mut column, mut pairs) = (0, 0, Vec::new());
    while row < expected || column < found {
        if row < expected && column < found && is_same(row, column) {
            pairs.push(Pair::Same(row, column));
            row += 1;
            column += 1;
        } else if column == found
            || row < expected && lengths[(row + 1) * width + column] >= lengths[row * width + column + 1]
        {
            pairs.push(Pair::Missing(row));
            row += 1;
        } else {
            pairs.push(Pair::Extra(column));
            column += 1;
        }
    }
    pairs
}

fn place_by_place(expected: usize, found: usize, is_same: impl Fn(usize, usize) -> bool) -> Vec<Pair> {
    let pair = |at: usize| match (at < expected, at < found) {
        (true, true) if is_same(at, at) => vec![Pair::Same(at, at)],
        (true, true) => vec![Pair::Missing(at), Pair::Extra(at)],
        (true, false) => vec![Pair::Missing(at)],
        _ => vec![Pair::Extra(at)],
    };
    (0..expected.max(found)).flat_map(pair).collect()
}

/// The lines of a difference: what is the same, `-` what is missing, `+` what came out instead.
pub fn lines(pairs: &[Pair], expected: impl Fn(usize) -> String, found: impl Fn(usize) -> String) -> Vec<String> {
    let mut lines: Vec<String> = pairs
        .iter()
        .map(|pair| match pair {
            Pair::Same(at, _) => format!("    {}", expected(*at)),
            Pair::Missing(at) => format!("  - {}", expected(*at)),
            Pair::Extra(at) => format!("  + {}", found(*at)),
        })
        .collect();
    if lines.len() > LINES_MAX {
        let more = lines.len() - LINES_MAX;
        lines.truncate(LINES_MAX);
        lines.push(format!("    and {more} more"));
    }
    lines
}

/// Whether a record is the one that is expected.
pub fn is_expected(expected: &ExpectedRecord, found: &LocatedRecord) -> bool {
    let record = &found.record;
    expected.key.matches(record.key.as_deref())
        && expected.value.matches(record.value.as_deref())
        && expected.timestamp.is_none_or(|timestamp| timestamp == record.timestamp)
        && expected.partition.is_none_or(|partition| partition == found.partition)
        && expected.headers.as_ref().is_none_or(|headers| has_headers(record, headers))
}

fn has_headers(record: &TestRecord, expected: &ExpectedHeaders) -> bool {
    let is = |(name, expected): &(String, Expected), (found, value): &(String, Option<Vec<u8>>)| {
        name == found && expected.matches(value.as_deref())
    };
    match expected {
        ExpectedHeaders::Exactly(list) => {
            list.len() == record.headers.len() && list.iter().zip(&record.headers).all(|(one, other)| is(one, other))
        }
        ExpectedHeaders::Among(list) => {
            list.iter().all(|expected| record.headers.iter().any(|found| is(expected, found)))
        }
    }
}

/// Whether an entry of a store is the one that is expected; `None`: there is no entry.
pub fn is_entry(expected: &ExpectedEntry, found: Option<&StoredEntry>) -> bool {
    match found {
        None => expected.value == Expected::Null,
        Some(found) => {
            expected.value.matches(Some(&found.value))
                && expected.timestamp.is_none_or(|timestamp| timestamp == found.timestamp)
        }
    }
}

/// Writes records and entries in a syntax.
#[derive(Clone, Copy, Debug)]
pub struct Writer<'a> {
    /// The syntax.
    pub syntax: Syntax,
    /// How bytes are shown where nothing else says it.
    pub formats: &'a [FormatRule],
}

impl Writer<'_> {
    /// What was expected.
    pub fn expected(&self, expected: &ExpectedRecord) -> String {
        let ExpectedRecord { topic, key, value, timestamp, headers, partition } = expected;
        let mut members = vec![("expect", self.syntax.word(topic.as_str()))];
        self.push_expected(&mut members, "key", key);
        self.push_expected(&mut members, "value", value);
        members.extend(timestamp.map(|timestamp| ("timestamp", timestamp.to_string())));
        members.extend(partition.map(|partition| ("partition", partition.to_string())));
        members.extend(headers.as_ref().map(|headers| ("headers", self.headers_expected(headers))));
        self.syntax.table(&members)
    }

    /// What came out, with as much detail as `like` has where it is given.
    pub fn found(&self, topic: &TopicName, found: &LocatedRecord, like: Option<&ExpectedRecord>) -> String {
        let record = &found.record;
        let view = RecordView::of(topic, self.formats);
        let mut members = vec![("expect", self.syntax.word(topic.as_str()))];
        self.push_found(&mut members, "key", record.key.as_deref(), like.map(|like| &like.key), view.key);
        self.push_found(&mut members, "value", record.value.as_deref(), like.map(|like| &like.value), view.value);
        if like.is_some_and(|like| like.timestamp.is_some()) {
            members.push(("timestamp", record.timestamp.to_string()));
        }
        if like.is_some_and(|like| like.partition.is_some()) {
            members.push(("partition", found.partition.to_string()));
        }
        match like.and_then(|like| like.headers.as_ref()) {
            None => {}
            Some(expected) if has_headers(record, expected) => {
                members.push(("headers", self.headers_expected(expected)));
            }
            Some(_) => members.push((
                "headers",
                self.pairs(record.headers.iter().map(|(name, value)| {
                    let form = form_of(view.headers);
                    (name.as_str(), value.as_deref().map(|value| self.syntax.bytes(Some(value), form)))
                })),
            )),
        }
        self.syntax.table(&members)
    }

    fn headers_expected(&self, expected: &ExpectedHeaders) -> String {
        match expected {
            ExpectedHeaders::Exactly(list) => {
                self.pairs(list.iter().map(|(name, value)| {
                    (name.as_str(), (*value != Expected::Null).then(|| self.bytes_expected(value)))
                }))
            }
            ExpectedHeaders::Among(list) => {
                let list: Vec<_> =
                    list.iter().map(|(name, value)| (self.syntax.name(name), self.bytes_expected(value))).collect();
                let list: Vec<_> = list.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
                self.syntax.table(&list)
            }
        }
    }

    fn pairs<'p>(&self, pairs: impl Iterator<Item = (&'p str, Option<String>)>) -> String {
        let pair = |(name, value): (&str, Option<String>)| {
            let name = self.syntax.text(name);
            value.map_or_else(|| format!("[{name}]"), |value| format!("[{name}, {value}]"))
        };
        format!("[{}]", pairs.map(pair).collect::<Vec<_>>().join(", "))
    }

    fn push_expected(&self, members: &mut Vec<(&'static str, String)>, name: &'static str, expected: &Expected) {
        if *expected != Expected::Null {
            members.push((name, self.bytes_expected(expected)));
        }
    }

    fn bytes_expected(&self, expected: &Expected) -> String {
        match expected {
            Expected::Null => "null".to_owned(),
            Expected::Bytes(bytes, form) => self.syntax.bytes(Some(bytes), Some(*form)),
            Expected::Json(_, text) => self.syntax.bytes(Some(text.as_bytes()), Some(Form::Json)),
            Expected::Any => self.syntax.table(&[("any", "true".to_owned())]),
            Expected::Contains(part) => self.syntax.table(&[("contains", self.syntax.text(part))]),
        }
    }

    fn push_found(
        &self,
        members: &mut Vec<(&'static str, String)>,
        name: &'static str,
        found: Option<&[u8]>,
        like: Option<&Expected>,
        format: Format,
    ) {
        // What is right stays as it was written.
        if let Some(like) = like.filter(|like| like.matches(found)) {
            return self.push_expected(members, name, like);
        }
        if let Some(found) = found {
            let form = form_of(format).or_else(|| like.and_then(Expected::form).filter(|_| !is_plain_text(found)));
            members.push((name, self.syntax.bytes(Some(found), form)));
        }
    }

    /// An entry of a store that was expected.
    pub fn entry_expected(&self, entry: &ExpectedEntry) -> String {
        let mut members = Vec::new();
        self.push_expected(&mut members, "key", &entry.key);
        self.push_expected(&mut members, "value", &entry.value);
        members.extend(entry.timestamp.map(|timestamp| ("timestamp", timestamp.to_string())));
        self.syntax.table(&members)
    }

    /// An entry of a store that is there.
    pub fn entry_found(&self, store: &str, found: &StoredEntry, like: Option<&ExpectedEntry>) -> String {
        self.syntax.table(&self.entry_members(store, found, like))
    }

    fn entry_members(
        &self,
        store: &str,
        found: &StoredEntry,
        like: Option<&ExpectedEntry>,
    ) -> Vec<(&'static str, String)> {
        let view = RecordView::of(&TopicName::from(store), self.formats);
        let mut members = Vec::new();
        self.push_found(&mut members, "key", Some(&found.key), like.map(|like| &like.key), view.key);
        self.push_found(&mut members, "value", Some(&found.value), like.map(|like| &like.value), view.value);
        if like.is_some_and(|like| like.timestamp.is_some()) {
            members.push(("timestamp", found.timestamp.to_string()));
        }
        members
    }

    /// A step that says what the store holds for the key of `expected`.
    pub fn store_step(&self, store: &str, expected: &ExpectedEntry, found: Option<&StoredEntry>) -> String {
        let mut members = vec![("store", self.syntax.word(store))];
        match found {
            Some(found) => members.extend(self.entry_members(store, found, Some(expected))),
            None => self.push_expected(&mut members, "key", &expected.key),
        }
        self.syntax.table(&members)
    }
}

/// Whether bytes are text that was not likely meant as anything else. Eight letters are no long.
fn is_plain_text(bytes: &[u8]) -> bool {
    likely_form(bytes) == Form::Text && serde_json::from_slice::<serde::de::IgnoredAny>(bytes).is_err()
}

fn form_of(format: Format) -> Option<Form> {
    match format {
        Format::Auto => None,
        Format::String => Some(Form::Text),
        Format::Long => Some(Form::Long),
        Format::Integer => Some(Form::Integer),
        Format::Double => Some(Form::Double),
        Format::Json => Some(Form::Json),
        Format::Base64 => Some(Form::Base64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_line_up_by_what_they_have_in_common() {
        let (expected, found) = (b"abcde", b"axcyde");
        let pairs = align(expected.len(), found.len(), |one, other| expected[one] == found[other]);
        let shown = lines(&pairs, |at| (expected[at] as char).to_string(), |at| (found[at] as char).to_string());
        assert_eq!(shown, ["    a", "  - b", "  + x", "    c", "  + y", "    d", "    e"]);
    }
}
