//! Compares what was expected with what came out, and shows both as the case file would write them.

use millstream_core::id::TopicName;
use millstream_driver::{LocatedRecord, StoredEntry, TestRecord};

use crate::cases::bytes::{Expected, Form, Syntax, likely_form};
use crate::cases::{Action, ExpectedEntry, ExpectedHeaders, ExpectedRecord, write};
use crate::dev::view::{Format, FormatRule, RecordView};

/// Lines of one difference that are shown.
const LINES_MAX: usize = 60;

/// What is the same, before and behind what is not: so many of them are shown.
const SAME_MAX: usize = 3;

/// Characters of a line that are shown.
const CHARACTERS_MAX: usize = 400;

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
    let most = expected.min(found);
    let head = (0..most).take_while(|&at| is_same(at, at)).count();
    let tail = (1..=most - head).take_while(|&back| is_same(expected - back, found - back)).count();
    let mut pairs: Vec<Pair> = (0..head).map(|at| Pair::Same(at, at)).collect();
    let between =
        align_between(expected - head - tail, found - head - tail, |one, other| is_same(head + one, head + other));
    pairs.extend(between.into_iter().map(|pair| match pair {
        Pair::Same(one, other) => Pair::Same(head + one, head + other),
        Pair::Missing(at) => Pair::Missing(head + at),
        Pair::Extra(at) => Pair::Extra(head + at),
    }));
    pairs.extend((1..=tail).rev().map(|back| Pair::Same(expected - back, found - back)));
    pairs
}

fn align_between(expected: usize, found: usize, is_same: impl Fn(usize, usize) -> bool) -> Vec<Pair> {
    // For longer lists the table would be too large.
    const CELLS_MAX: usize = 4_000_000;
    if expected.saturating_mul(found) > CELLS_MAX {
        return align_by_looking_ahead(expected, found, is_same);
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

/// Where two lists differ, goes on from the nearest places from which two in a row are the same.
fn align_by_looking_ahead(expected: usize, found: usize, is_same: impl Fn(usize, usize) -> bool) -> Vec<Pair> {
    const AHEAD_MAX: usize = 64;
    let is_again = |row: usize, column: usize| {
        let is_next = || row + 1 >= expected || column + 1 >= found || is_same(row + 1, column + 1);
        row < expected && column < found && is_same(row, column) && is_next()
    };
    let (mut row, mut column, mut pairs) = (0, 0, Vec::new());
    while row < expected && column < found {
        if is_same(row, column) {
            pairs.push(Pair::Same(row, column));
            (row, column) = (row + 1, column + 1);
            continue;
        }
        let mut steps = (1..=AHEAD_MAX).flat_map(|ahead| (0..=ahead).map(move |rows| (rows, ahead - rows)));
        let (rows, columns) = steps.find(|(rows, columns)| is_again(row + rows, column + columns)).unwrap_or((1, 1));
        pairs.extend((row..row + rows).map(Pair::Missing));
        pairs.extend((column..column + columns).map(Pair::Extra));
        (row, column) = (row + rows, column + columns);
    }
    pairs.extend((row..expected).map(Pair::Missing));
    pairs.extend((column..found).map(Pair::Extra));
    pairs
}

/// The expected one that stands for each that came out: itself, or the missing one just before it, if there is one.
pub fn likes(pairs: &[Pair]) -> Vec<Option<usize>> {
    let (mut likes, mut missing) = (Vec::new(), std::collections::VecDeque::new());
    let mut is_behind_extra = false;
    for pair in pairs {
        match pair {
            Pair::Same(expected, _) => {
                missing.clear();
                likes.push(Some(*expected));
            }
            Pair::Missing(at) => {
                if is_behind_extra {
                    missing.clear();
                }
                missing.push_back(*at);
            }
            Pair::Extra(_) => likes.push(missing.pop_front()),
        }
        is_behind_extra = matches!(pair, Pair::Extra(_));
    }
    likes
}

/// The lines of a difference: what is the same, `-` what is missing, `+` what came out instead. Not all that is the same is
/// shown, and of long lines only the parts in which they differ.
pub fn lines(pairs: &[Pair], expected: impl Fn(usize) -> String, found: impl Fn(usize) -> String) -> Vec<String> {
    let is_different = |at: usize| pairs.get(at).is_some_and(|pair| !matches!(pair, Pair::Same(..)));
    let is_near = |at: usize| (at.saturating_sub(SAME_MAX)..=at + SAME_MAX).any(is_different);
    let (mut lines, mut left_out, mut at) = (Vec::new(), 0, 0);
    let tell = |left_out: &mut usize, lines: &mut Vec<String>| match std::mem::take(left_out) {
        0 => {}
        number => lines.push(format!("    .. {number} more are as expected")),
    };
    let likes = likes(pairs);
    let replaced: std::collections::BTreeMap<usize, usize> = pairs
        .iter()
        .filter_map(|pair| if let Pair::Extra(at) = pair { Some((likes.get(*at).copied()??, *at)) } else { None })
        .collect();
    while at < pairs.len() && lines.len() < LINES_MAX {
        if is_near(at) {
            tell(&mut left_out, &mut lines);
            lines.push(match pairs[at] {
                Pair::Same(at, _) => format!("    {}", shortened(&expected(at), None)),
                Pair::Missing(at) => {
                    format!("  - {}", shortened(&expected(at), replaced.get(&at).map(|at| found(*at)).as_deref()))
                }
                Pair::Extra(at) => {
                    let like = likes.get(at).copied().flatten();
                    format!("  + {}", shortened(&found(at), like.map(&expected).as_deref()))
                }
            });
        } else {
            left_out += 1;
        }
        at += 1;
    }
    tell(&mut left_out, &mut lines);
    let more = pairs[at..].iter().filter(|pair| !matches!(pair, Pair::Same(..))).count();
    if more > 0 {
        lines.push(format!("    and {more} more differences"));
    }
    lines
}

/// The part of a long line in which it begins to differ from another, and its beginning.
pub fn shortened(line: &str, other: Option<&str>) -> String {
    let length = line.chars().count();
    if length <= CHARACTERS_MAX {
        return line.to_owned();
    }
    let same = other.map_or(0, |other| line.chars().zip(other.chars()).take_while(|(one, other)| one == other).count());
    let part = |from: usize, number: usize| line.chars().skip(from).take(number).collect::<String>();
    let cut = |number: usize| format!(" ..{number} characters.. ");
    if same < CHARACTERS_MAX / 2 {
        return format!("{}{}", part(0, CHARACTERS_MAX), cut(length - CHARACTERS_MAX));
    }
    // The beginning, and what stands around the difference.
    let (head, around) = (CHARACTERS_MAX / 4, CHARACTERS_MAX / 8);
    let from = same - around;
    let number = (CHARACTERS_MAX - head).min(length - from);
    let mut shown = format!("{}{}{}", part(0, head), cut(from - head), part(from, number));
    if from + number < length {
        shown.push_str(&cut(length - from - number));
    }
    shown
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
    /// What was expected, on one line.
    pub fn expected(&self, expected: &ExpectedRecord) -> String {
        write::step(&Action::Expect(expected.clone()), self.syntax)
    }

    /// What a case would say of a record that came out, with as much detail as `like` has where it is given.
    pub fn found(&self, topic: &TopicName, found: &LocatedRecord, like: Option<&ExpectedRecord>) -> ExpectedRecord {
        let record = &found.record;
        let view = RecordView::of(topic, self.formats);
        let headers = like.and_then(|like| like.headers.as_ref());
        let headers = headers.map(|expected| self.headers_found(record, expected, form_of(view.headers)));
        ExpectedRecord {
            topic: topic.clone(),
            key: self.bytes_found(record.key.as_deref(), like.map(|like| &like.key), view.key),
            value: self.bytes_found(record.value.as_deref(), like.map(|like| &like.value), view.value),
            timestamp: like.and_then(|like| like.timestamp).map(|_| record.timestamp),
            headers,
            partition: like.and_then(|like| like.partition).map(|_| found.partition),
        }
    }

    fn headers_found(&self, record: &TestRecord, like: &ExpectedHeaders, form: Option<Form>) -> ExpectedHeaders {
        if has_headers(record, like) {
            return like.clone();
        }
        let all = || {
            let of = |value: &Option<Vec<u8>>| Expected::of(value.as_deref(), form, self.syntax);
            ExpectedHeaders::Exactly(record.headers.iter().map(|(name, value)| (name.clone(), of(value))).collect())
        };
        let ExpectedHeaders::Among(names) = like else { return all() };
        // A table stays one if each of its names occurs once, and no value is one that the syntax can't write there.
        let found = names.iter().map(|(name, like)| {
            let mut values =
                record.headers.iter().filter(|(found, _)| found == name).map(|(_, value)| value.as_deref());
            match (values.next(), values.next()) {
                (Some(value), None) if value.is_some() || self.syntax == Syntax::Yaml => {
                    let kept = like.matches(value).then(|| like.clone());
                    Some((name.clone(), kept.unwrap_or_else(|| Expected::of(value, form, self.syntax))))
                }
                _ => None,
            }
        });
        found.collect::<Option<_>>().map_or_else(all, ExpectedHeaders::Among)
    }

    fn bytes_found(&self, found: Option<&[u8]>, like: Option<&Expected>, format: Format) -> Expected {
        // What is right stays as it was written.
        if let Some(like) = like.filter(|like| like.matches(found)) {
            return like.clone();
        }
        let is_text = found.is_some_and(is_plain_text);
        let form = form_of(format).or_else(|| like.and_then(Expected::form).filter(|_| !is_text));
        Expected::of(found, form, self.syntax)
    }

    /// An entry of a store, on one line.
    pub fn entry(&self, entry: &ExpectedEntry) -> String {
        write::entry_table(entry, self.syntax)
    }

    /// What a case would say of an entry of a store.
    pub fn entry_found(&self, store: &str, found: &StoredEntry, like: Option<&ExpectedEntry>) -> ExpectedEntry {
        let view = RecordView::of(&TopicName::from(store), self.formats);
        ExpectedEntry {
            key: self.bytes_found(Some(&found.key), like.map(|like| &like.key), view.key),
            value: self.bytes_found(Some(&found.value), like.map(|like| &like.value), view.value),
            timestamp: like.and_then(|like| like.timestamp).map(|_| found.timestamp),
        }
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

    #[test]
    fn what_differs_is_seen_among_thousands_and_in_long_lines() {
        let expected: Vec<String> = (0..5000).map(|at| format!("{}", at % 7)).collect();
        let mut found = expected.clone();
        found.insert(0, "first".to_owned());
        found[4000] = format!("{}{}", "x".repeat(1_000_000), "y");
        let pairs = align(expected.len(), found.len(), |one, other| expected[one] == found[other]);
        let shown = lines(&pairs, |at| expected[at].clone(), |at| found[at].clone());
        let long = format!("  + {} ..999601 characters.. ", "x".repeat(400));
        let most = "    .. 3993 more are as expected";
        assert_eq!(shown[..5], ["  + first", "    0", "    1", "    2", most]);
        assert_eq!(shown[9], long);
        assert_eq!(shown.len(), 14);
        assert_eq!(shortened(&found[4000], None), long[4..]);
        let other = format!("{}{}", "x".repeat(1_000_000), "z");
        let around = format!("{} ..999850 characters.. {}y", "x".repeat(100), "x".repeat(50));
        assert_eq!(shortened(&found[4000], Some(&other)), around);

        let same = |at: usize| vec![Pair::Same(at, at); 20];
        let pairs = [same(0), vec![Pair::Missing(1), Pair::Extra(1)], same(2)].concat();
        let shown = lines(&pairs, |at| at.to_string(), |at| format!("{at}!"));
        let same = ["    .. 17 more are as expected", "    0", "    0", "    0", "  - 1"];
        assert_eq!(shown, [&same[..], &["  + 1!", "    2", "    2", "    2", same[0]]].concat());
    }
}
