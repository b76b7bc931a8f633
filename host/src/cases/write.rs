//! Writes steps as a case file has them.

use super::bytes::{Expected, Syntax};
use super::{Action, ExpectedEntry, ExpectedHeaders, ExpectedRecord, ExpectedStore, HeaderList};

/// Names and values, as they are written.
pub type Members = Vec<(&'static str, String)>;

/// A step on one line.
#[must_use]
pub fn step(action: &Action, syntax: Syntax) -> String {
    syntax.table(&members(action, syntax))
}

/// The members of a step that looks at what came out; of another, none.
#[must_use]
pub fn members(action: &Action, syntax: Syntax) -> Members {
    match action {
        Action::Expect(expected) => record(expected, syntax),
        Action::ExpectNothing(topic) => vec![("expect-nothing", syntax.word(topic.as_str()))],
        Action::Store(ExpectedStore { store, entries, is_all }) => {
            let mut members = vec![("store", syntax.word(store))];
            match &entries[..] {
                [entry] if !is_all => members.extend(self::entry(entry, syntax)),
                _ => {
                    let entries: Vec<_> = entries.iter().map(|entry| entry_table(entry, syntax)).collect();
                    members.push(("entries", format!("[{}]", entries.join(", "))));
                }
            }
            members
        }
        Action::Failure(text) => vec![("failure", syntax.text(text))],
        Action::LeftOut(number) => vec![("left-out", number.to_string())],
        Action::Pipe(_) | Action::Advance(_) | Action::Restart => Vec::new(),
    }
}

fn record(expected: &ExpectedRecord, syntax: Syntax) -> Members {
    let ExpectedRecord { topic, key, value, timestamp, headers, partition } = expected;
    let mut members = vec![("expect", syntax.word(topic.as_str()))];
    push(&mut members, "key", key, syntax);
    push(&mut members, "value", value, syntax);
    members.extend(timestamp.map(|timestamp| ("timestamp", timestamp.to_string())));
    members.extend(partition.map(|partition| ("partition", partition.to_string())));
    members.extend(headers.as_ref().map(|headers| ("headers", self::headers(headers, syntax))));
    members
}

/// An entry of a store, on one line.
#[must_use]
pub fn entry_table(expected: &ExpectedEntry, syntax: Syntax) -> String {
    syntax.table(&entry(expected, syntax))
}

/// The members of an entry of a store.
#[must_use]
pub fn entry(expected: &ExpectedEntry, syntax: Syntax) -> Members {
    let mut members = Vec::new();
    push(&mut members, "key", &expected.key, syntax);
    push(&mut members, "value", &expected.value, syntax);
    members.extend(expected.timestamp.map(|timestamp| ("timestamp", timestamp.to_string())));
    members
}

fn push(members: &mut Members, name: &'static str, expected: &Expected, syntax: Syntax) {
    if *expected != Expected::Null {
        members.push((name, expected.written(syntax)));
    }
}

fn headers(expected: &ExpectedHeaders, syntax: Syntax) -> String {
    match expected {
        ExpectedHeaders::Exactly(list) => pairs(list, syntax),
        ExpectedHeaders::Among(list) => {
            let list: Vec<_> = list.iter().map(|(name, value)| (syntax.name(name), value.written(syntax))).collect();
            let list: Vec<_> = list.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
            syntax.table(&list)
        }
    }
}

fn pairs(list: &HeaderList<Expected>, syntax: Syntax) -> String {
    let pair = |(name, value): &(String, Expected)| {
        let name = syntax.text(name);
        match value {
            Expected::Null => format!("[{name}]"),
            value => format!("[{name}, {}]", value.written(syntax)),
        }
    };
    format!("[{}]", list.iter().map(pair).collect::<Vec<_>>().join(", "))
}
