//! `millstream validate`: all mistakes of a manifest at once, or a summary of what it describes.

use std::collections::BTreeMap;
use std::io::{self, Write};

use millstream_core::topology::{NodeKind, SourceTopics, Topology};

use crate::cli::{Exit, ValidateArgs};
use crate::config::{self, Application, Mistake, Mistakes};

/// Validates; the summary goes to `out`, mistakes and warnings to `errors`.
///
/// # Errors
///
/// When `out` or `errors` can't be written.
pub fn run(args: ValidateArgs, out: &mut dyn Write, errors: &mut dyn Write) -> io::Result<Exit> {
    let Some(path) = args.manifest else {
        writeln!(out, "{:#}", config::json_schema())?;
        return Ok(Exit::Clean);
    };
    let application = match config::load(&path, &args.overrides.into()) {
        Ok(application) => application,
        Err(mistakes) => return refuse(&mistakes, errors),
    };
    let missing = application.missing_components();
    let (warnings, mistakes) = surroundings(&application);
    for warning in warnings {
        writeln!(errors, "{warning}")?;
    }
    for mistakes in [missing, mistakes] {
        if !mistakes.is_empty() {
            return refuse(&Mistakes { path, mistakes }, errors);
        }
    }
    if args.print {
        print_settings(&application, out)?
    } else {
        summarise(&application, out)?
    }
    Ok(Exit::Clean)
}

/// The warnings of an application, each a line, and what is wrong with its properties.
pub(crate) fn surroundings(application: &Application) -> (Vec<String>, Vec<Mistake>) {
    let path = application.path.display();
    let line = |one: &Mistake| format!("{path}:{}:{}: warning: {}", one.line, one.column, one.message);
    let mut warnings: Vec<String> = application.warnings.iter().map(line).collect();
    match application.settings.kafka.resolve() {
        Ok(properties) => (warnings, kafka_mistakes(application, properties)),
        Err(unresolved) => {
            warnings.extend(unresolved.0.into_iter().map(|reference| format!("{path}: warning: {reference}")));
            (warnings, Vec::new())
        }
    }
}

/// What the clients would refuse of the `[kafka]` table. Without one, the application can still run without a broker.
#[cfg(feature = "kafka")]
fn kafka_mistakes(application: &Application, properties: BTreeMap<String, String>) -> Vec<Mistake> {
    use millstream_kafka::{ConfigMistake, KafkaConfig, KafkaSettings};

    if properties.is_empty() {
        return Vec::new();
    }
    let settings = KafkaSettings {
        application_id: application.settings.application_id.clone(),
        guarantee: application.settings.stream_thread.guarantee,
        process_id: String::new(),
        transaction_timeout: application.settings.transaction_timeout,
        properties,
    };
    let refused = KafkaConfig::new(settings).err().map(|mistakes| mistakes.0).unwrap_or_default();
    let placed = |mistake: ConfigMistake| {
        let message = format!("`{}` in [kafka]: {}", mistake.key, mistake.reason);
        application.mistake_at("kafka", &format!("{:?}", mistake.key), message)
    };
    let mut mistakes: Vec<Mistake> = refused.into_iter().map(placed).collect();
    mistakes.sort_by_key(|mistake| (mistake.line, mistake.column));
    mistakes
}

#[cfg(not(feature = "kafka"))]
fn kafka_mistakes(_application: &Application, _properties: BTreeMap<String, String>) -> Vec<Mistake> {
    Vec::new()
}

/// Tells the mistakes.
pub(crate) fn refuse(mistakes: &Mistakes, errors: &mut dyn Write) -> io::Result<Exit> {
    writeln!(errors, "{mistakes}")?;
    let count = mistakes.mistakes.len();
    writeln!(errors, "{}", if count == 1 { "1 mistake".to_owned() } else { format!("{count} mistakes") })?;
    Ok(Exit::Usage)
}

fn summarise(application: &Application, out: &mut dyn Write) -> io::Result<()> {
    let topology = &application.topology;
    let count = |number: usize, one: &str, many: &str| format!("{number} {}", if number == 1 { one } else { many });
    writeln!(out, "{} describes application {:?}", application.path.display(), topology.application_id())?;
    writeln!(
        out,
        "  {}, {}, {}, {}",
        count(topology.sub_topologies().len(), "sub-topology", "sub-topologies"),
        count(topology.nodes().len(), "node", "nodes"),
        count(topology.stores().len(), "store", "stores"),
        count(application.settings.plugins.len(), "plugin", "plugins"),
    )?;
    let (mut reads, mut writes) = (Vec::new(), Vec::new());
    for node in topology.nodes() {
        match &node.kind {
            NodeKind::Source(source) if !source.internal => match &source.topics {
                SourceTopics::Names(topics) => reads.extend(topics.iter().map(ToString::to_string)),
                SourceTopics::Pattern(pattern) => reads.push(format!("{pattern} (pattern)")),
            },
            NodeKind::Sink(sink) if !sink.internal => {
                writes.push(sink.topic.name().map_or_else(|| "topics named by records".into(), ToString::to_string));
            }
            _ => {}
        }
    }
    writes.dedup();
    for (what, topics) in [("reads", reads), ("writes", writes), ("makes", internal_topics(topology))] {
        if !topics.is_empty() {
            writeln!(out, "  {what:<7} {}", topics.join(", "))?;
        }
    }
    Ok(())
}

fn internal_topics(topology: &Topology) -> Vec<String> {
    let repartitions = topology.repartitions().iter().map(|repartition| repartition.topic.to_string());
    let logged = topology.stores().iter().filter(|store| store.logged);
    repartitions.chain(logged.map(|store| topology.changelog_topic(&store.name).to_string())).collect()
}

/// Prints a manifest that says the same, with the origin of each value.
fn print_settings(application: &Application, out: &mut dyn Write) -> io::Result<()> {
    let mut table = "";
    for setting in &application.effective {
        if setting.table != table {
            writeln!(out, "{}[{}]", if table.is_empty() { "" } else { "\n" }, setting.table)?;
            table = &setting.table;
        }
        writeln!(out, "{:<48} # {}", format!("{} = {}", setting.key, setting.value), setting.origin)?;
    }
    Ok(())
}
