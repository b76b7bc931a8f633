//! Reads a whole manifest: its tables first, then what they mean together.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use millstream_core::commit::ProcessingGuarantee;
use millstream_core::id::TopicName;
use millstream_core::store::MemoryBudget;
use millstream_core::stream_thread::{OnError, StreamThreadSettings};
use millstream_core::topology::{TOPIC_NAME_LENGTH_MAX, check_topic_name};
use toml::de::{DeTable, DeValue};

use super::fields::{Fields, Span, Value, in_order, read_properties, show};
use super::keys::{self, SECTIONS, Section};
use super::mistake::{Mistakes, Notes};
use super::nearest::hint;
use super::nodes;
use super::secret::{self, KafkaProperties};
use super::settings::{
    EffectiveSetting, GroupProtocol, InternalTopicSettings, PluginSettings, Settings, StateSettings,
};
use super::{Application, Overrides};

/// The tables of a manifest.
pub(super) struct Tables {
    pub application: Option<Fields>,
    pub plugins: Vec<Fields>,
    pub stores: Vec<Fields>,
    /// Sources, processors and sinks, in the order in which they are written: it decides the numbers of sub-topologies.
    pub nodes: Vec<Fields>,
    pub kafka: BTreeMap<String, (Span, String)>,
    pub topic: BTreeMap<String, (Span, String)>,
    /// Whether something is written under `sources`, right or wrong.
    pub has_sources: bool,
}

pub(super) fn read(text: &str, path: &Path, overrides: &Overrides) -> Result<Application, Mistakes> {
    let mut notes = Notes::new(path, text);
    let (document, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        notes.mistake(&error.span().unwrap_or(0..0), error.message().lines().collect::<Vec<_>>().join(", "));
    }
    if !notes.is_clean() {
        // What follows would be mistakes of the reader, not of the writer.
        return Err(notes.into_mistakes());
    }
    let mut tables = read_tables(document.get_ref(), &mut notes);
    if tables.application.is_none() {
        notes.mistake(&(0..0), "there is no [application]; it must say at least `id = \"..\"`");
    }
    let folder = path.parent().unwrap_or(Path::new("")).to_owned();
    if let Some(application) = &mut tables.application {
        override_with(application, overrides);
        settle_commit_interval(application);
    }
    check_kafka(&tables.kafka, &mut notes);
    check_application(&tables, &mut notes);
    let plugins: BTreeMap<String, PluginSettings> =
        tables.plugins.iter().filter_map(|plugin| read_plugin(plugin, &tables, &folder, &mut notes)).collect();
    let topology = nodes::build(&tables, &mut notes);
    let effective = effective(&tables, &notes);
    let settings = tables.application.as_ref().map(|application| settings(application, &tables, plugins, &folder));
    let (Some(settings), Some(topology)) = (settings, topology) else {
        return Err(notes.into_mistakes());
    };
    let warnings = notes.finish()?;
    Ok(Application { path: path.into(), settings, topology, warnings, effective })
}

fn read_tables(document: &DeTable<'_>, notes: &mut Notes<'_>) -> Tables {
    let mut tables = Tables {
        application: None,
        plugins: Vec::new(),
        stores: Vec::new(),
        nodes: Vec::new(),
        kafka: BTreeMap::new(),
        topic: BTreeMap::new(),
        has_sources: false,
    };
    for (name, span, value) in in_order(document) {
        let Some(section) = keys::section(name) else {
            let hint = hint(name, SECTIONS.iter().map(|section| section.name));
            let known: Vec<String> = SECTIONS.iter().map(|section| format!("[{}]", section.name)).collect();
            let rest = if hint.is_empty() { format!("; known are {}", known.join(", ")) } else { hint };
            let what = if value.get_ref().is_table() { "table" } else { "key" };
            notes.mistake(&span, format!("unknown {what} `{name}`{rest}"));
            continue;
        };
        tables.has_sources |= name == "sources";
        let DeValue::Table(table) = value.get_ref() else {
            let shape = if section.is_named { format!("[{name}.NAME]") } else { format!("[{name}]") };
            notes.mistake(&span, format!("`{name}` must be a table; write {shape}"));
            continue;
        };
        match section.name {
            "kafka" => tables.kafka = read_properties("[kafka]", table, notes),
            "topic" => tables.topic = read_properties("[topic]", table, notes),
            "application" => tables.application = Some(Fields::read(section, "", span, table, notes)),
            "plugins" => read_named(section, table, notes, &mut tables.plugins),
            "stores" => read_named(section, table, notes, &mut tables.stores),
            _ => read_named(section, table, notes, &mut tables.nodes),
        }
    }
    tables.nodes.sort_by_key(|node| node.span.start);
    tables
}

fn read_named(section: &'static Section, table: &DeTable<'_>, notes: &mut Notes<'_>, into: &mut Vec<Fields>) {
    for (name, span, value) in in_order(table) {
        let DeValue::Table(inner) = value.get_ref() else {
            let message = format!("[{}] holds one table for each name; write [{}.{name}]", section.name, section.name);
            notes.mistake(&span, message);
            continue;
        };
        if let Err(why) = check_topic_name(name) {
            notes.mistake(&span, format!("the name {name:?} {}", why.replace("a topic's name", "a name")));
        }
        into.push(Fields::read(section, name, span, inner, notes));
    }
}

fn override_with(application: &mut Fields, overrides: &Overrides) {
    if let Some(protocol) = overrides.group_protocol {
        let word = match protocol {
            GroupProtocol::Consumer => "consumer",
            GroupProtocol::Solo => "solo",
        };
        application.assume("group-protocol", Value::Text(word.into()), "--group-protocol");
    }
    if let Some(directory) = &overrides.state_dir {
        // Of the command line, so relative to where the command is run, not to the manifest.
        let directory = std::path::absolute(directory).unwrap_or_else(|_| directory.clone());
        application.assume("state-dir", Value::Text(directory.to_string_lossy().into_owned()), "--state-dir");
    }
}

/// The default depends on the guarantee, as in Kafka Streams: transactions hide results until they commit.
fn settle_commit_interval(application: &mut Fields) {
    if application.is_written("commit-interval") {
        return;
    }
    let (milliseconds, why) = match guarantee(application) {
        ProcessingGuarantee::ExactlyOnce => (100, "default with exactly-once-v2"),
        ProcessingGuarantee::AtLeastOnce => (30_000, "default with at-least-once"),
    };
    application.assume("commit-interval", Value::Duration(Duration::from_millis(milliseconds)), why);
}

fn guarantee(application: &Fields) -> ProcessingGuarantee {
    match application.text("processing-guarantee") {
        Some("at-least-once") => ProcessingGuarantee::AtLeastOnce,
        _ => ProcessingGuarantee::ExactlyOnce,
    }
}

fn check_application(tables: &Tables, notes: &mut Notes<'_>) {
    let Some(application) = &tables.application else { return };
    let is_exactly_once = guarantee(application) == ProcessingGuarantee::ExactlyOnce;
    let (commit, transaction) = (application.duration("commit-interval"), application.duration("transaction-timeout"));
    if let (true, Some(commit), Some(transaction)) = (is_exactly_once, commit, transaction)
        && commit > transaction
    {
        let key = if application.is_written("commit-interval") { "commit-interval" } else { "transaction-timeout" };
        let shown = |key: &str| application.value(key).map(|(value, _)| show(value)).unwrap_or_default();
        let message = format!(
            "`commit-interval` is {}, longer than `transaction-timeout`, which is {}; the broker would abort every \
             transaction before it commits: shorten the first or lengthen the second",
            shown("commit-interval"),
            shown("transaction-timeout")
        );
        notes.mistake(&application.span_of(key), message);
    }
    // The shortest suffix of an internal topic must fit behind the id; longer names are checked with their stores.
    let id_length_max = TOPIC_NAME_LENGTH_MAX - "-x-repartition".len();
    if application.text("id").is_some_and(|id| id.len() > id_length_max) {
        let message =
            format!("`id` has more than {id_length_max} characters, so no internal topic's name could hold it");
        notes.mistake(&application.span_of("id"), message);
    }
}

fn check_kafka(kafka: &BTreeMap<String, (Span, String)>, notes: &mut Notes<'_>) {
    for (key, (span, value)) in kafka {
        if let Err(why) = secret::check(value) {
            notes.mistake(span, format!("`{key}` in [kafka]: {why}"));
        } else if secret::is_secret(key) && secret::is_written_out(value) {
            notes.warning(
                span,
                format!("`{key}` in [kafka] is a secret; write ${{env:NAME}} or ${{file:PATH}} instead of its value"),
            );
        }
    }
}

fn read_plugin(
    plugin: &Fields,
    tables: &Tables,
    folder: &Path,
    notes: &mut Notes<'_>,
) -> Option<(String, PluginSettings)> {
    let digest = plugin.text("digest").map(|digest| {
        let hexadecimal = digest.strip_prefix("sha256:").unwrap_or_default().to_ascii_lowercase();
        if hexadecimal.len() != 64 || !hexadecimal.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            let message = format!(
                "`digest` in {}: expected `sha256:` and 64 hexadecimal digits, found {digest:?}",
                plugin.title()
            );
            notes.mistake(&plugin.span_of("digest"), message);
        }
        hexadecimal
    });
    let on_error = match plugin.text("on-error") {
        Some("skip") => OnError::Skip,
        Some("dead-letter") => OnError::DeadLetter,
        _ => OnError::Fail,
    };
    let of_application = tables.application.as_ref().and_then(|application| application.text("dead-letter-topic"));
    let dead_letter_topic = plugin.text("dead-letter-topic").or(of_application).map(TopicName::from);
    if on_error == OnError::DeadLetter && dead_letter_topic.is_none() {
        let message = format!(
            "`on-error` in {} is \"dead-letter\", but there is no `dead-letter-topic` here or in [application]; name one",
            plugin.title()
        );
        notes.mistake(&plugin.span_of("on-error"), message);
    }
    let component = plugin.text("component")?;
    if let Some((scheme, _)) = component.split_once("://") {
        let message =
            format!("`component` in {}: {scheme}:// is not yet in this version; give a file's path", plugin.title());
        notes.mistake(&plugin.span_of("component"), message);
    }
    let settings = PluginSettings {
        component: folder.join(component),
        digest,
        memory_bytes_max: plugin.size("memory-max")?,
        deadline: plugin.duration("deadline")?,
        on_error,
        dead_letter_topic,
    };
    Some((plugin.name.clone(), settings))
}

fn settings(
    application: &Fields,
    tables: &Tables,
    plugins: BTreeMap<String, PluginSettings>,
    folder: &Path,
) -> Settings {
    let duration = |key: &str| application.duration(key).unwrap_or_default();
    let size = |key: &str| application.size(key).unwrap_or_default();
    let count = |key: &str| application.integer(key).and_then(|number| usize::try_from(number).ok()).unwrap_or(1);
    let plain = |table: &BTreeMap<String, (Span, String)>| -> BTreeMap<String, String> {
        table.iter().map(|(key, (_, value))| (key.clone(), value.clone())).collect()
    };
    let named = plugins.iter();
    let stream_threads = count("stream-threads");
    let memory = MemoryBudget { bytes_max: usize::try_from(size("state-memory")).unwrap_or(usize::MAX) };
    let stream_thread = StreamThreadSettings {
        guarantee: guarantee(application),
        commit_interval: duration("commit-interval"),
        task_idle_max: application.duration("max-task-idle"),
        buffered_records_max: count("buffered-records-per-partition"),
        write_buffer_bytes_max: usize::try_from(size("write-buffer-memory")).unwrap_or(usize::MAX),
        purge_interval: duration("repartition-purge-interval"),
        task_timeout: duration("task-timeout"),
        on_error: named.clone().map(|(name, plugin)| (name.clone(), plugin.on_error)).collect(),
        dead_letter_topics: named
            .filter_map(|(name, plugin)| Some((name.clone(), plugin.dead_letter_topic.clone()?)))
            .collect(),
        cache_bytes_max: memory.cache_bytes_max() / stream_threads,
        ..StreamThreadSettings::default()
    };
    Settings {
        application_id: application.text("id").unwrap_or_default().into(),
        group_protocol: match application.text("group-protocol") {
            Some("solo") => GroupProtocol::Solo,
            _ => GroupProtocol::Consumer,
        },
        stream_threads,
        stream_thread,
        state: StateSettings {
            directory: folder.join(PathBuf::from(application.text("state-dir").unwrap_or_default())),
            memory,
        },
        kafka: KafkaProperties::new(folder, plain(&tables.kafka)),
        transaction_timeout: duration("transaction-timeout"),
        internal_topics: InternalTopicSettings {
            replication_factor: application.integer("replication-factor").and_then(|number| i32::try_from(number).ok()),
            configs: plain(&tables.topic),
        },
        plugins,
    }
}

/// Every value in force, in the order of the table of keys.
fn effective(tables: &Tables, notes: &Notes<'_>) -> Vec<EffectiveSetting> {
    let mut all = Vec::new();
    let mut add = |table: &str, key: String, value: String, origin: Result<&Span, &str>| {
        let place = origin.ok().map(|span| notes.position(span.start));
        let origin = match (place, origin) {
            (Some((line, _)), _) => format!("line {line}"),
            (None, origin) => origin.err().unwrap_or_default().into(),
        };
        all.push(EffectiveSetting { table: table.into(), key, value, origin, place });
    };
    let with_fields = [&tables.plugins, &tables.stores, &tables.nodes].into_iter().flatten();
    for fields in tables.application.iter().chain(with_fields) {
        for key in fields.section.keys {
            if let Some((value, origin)) = fields.value(key.name) {
                add(fields.title().trim_matches(['[', ']']), key.name.into(), show(value), origin);
            }
        }
    }
    for (table, properties) in [("topic", &tables.topic), ("kafka", &tables.kafka)] {
        for (key, (span, value)) in properties {
            let value = if table == "kafka" { secret::redact(key, value) } else { value };
            add(table, format!("{key:?}"), format!("{value:?}"), Ok(span));
        }
    }
    all
}
