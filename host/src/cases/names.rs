//! Whether the topics and stores that cases name are those of the application.

use std::collections::BTreeSet;
use std::ops::Range;

use millstream_core::topology::{NodeKind, SinkTopic, SourceTopics, Topology};

use super::{Action, CaseFile};
use crate::config::{Application, Mistakes, Notes, hint};

/// The topics of an application.
#[derive(Debug, Default)]
struct Topics {
    read: BTreeSet<String>,
    written: BTreeSet<String>,
    reads_any: bool,
    writes_any: bool,
}

impl Topics {
    fn of(application: &Application) -> Self {
        let topology = &application.topology;
        let mut topics = Self::default();
        for node in topology.nodes() {
            match &node.kind {
                NodeKind::Source(source) => match &source.topics {
                    SourceTopics::Names(names) => topics.read.extend(names.iter().map(ToString::to_string)),
                    SourceTopics::Pattern(_) => topics.reads_any = true,
                },
                NodeKind::Sink(sink) => match &sink.topic {
                    SinkTopic::Name(name) => drop(topics.written.insert(name.to_string())),
                    SinkTopic::FromHeader(_) | SinkTopic::FromKey => topics.writes_any = true,
                },
                NodeKind::Processor(_) => {}
            }
        }
        let dead_letters = application.settings.plugins.values().filter_map(|plugin| plugin.dead_letter_topic.as_ref());
        topics.written.extend(dead_letters.map(ToString::to_string));
        let changelogs = topology.stores().iter().filter(|store| store.logged);
        topics.written.extend(changelogs.map(|store| topology.changelog_topic(&store.name).to_string()));
        topics
    }
}

/// Notes every topic and store in `file` that `application` has not.
///
/// # Errors
///
/// All such mistakes.
pub fn check_names(file: &CaseFile, application: &Application) -> Result<(), Mistakes> {
    let topics = Topics::of(application);
    let stores = stores_of(&application.topology);
    let mut notes = Notes::new(&file.path, &file.text);
    let mut check = |span: &Range<usize>, what: &str, name: &str, known: &BTreeSet<String>| {
        if !known.contains(name) {
            let near = hint(name, known.iter().map(String::as_str));
            let rest = if near.is_empty() { list_of(known) } else { near };
            notes.mistake(span, format!("{what} `{name}`{rest}"));
        }
    };
    let all: BTreeSet<String> = topics.read.union(&topics.written).cloned().collect();
    for case in &file.cases {
        for (topic, span) in &case.topic_spans {
            if !topics.reads_any && !topics.writes_any {
                check(span, "the application has no topic", topic, &all);
            }
        }
        for step in &case.steps {
            match &step.action {
                Action::Pipe(record) if !topics.reads_any => {
                    check(&step.span, "no source reads topic", record.topic.as_str(), &topics.read);
                }
                Action::Expect(_) | Action::ExpectNothing(_) if !topics.writes_any => {
                    let topic = step.action.topic().map_or("", |topic| topic.as_str());
                    check(&step.span, "nothing is written to topic", topic, &topics.written);
                }
                Action::Store(expected) => {
                    check(&step.span, "the application has no store", &expected.store, &stores);
                }
                _ => {}
            }
        }
    }
    if notes.is_clean() { Ok(()) } else { Err(notes.into_mistakes()) }
}

fn stores_of(topology: &Topology) -> BTreeSet<String> {
    topology.stores().iter().map(|store| store.name.to_string()).collect()
}

fn list_of(known: &BTreeSet<String>) -> String {
    match known.len() {
        0 => "; there is none".to_owned(),
        _ => format!("; there are {}", known.iter().map(String::as_str).collect::<Vec<_>>().join(", ")),
    }
}
