//! Reads one table of a manifest by its [`Section`]: kinds of values, ranges, unknown and missing keys, defaults.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::Duration;

use millstream_core::topology::check_topic_name;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::keys::{Key, Kind, LATER, Section};
use super::mistake::Notes;
use super::nearest::hint;
use super::quantity::{parse_duration, parse_size, show_duration, show_size};

/// A place in the text.
pub(super) type Span = Range<usize>;

/// A value that has been checked against its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Text(String),
    Flag(bool),
    Integer(i64),
    Duration(Duration),
    Off,
    Size(u64),
    Texts(Vec<(Span, String)>),
    Properties(BTreeMap<String, (Span, String)>),
}

/// The values of one table, by their keys.
#[derive(Clone, Debug)]
pub(super) struct Fields {
    pub section: &'static Section,
    /// What the table is called, in a named section.
    pub name: String,
    /// Where its name is.
    pub span: Span,
    /// The values that are there, and where each is.
    given: BTreeMap<&'static str, (Span, Value)>,
    /// Keys whose values are wrong: noted already.
    broken: BTreeSet<&'static str>,
    /// Values that were not written in the manifest, and why they are what they are.
    assumed: BTreeMap<&'static str, (Value, String)>,
}

impl Fields {
    /// Reads `table`, which is called `name` at `span`, and notes every mistake.
    pub fn read(section: &'static Section, name: &str, span: Span, table: &DeTable<'_>, notes: &mut Notes<'_>) -> Self {
        let mut fields = Self {
            section,
            name: name.into(),
            span,
            given: BTreeMap::new(),
            broken: BTreeSet::new(),
            assumed: BTreeMap::new(),
        };
        for (written, value) in table.iter() {
            let Some(key) = section.key(written.get_ref()) else {
                notes.mistake(&written.span(), fields.unknown(&dotted(written.get_ref(), value.get_ref())));
                continue;
            };
            match read_value(key, value, notes, &fields.title()) {
                Some(read) => drop(fields.given.insert(key.name, (value.span(), read))),
                None => drop(fields.broken.insert(key.name)),
            }
        }
        for key in section.keys {
            if key.is_required && !fields.is_written(key.name) {
                let message = format!("{} needs `{}`: {}", fields.title(), key.name, first_sentence(key.about));
                notes.mistake(&fields.span, message);
            }
            if let Some(default) = key.default.and_then(|text| parse_default(key.kind, text)) {
                fields.assumed.insert(key.name, (default, "default".into()));
            }
        }
        fields
    }

    fn unknown(&self, name: &str) -> String {
        let normal = name.replace(['.', '_'], "-");
        if let Some((_, why)) = self.section.refused.iter().find(|(refused, _)| *refused == normal) {
            return format!("`{name}` in {}: {why}", self.title());
        }
        let known: Vec<&str> = self.section.keys.iter().map(|key| key.name).collect();
        let hint = hint(name, known.iter().copied());
        if hint.is_empty() {
            format!("unknown key `{name}` in {}; known are {}", self.title(), known.join(", "))
        } else {
            format!("unknown key `{name}` in {}{hint}", self.title())
        }
    }

    /// `[plugins.words]`.
    pub fn title(&self) -> String {
        if self.section.is_named {
            format!("[{}.{}]", self.section.name, self.name)
        } else {
            format!("[{}]", self.section.name)
        }
    }

    /// Whether the manifest has the key, right or wrong.
    pub fn is_written(&self, key: &str) -> bool {
        self.given.contains_key(key) || self.broken.contains(key)
    }

    /// Where the value of `key` is, or the table's name.
    pub fn span_of(&self, key: &str) -> Span {
        self.given.get(key).map_or_else(|| self.span.clone(), |(span, _)| span.clone())
    }

    /// Replaces what the manifest says of `key`, or what is assumed for it; `origin` says who did.
    pub fn assume(&mut self, key: &'static str, value: Value, origin: &str) {
        self.given.remove(key);
        self.assumed.insert(key, (value, origin.into()));
    }

    /// The value of `key` and its place or other origin.
    pub fn value(&self, key: &str) -> Option<(&Value, Result<&Span, &str>)> {
        let given = self.given.get(key).map(|(span, value)| (value, Ok(span)));
        given.or_else(|| self.assumed.get(key).map(|(value, origin)| (value, Err(origin.as_str()))))
    }

    /// A text, path, topic or word.
    pub fn text(&self, key: &str) -> Option<&str> {
        match self.value(key)?.0 {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A truth value.
    pub fn flag(&self, key: &str) -> Option<bool> {
        match self.value(key)?.0 {
            Value::Flag(flag) => Some(*flag),
            _ => None,
        }
    }

    /// A whole number.
    pub fn integer(&self, key: &str) -> Option<i64> {
        match self.value(key)?.0 {
            Value::Integer(number) => Some(*number),
            _ => None,
        }
    }

    /// A duration; `None` too where it is off.
    pub fn duration(&self, key: &str) -> Option<Duration> {
        match self.value(key)?.0 {
            Value::Duration(duration) => Some(*duration),
            _ => None,
        }
    }

    /// A size in bytes.
    pub fn size(&self, key: &str) -> Option<u64> {
        match self.value(key)?.0 {
            Value::Size(bytes) => Some(*bytes),
            _ => None,
        }
    }

    /// A list with places; empty if it is not there.
    pub fn texts(&self, key: &str) -> &[(Span, String)] {
        match self.value(key) {
            Some((Value::Texts(texts), _)) => texts,
            _ => &[],
        }
    }

    /// A table of texts; empty if it is not there.
    pub fn properties(&self, key: &str) -> BTreeMap<String, String> {
        match self.value(key) {
            Some((Value::Properties(properties), _)) => {
                properties.iter().map(|(key, (_, value))| (key.clone(), value.clone())).collect()
            }
            _ => BTreeMap::new(),
        }
    }
}

/// The whole of a dotted key: Kafka Streams' `commit.interval.ms = 100` is a table in a table in TOML.
fn dotted(name: &str, value: &DeValue<'_>) -> String {
    let mut whole = name.to_owned();
    let mut value = value;
    while let DeValue::Table(table) = value
        && let [(name, _, inner)] = in_order(table)[..]
    {
        whole.push('.');
        whole.push_str(name);
        value = inner.get_ref();
    }
    whole
}

/// Entries of a table in the order in which they are written.
pub(super) fn in_order<'t, 'i>(table: &'t DeTable<'i>) -> Vec<(&'t str, Span, &'t Spanned<DeValue<'i>>)> {
    let mut entries: Vec<_> = table.iter().map(|(key, value)| (key.get_ref().as_ref(), key.span(), value)).collect();
    entries.sort_by_key(|(_, span, _)| span.start);
    entries
}

/// Reads a table of any keys whose values are texts, numbers or truth values. Dotted keys (`ssl.ca.location = ..`) are one key.
pub(super) fn read_properties(
    title: &str,
    table: &DeTable<'_>,
    notes: &mut Notes<'_>,
) -> BTreeMap<String, (Span, String)> {
    let mut properties = BTreeMap::new();
    let mut open: Vec<(String, &DeTable<'_>)> = vec![(String::new(), table)];
    while let Some((prefix, table)) = open.pop() {
        for (name, span, value) in in_order(table) {
            let name = format!("{prefix}{name}");
            let text = match value.get_ref() {
                DeValue::String(text) => text.to_string(),
                DeValue::Boolean(flag) => flag.to_string(),
                DeValue::Integer(number) => number.to_string(),
                DeValue::Float(number) => number.to_string(),
                DeValue::Table(inner) => {
                    open.push((format!("{name}."), inner));
                    continue;
                }
                other => {
                    let found = describe(other);
                    notes.mistake(
                        &value.span(),
                        format!("`{name}` in {title}: expected a text, a number, true or false, found {found}"),
                    );
                    continue;
                }
            };
            properties.insert(name, (span, text));
        }
    }
    properties
}

fn read_value(key: &Key, value: &Spanned<DeValue<'_>>, notes: &mut Notes<'_>, title: &str) -> Option<Value> {
    let read = match (key.kind, value.get_ref()) {
        (Kind::Texts, DeValue::Array(items)) => return read_texts(key, items, notes, title),
        (Kind::Properties, DeValue::Table(table)) => {
            return Some(Value::Properties(read_properties(title, table, notes)));
        }
        (Kind::Flag, DeValue::Boolean(flag)) => Ok(Value::Flag(*flag)),
        (Kind::Integer(min, max), DeValue::Integer(number)) => {
            let parsed = i64::from_str_radix(number.as_str(), number.radix()).ok();
            match parsed.filter(|number| (min..=max).contains(number)) {
                Some(number) => Ok(Value::Integer(number)),
                None => Err(format!("expected a whole number from {min} to {max}, found {}", number.as_str())),
            }
        }
        (Kind::Choice(_), DeValue::String(text)) if LATER.contains(&(key.name, text)) => {
            Err(format!("{text:?} is not yet in this version; expected {}", expected(key.kind)))
        }
        (kind, DeValue::String(text)) => parse_text(kind, text),
        (kind, other) => Err(format!("expected {}, found {}", expected(kind), describe(other))),
    };
    match read {
        Ok(read) => Some(read),
        Err(message) => {
            notes.mistake(&value.span(), format!("`{}` in {title}: {message}", key.name));
            None
        }
    }
}

fn parse_text(kind: Kind, text: &str) -> Result<Value, String> {
    let otherwise = || format!("expected {}, found {text:?}", expected(kind));
    match kind {
        Kind::Text | Kind::Path if !text.is_empty() => Ok(Value::Text(text.into())),
        Kind::Topic => match check_topic_name(text) {
            Ok(()) => Ok(Value::Text(text.into())),
            Err(why) => Err(format!("{text:?} {why}")),
        },
        Kind::Choice(words) if words.contains(&text) => Ok(Value::Text(text.into())),
        Kind::Choice(words) => Err(format!("{}{}", otherwise(), hint(text, words.iter().copied()))),
        Kind::Duration(min) => match parse_duration(text) {
            Some(duration) if duration >= Duration::from_millis(min) => Ok(Value::Duration(duration)),
            Some(_) => Err(format!("expected at least {min}ms, found {text:?}")),
            None => Err(otherwise()),
        },
        Kind::DurationOrOff if text == "off" => Ok(Value::Off),
        Kind::DurationOrOff => parse_duration(text).map(Value::Duration).ok_or_else(otherwise),
        Kind::Size(min, max) => match parse_size(text) {
            Some(bytes) if (min..=max).contains(&bytes) => Ok(Value::Size(bytes)),
            Some(_) => Err(format!("expected from {} to {}, found {text:?}", show_size(min), show_size(max))),
            None => Err(otherwise()),
        },
        _ => Err(otherwise()),
    }
}

fn read_texts(key: &Key, items: &[Spanned<DeValue<'_>>], notes: &mut Notes<'_>, title: &str) -> Option<Value> {
    let mut texts = Vec::new();
    let mut is_right = true;
    for item in items {
        match item.get_ref() {
            DeValue::String(text) if !text.is_empty() => texts.push((item.span(), text.to_string())),
            other => {
                is_right = false;
                let message = format!("`{}` in {title}: expected a text, found {}", key.name, describe(other));
                notes.mistake(&item.span(), message);
            }
        }
    }
    is_right.then_some(Value::Texts(texts))
}

fn parse_default(kind: Kind, text: &str) -> Option<Value> {
    match kind {
        Kind::Flag => text.parse().ok().map(Value::Flag),
        Kind::Integer(..) => text.parse().ok().map(Value::Integer),
        _ => parse_text(kind, text).ok(),
    }
}

/// What a value of `kind` looks like.
pub(super) fn expected(kind: Kind) -> String {
    match kind {
        Kind::Text => "a text".into(),
        Kind::Path => "a path".into(),
        Kind::Topic => "a topic's name".into(),
        Kind::Flag => "true or false".into(),
        Kind::Integer(min, max) => format!("a whole number from {min} to {max}"),
        Kind::Duration(_) => "a duration such as \"100ms\", \"30s\" or \"5m\"".into(),
        Kind::DurationOrOff => "\"off\" or a duration such as \"100ms\" or \"1s\"".into(),
        Kind::Size(..) => "a size such as \"512KiB\", \"64MiB\" or \"1GiB\"".into(),
        Kind::Choice(words) => {
            let quoted: Vec<String> = words.iter().map(|word| format!("{word:?}")).collect();
            format!("one of {}", quoted.join(", "))
        }
        Kind::Texts => "a list of texts such as [\"a\", \"b\"]".into(),
        Kind::Properties => "a table such as { \"key\" = \"value\" }".into(),
    }
}

fn describe(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("{text:?}"),
        DeValue::Integer(number) => format!("the number {}", number.as_str()),
        DeValue::Float(number) => format!("the number {}", number.as_str()),
        DeValue::Boolean(flag) => flag.to_string(),
        DeValue::Datetime(_) => "a date".into(),
        DeValue::Array(_) => "a list".into(),
        DeValue::Table(_) => "a table".into(),
    }
}

/// How a value would be written.
pub(super) fn show(value: &Value) -> String {
    match value {
        Value::Text(text) => format!("{text:?}"),
        Value::Flag(flag) => flag.to_string(),
        Value::Integer(number) => number.to_string(),
        Value::Duration(duration) => format!("{:?}", show_duration(*duration)),
        Value::Off => "\"off\"".into(),
        Value::Size(bytes) => format!("{:?}", show_size(*bytes)),
        Value::Texts(texts) => format!("{:?}", texts.iter().map(|(_, text)| text).collect::<Vec<_>>()),
        Value::Properties(properties) => {
            let shown: Vec<String> =
                properties.iter().map(|(key, (_, value))| format!("{key:?} = {value:?}")).collect();
            format!("{{ {} }}", shown.join(", "))
        }
    }
}

fn first_sentence(text: &str) -> String {
    let sentence = text.split_once(['.', ';']).map_or(text, |(sentence, _)| sentence);
    let mut characters = sentence.chars();
    characters.next().map(|first| first.to_lowercase().collect::<String>() + characters.as_str()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::keys::SECTIONS;
    use super::*;

    #[test]
    fn every_default_is_a_value_of_its_key() {
        let defaults = SECTIONS.iter().flat_map(|section| section.keys).filter_map(|key| Some((key, key.default?)));
        let mut count = 0;
        for (key, default) in defaults {
            assert!(parse_default(key.kind, default).is_some(), "{} = {default}", key.name);
            count += 1;
        }
        assert!(count > 10);
    }

    #[test]
    fn a_word_of_a_later_version_is_not_a_word_of_this_one() {
        let keys = || SECTIONS.iter().flat_map(|section| section.keys);
        for (name, word) in LATER {
            let known = keys().filter(|key| key.name == *name).map(|key| key.kind);
            let words: Vec<&str> =
                known.flat_map(|kind| if let Kind::Choice(words) = kind { words } else { &[] }).copied().collect();
            assert!(!words.is_empty() && !words.contains(word), "{name} = {word}");
        }
    }
}
