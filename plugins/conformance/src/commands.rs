//! The processor `do`: carries out the command in a record's key.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::Duration;

use millstream_sdk::prelude::*;
use millstream_sdk::{Cursor, HeadersBuilder, log};

pub struct Commands {
    about: String,
    children: BTreeMap<String, Child>,
    ends: Option<(Child, Child)>,
    stores: BTreeMap<String, KeyValueStore>,
    punctuations: BTreeMap<String, Punctuation>,
    remembered: u64,
    hoard: Vec<Vec<u8>>,
}

impl Processor for Commands {
    fn init(setup: &mut Setup) -> Result<Self> {
        if let Some(text) = setup.config("panic-init") {
            panic!("boom: {text}");
        }
        if let Some(reason) = setup.config("fail-init") {
            return Err(Error::fatal(reason));
        }
        let names = setup.stores().to_vec();
        let opened = names.iter().map(|name| Ok((name.clone(), setup.store(name)?)));
        let stores = opened.collect::<Result<_>>()?;
        if let Some(other) = setup.config("open").map(str::to_owned) {
            setup.store(&other)?;
        }
        if let Some(child) = setup.config("child") {
            setup.child(child)?;
        }
        let names = setup.children().to_vec();
        let children = names.iter().map(|name| Ok((name.clone(), setup.child(name)?)));
        let children: BTreeMap<String, Child> = children.collect::<Result<_>>()?;
        let ends = names.first().zip(names.last()).map(|(first, last)| (children[first], children[last]));
        let (about, punctuations, hoard) = (describe(setup), BTreeMap::new(), Vec::new());
        let mut commands = Self { about, children, ends, stores, punctuations, remembered: 0, hoard };
        if let Some(words) = setup.config("schedule").map(str::to_owned) {
            let command = format!("schedule {words}");
            commands.carry_out(&command, Record::default(), setup)?;
        }
        Ok(commands)
    }

    fn process(&mut self, record: Record<'_>, context: &mut Context) -> Result<()> {
        match record.key_as::<Option<&str>>()? {
            Some(command) => self.carry_out(command, record, context),
            None => {
                context.forward(record);
                Ok(())
            }
        }
    }

    fn punctuate(
        &mut self,
        id: Punctuation,
        kind: PunctuationType,
        now: Timestamp,
        context: &mut Context,
    ) -> Result<()> {
        let found = self.punctuations.iter().find(|(_, other)| **other == id);
        let name = found.map(|(name, _)| name.clone()).ok_or_else(|| Error::fatal("an unknown punctuation"))?;
        if name.starts_with("once") {
            context.cancel(id);
        }
        if let Some(plain) = self.stores.get("plain") {
            plain.put_at(&name, now.to_string(), now);
        }
        let kind = match kind {
            PunctuationType::StreamTime => "stream-time",
            PunctuationType::WallClockTime => "wall-clock-time",
        };
        let value = format!("{kind} {now} {}", metadata(context)?);
        context.forward(Record::new(Some(name.as_bytes()), Some(value.as_bytes()), now));
        let is = |prefix| name.starts_with(prefix);
        match reactions().iter().find(|(prefix, _)| is(*prefix)) {
            Some((_, reaction)) => Err(Error::new(*reaction, name)),
            None if is("panic") => panic!("boom: {name}"),
            None => Ok(()),
        }
    }

    fn close(&mut self) {
        log::info("closed");
    }
}

impl Commands {
    fn carry_out(&mut self, command: &str, record: Record<'_>, context: &mut Context) -> Result<()> {
        let words: Vec<&str> = command.split(' ').collect();
        match words[0] {
            "put" | "put-at" | "put-self" | "get" | "get-self" | "stamped" | "put-if-absent" | "delete"
            | "get-many" | "put-many" | "range" | "reverse-range" | "prefix" | "reverse-prefix" | "entries"
            | "clear" | "cursors" | "put-sized" => self.access(&words, record, context),
            "schedule" | "schedule-at" | "cancel" => self.time(&words, context),
            "fail" | "retry-until" | "panic" | "spin" | "recurse" | "hog" => self.misbehave(&words, record, context),
            _ => self.forward(&words, record, context),
        }
    }

    /// Values and records.
    fn forward(&mut self, words: &[&str], record: Record<'_>, context: &mut Context) -> Result<()> {
        let mut answer = |value: Option<&[u8]>| {
            context.forward(value.map_or(record.with_null_value(), |value| record.with_value(value)));
        };
        match *words {
            ["text" | "long" | "long-text" | "double" | "json"] if record.value().is_none() => answer(None),
            ["text"] => answer(Some(format!("{}!", record.value_as::<&str>()?).as_bytes())),
            ["long"] => answer(Some(&(!record.value_as::<i64>()?).to_be_bytes())),
            ["long-text"] => answer(Some(record.value_as::<i64>()?.to_string().as_bytes())),
            ["double"] => answer(Some(&(-record.value_as::<f64>()?).to_be_bytes())),
            ["json"] => {
                let Json(mut object) = record.value_as::<Json<serde_json::Map<_, _>>>()?;
                object.insert("seen".to_owned(), serde_json::Value::Bool(true));
                answer(Some(&to_json(&object)?));
            }
            ["key", key] => context.forward(record.with_key(key)),
            ["null-key"] => context.forward(record.with_null_key()),
            ["null-value"] => context.forward(record.with_null_value()),
            ["at", time] => context.forward(record.with_timestamp(time.parse()?)),
            ["headers"] => {
                let count = record.headers().iter().count().to_string();
                let kept = HeadersBuilder::from_headers(record.headers()).without("drop");
                let headers = kept.with("count", Some(count.as_bytes())).with("nothing", None);
                context.forward(record.with_headers(headers.headers()));
            }
            ["header", name] => answer(record.headers().last(name).unwrap_or(Some(b"none"))),
            ["bare"] => context.forward(record.without_headers()),
            ["to", name] => {
                let child = self.children.get(name);
                let child = child.ok_or_else(|| Error::fatal(format_args!("there is no child `{name}`")))?;
                context.forward_to(*child, record);
            }
            ["mixed"] => {
                let (first, last) = self.ends.ok_or_else(|| Error::fatal("there is no child"))?;
                context.forward_to(first, record.with_value("1"));
                context.forward(record.with_value("2"));
                context.forward_to(last, record.with_value("3"));
            }
            ["flood", count] => {
                for number in 0..count.parse::<u64>()? {
                    context.forward(record.with_value(&number.to_string()));
                }
            }
            ["nothing"] => {}
            _ => return self.tell(words, record, context),
        }
        Ok(())
    }

    /// Where and when, and the log.
    fn tell(&mut self, words: &[&str], record: Record<'_>, context: &mut Context) -> Result<()> {
        match *words {
            ["metadata"] => {
                let metadata = metadata(context)?;
                context.forward(record.with_value(&metadata));
            }
            ["times"] => {
                let times = format!("{} {}", context.stream_time(), context.wall_clock_time());
                context.forward(record.with_value(&times));
            }
            ["setup"] => context.forward(record.with_value(&self.about)),
            ["remember"] => {
                self.remembered += 1;
                context.forward(record.with_value(&self.remembered.to_string()));
            }
            ["commit"] => {
                context.commit();
                context.forward(record.with_value("ok"));
            }
            ["log", level] => log::log(level_of(level)?, record.value_as::<&str>()?),
            ["log-many", count] => {
                let text: &str = record.value_as()?;
                (0..count.parse::<u64>()?).for_each(|_| log::info(text));
            }
            ["print"] => println!("{}", record.value_as::<&str>()?),
            ["print-error"] => eprintln!("{}", record.value_as::<&str>()?),
            _ => return Err(Error::fatal(format_args!("unknown command `{}`", words.join(" ")))),
        }
        Ok(())
    }

    fn access(&mut self, words: &[&str], record: Record<'_>, context: &mut Context) -> Result<()> {
        let name = words.get(1).copied().unwrap_or_default();
        let store = self.stores.get(name).ok_or_else(|| Error::fatal(format_args!("there is no store `{name}`")))?;
        let value = record.value();
        let put = |key: &[u8], value: Option<&[u8]>| match value {
            Some(value) => store.put(key, value),
            None => store.delete(key),
        };
        let mut answer = |value: Option<&[u8]>| {
            context.forward(value.map_or(record.with_null_value(), |value| record.with_value(value)));
        };
        match (words[0], &words[2..]) {
            ("put", [key]) => put(key.as_bytes(), value),
            ("put-at", [key, time]) => store.put_at(key, value.unwrap_or_default(), time.parse()?),
            ("put-self", []) => put(value.unwrap_or_default(), value),
            ("get", [key]) => answer(store.get(key).as_deref()),
            ("get-self", []) => answer(store.get(value.unwrap_or_default()).as_deref()),
            ("stamped", [key]) => {
                let found = store
                    .get_with_timestamp(key)
                    .map(|(value, time)| Ok::<_, Error>((value.view::<&str>()?.to_owned(), time)));
                let text = found.transpose()?.map_or("none".to_owned(), |(value, time)| format!("{time} {value}"));
                answer(Some(text.as_bytes()));
            }
            ("put-if-absent", [key]) => answer(store.put_if_absent(key, value.unwrap_or_default()).as_deref()),
            ("delete", [key]) => {
                let before = store.get(key);
                store.delete(key);
                answer(before.as_deref());
            }
            ("get-many", keys) => {
                let texts = store.get_many(keys).into_iter().map(|found| match found {
                    Some(value) => value.view::<&str>().map(str::to_owned),
                    None => Ok("-".to_owned()),
                });
                answer(Some(texts.collect::<Result<Vec<_>>>()?.join(",").as_bytes()));
            }
            ("put-many", keys) => store.put_many(keys.iter().map(|key| (key, value))),
            ("range", [lowest, highest]) => {
                answer(Some(shown(store.range(bound(lowest), bound(highest), Order::Ascending))?.as_bytes()));
            }
            ("reverse-range", [lowest, highest]) => {
                answer(Some(shown(store.range(bound(lowest), bound(highest), Order::Descending))?.as_bytes()));
            }
            ("prefix", prefix) => answer(Some(shown(store.prefix(prefix.concat(), Order::Ascending))?.as_bytes())),
            ("reverse-prefix", prefix) => {
                answer(Some(shown(store.prefix(prefix.concat(), Order::Descending))?.as_bytes()));
            }
            ("entries", []) => answer(Some(store.approximate_entries().to_string().as_bytes())),
            ("clear", []) => {
                let count = store.all().inspect(|entry| store.delete(&entry.key)).count();
                answer(Some(count.to_string().as_bytes()));
            }
            ("cursors", [count]) => {
                let mut cursors: Vec<Cursor> = Vec::new();
                for _ in 0..count.parse::<usize>()? {
                    let mut cursor = store.all();
                    cursor.next();
                    cursors.push(cursor);
                }
                answer(Some(b"ok"));
            }
            ("put-sized", [key_bytes, value_bytes]) => {
                store.put(vec![b'x'; key_bytes.parse()?], vec![b'x'; value_bytes.parse()?]);
            }
            _ => return Err(Error::fatal(format_args!("unknown command `{}`", words.join(" ")))),
        }
        Ok(())
    }

    fn time(&mut self, words: &[&str], context: &mut Context) -> Result<()> {
        let milliseconds = |text: &str| Ok::<_, Error>(Duration::from_millis(text.parse()?));
        match *words {
            ["schedule", name, kind, interval] => {
                let id = context.schedule(milliseconds(interval)?, kind_of(kind)?)?;
                self.punctuations.insert(name.to_owned(), id);
            }
            ["schedule-at", name, kind, start, interval] => {
                let id = context.schedule_at(start.parse()?, milliseconds(interval)?, kind_of(kind)?)?;
                self.punctuations.insert(name.to_owned(), id);
            }
            ["cancel", name] => {
                let id = self.punctuations.remove(name);
                context.cancel(id.ok_or_else(|| Error::fatal(format_args!("there is no punctuation `{name}`")))?);
            }
            _ => return Err(Error::fatal(format_args!("unknown command `{}`", words.join(" ")))),
        }
        Ok(())
    }

    fn misbehave(&mut self, words: &[&str], record: Record<'_>, context: &mut Context) -> Result<()> {
        context.forward(record);
        if let Some(plain) = self.stores.get("plain") {
            plain.put("failed", "1");
        }
        let text: &str = record.value_as::<Option<&str>>()?.unwrap_or_default();
        match *words {
            ["fail", name] => {
                let reaction = reactions().into_iter().find(|(other, _)| *other == name).map(|(_, reaction)| reaction);
                Err(Error::new(reaction.unwrap_or(Reaction::Fatal), text))
            }
            ["retry-until", time] if context.wall_clock_time() < time.parse()? => Err(Error::retry("not yet")),
            ["retry-until", _] => Ok(()),
            ["panic"] => panic!("boom: {text}"),
            ["spin"] => loop {
                black_box(());
            },
            ["recurse"] => {
                recurse(0);
                Ok(())
            }
            ["hog", mebibytes] => {
                self.hoard.push(vec![1; mebibytes.parse::<usize>()? << 20]);
                black_box(&self.hoard);
                context.forward(record.with_value("ok"));
                Ok(())
            }
            _ => Err(Error::fatal(format_args!("unknown command `{}`", words.join(" ")))),
        }
    }
}

#[inline(never)]
fn recurse(depth: u64) -> u64 {
    if black_box(depth) == u64::MAX { 0 } else { black_box(recurse(depth + 1)) + 1 }
}

fn describe(setup: &Setup<'_>) -> String {
    let list = |names: &[String]| if names.is_empty() { "-".to_owned() } else { names.join(",") };
    let mut settings: Vec<String> = setup.settings().map(|(key, value)| format!("{key}={value}")).collect();
    settings.sort();
    let (processor, node, task) = (setup.processor(), setup.node(), setup.task());
    format!("{processor} {node} {task} {} {} {}", list(setup.children()), list(setup.stores()), list(&settings))
}

fn metadata(context: &Context) -> Result<String> {
    let metadata = context.metadata().ok_or_else(|| Error::fatal("there is no metadata"))?;
    Ok(format!("{}/{}/{}", metadata.topic, metadata.partition, metadata.offset))
}

fn bound(word: &str) -> Option<&[u8]> {
    (word != "-").then_some(word.as_bytes())
}

fn shown(entries: Cursor) -> Result<String> {
    let show = |entry: millstream_sdk::Entry| {
        Ok(format!("{}={}@{}", entry.key.view::<&str>()?, entry.value.view::<&str>()?, entry.timestamp))
    };
    Ok(entries.map(show).collect::<Result<Vec<_>>>()?.join(" "))
}

fn reactions() -> [(&'static str, Reaction); 4] {
    [
        ("skip", Reaction::Skip),
        ("dead-letter", Reaction::DeadLetter),
        ("retry", Reaction::Retry),
        ("fatal", Reaction::Fatal),
    ]
}

fn kind_of(word: &str) -> Result<PunctuationType> {
    match word {
        "stream-time" => Ok(PunctuationType::StreamTime),
        "wall-clock-time" => Ok(PunctuationType::WallClockTime),
        _ => Err(Error::fatal(format_args!("there is no time `{word}`"))),
    }
}

fn level_of(word: &str) -> Result<log::Level> {
    use log::Level::{Debug, Error as Failure, Info, Trace, Warn};
    let levels = [("trace", Trace), ("debug", Debug), ("info", Info), ("warn", Warn), ("error", Failure)];
    let found = levels.into_iter().find(|(name, _)| *name == word).map(|(_, level)| level);
    found.ok_or_else(|| Error::fatal(format_args!("there is no level `{word}`")))
}
