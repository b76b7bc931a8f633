//! `millstream run` and `millstream dev`: from the command line to a running application.

use std::io::{self, Write};

use millstream_core::topology::{NodeKind, Topology};

use crate::app::{self, DevOptions};
use crate::cli::{DevArgs, Exit, RunArgs};
use crate::config::{self, Application, Overrides};
use crate::failure::Failure;

/// Runs an application on Kafka until it is asked to end.
///
/// # Errors
///
/// When `errors` can't be written to.
pub fn run(args: RunArgs, errors: &mut dyn Write) -> io::Result<Exit> {
    let leave = args.leave_on_stop;
    let Some(application) = load(&args.manifest, &args.overrides.into(), errors)? else {
        return Ok(Exit::Usage);
    };
    end(run_on_kafka(application, leave), errors)
}

#[cfg(feature = "kafka")]
fn run_on_kafka(application: Application, leave: bool) -> Result<(), Failure> {
    app::run_on_kafka(application, leave)
}

#[cfg(not(feature = "kafka"))]
fn run_on_kafka(_application: Application, _leave: bool) -> Result<(), Failure> {
    let message = "this program was built without librdkafka: build it with `make build`, or use `millstream dev`";
    Err(Failure::usage(anyhow::anyhow!(message)))
}

/// Runs an application on the embedded log until its inputs have ended, or until it is asked to end.
///
/// # Errors
///
/// When `errors` can't be written to.
pub fn dev(args: DevArgs, errors: &mut dyn Write) -> io::Result<Exit> {
    let overrides = Overrides { state_dir: args.state_dir.clone(), ..Overrides::default() };
    let Some(application) = load(&args.manifest, &overrides, errors)? else {
        return Ok(Exit::Usage);
    };
    let prints = if args.print.is_empty() { output_topics(&application.topology) } else { args.print };
    let options = DevOptions {
        inputs: args.input,
        prints,
        formats: args.format,
        is_lines: args.lines,
        is_followed: args.follow,
        log_directory: args.log_dir,
        partitions: args.partitions.into_iter().map(|one| (one.topic, one.partitions)).collect(),
    };
    end(app::run_on_embedded_log(application, options), errors)
}

fn load(path: &std::path::Path, overrides: &Overrides, errors: &mut dyn Write) -> io::Result<Option<Application>> {
    match config::load(path, overrides) {
        Ok(application) => {
            for warning in &application.warnings {
                let (line, column) = (warning.line, warning.column);
                writeln!(errors, "{}:{line}:{column}: warning: {}", path.display(), warning.message)?;
            }
            Ok(Some(application))
        }
        Err(mistakes) => {
            writeln!(errors, "{mistakes}")?;
            Ok(None)
        }
    }
}

/// The topics that an application writes to, apart from its own.
fn output_topics(topology: &Topology) -> Vec<millstream_core::id::TopicName> {
    let mut topics = Vec::new();
    for node in topology.nodes() {
        if let NodeKind::Sink(sink) = &node.kind
            && let (false, Some(name)) = (sink.internal, sink.topic.name())
            && !topics.contains(name)
        {
            topics.push(name.clone());
        }
    }
    topics
}

fn end(result: Result<(), Failure>, errors: &mut dyn Write) -> io::Result<Exit> {
    match result {
        Ok(()) => Ok(Exit::Clean),
        Err(failure) => {
            writeln!(errors, "millstream: {}", failure.message())?;
            Ok(failure.exit())
        }
    }
}
