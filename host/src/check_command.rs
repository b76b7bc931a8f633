//! `millstream check`: a whole application before anything starts. Its manifest is validated, each component is loaded and compared with
//! the nodes that use it, and each processor is begun with its settings and with stores in memory.

use std::io::{self, Write};
use std::sync::Arc;

use millstream_wasm::{NodeTrial, guess_language};
use serde_json::{Value, json};

use crate::app::PluginSet;
use crate::cli::{CheckArgs, Exit, ReportFormat};
use crate::config::{self, Application, Mistake, Mistakes, Overrides};
use crate::inspect_command::{mebibytes, quoted};
use crate::validate;

/// Checks; what is found goes to `out`, mistakes and warnings to `errors`, or all to `out` as JSON.
///
/// # Errors
///
/// When `out` or `errors` can't be written.
pub fn run(args: &CheckArgs, out: &mut dyn Write, errors: &mut dyn Write) -> io::Result<Exit> {
    let path = &args.manifest;
    let (check, mistakes) = match config::load(path, &Overrides::default()) {
        Err(mistakes) => (None, mistakes),
        Ok(application) => {
            let (warnings, mut mistakes) = validate::surroundings(&application);
            for warning in warnings {
                writeln!(errors, "{warning}")?;
            }
            let check = Check::of(application, &mut mistakes);
            (Some(check), Mistakes { path: path.clone(), mistakes })
        }
    };
    let is_good = mistakes.mistakes.is_empty();
    match args.format {
        ReportFormat::Json => writeln!(out, "{:#}", to_json(check.as_ref(), &mistakes))?,
        ReportFormat::Text => {
            if let (true, Some(check)) = (is_good, &check) {
                check.write(out)?;
            } else {
                return validate::refuse(&mistakes, errors);
            }
        }
    }
    Ok(if is_good { Exit::Clean } else { Exit::Usage })
}

/// What was found.
struct Check {
    application: Application,
    /// Name, path, digest, bytes and language of each plugin that could be loaded.
    plugins: Vec<CheckedPlugin>,
    nodes: Vec<NodeTrial>,
}

struct CheckedPlugin {
    name: String,
    path: String,
    digest: String,
    bytes: usize,
    language: Option<&'static str>,
}

impl Check {
    /// Loads and tries everything, and adds what is wrong to `mistakes`.
    fn of(application: Application, mistakes: &mut Vec<Mistake>) -> Self {
        let topology = Arc::new(application.topology.clone());
        let (set, wrong) = match PluginSet::try_load(&application.settings, &topology) {
            Ok((set, wrong)) => (Some(set), wrong),
            Err(failure) => {
                mistakes.push(Mistake { line: 0, column: 0, message: failure.message() });
                (None, Vec::new())
            }
        };
        for wrong in wrong {
            mistakes.push(application.mistake_at(&wrong.table, wrong.key, wrong.message));
        }
        let nodes = set.as_ref().map(PluginSet::try_nodes).unwrap_or_default();
        for trial in &nodes {
            if let Some(failure) = trial.run.as_ref().and_then(|run| run.failure.as_ref()) {
                let message = format!("node `{}` can't begin: {}", trial.node, failure.reason);
                mistakes.push(application.mistake_at(&format!("processors.{}", trial.node), "plugin", message));
            }
        }
        mistakes.sort_by_key(|mistake| (mistake.line, mistake.column));
        let plugins = set.iter().flat_map(PluginSet::components).map(|(name, component)| {
            let path = &application.settings.plugins[name].component;
            let language = std::fs::read(path).ok().and_then(|bytes| guess_language(&bytes));
            let (digest, bytes) = (component.digest().to_owned(), component.byte_len());
            CheckedPlugin { name: name.to_owned(), path: path.display().to_string(), digest, bytes, language }
        });
        let plugins = plugins.collect();
        Self { application, plugins, nodes }
    }

    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let Self { application, plugins, nodes } = self;
        let (path, id) = (application.path.display(), application.topology.application_id());
        writeln!(out, "{path} describes application {id:?}, which can be started")?;
        for CheckedPlugin { name, path, digest, bytes, language } in plugins {
            let language = language.unwrap_or("unknown language");
            writeln!(out, "  plugin `{name}`: {path}, {language}, {bytes} bytes, {digest}")?;
        }
        for NodeTrial { node, plugin, kind, function, run } in nodes {
            write!(out, "  node `{node}`: {kind} `{function}` of plugin `{plugin}`")?;
            if let Some(run) = run {
                let stores =
                    if run.stores.found.is_empty() { "no store".to_owned() } else { quoted(&run.stores.found) };
                let children =
                    if run.children.found.is_empty() { "no child".to_owned() } else { quoted(&run.children.found) };
                let memory = mebibytes(run.memory_bytes);
                write!(out, ", opens {stores}, names {children}, takes {memory}")?;
            }
            writeln!(out)?;
        }
        Ok(())
    }
}

fn to_json(check: Option<&Check>, mistakes: &Mistakes) -> Value {
    let mistake = |one: &Mistake| json!({ "line": one.line, "column": one.column, "message": one.message });
    let plugin = |one: &CheckedPlugin| {
        let CheckedPlugin { name, path, digest, bytes, language } = one;
        json!({ "name": name, "component": path, "digest": digest, "bytes": bytes, "language": language })
    };
    let node = |trial: &NodeTrial| {
        let NodeTrial { node, plugin, kind, function, run } = trial;
        json!({
            "name": node,
            "plugin": plugin,
            "kind": kind,
            "function": function,
            "begins": run.as_ref().map(|run| run.failure.is_none()),
            "stores": run.as_ref().map(|run| &run.stores.found),
            "children": run.as_ref().map(|run| &run.children.found),
            "memory-bytes": run.as_ref().map(|run| run.memory_bytes),
        })
    };
    json!({
        "manifest": mistakes.path,
        "application": check.map(|check| check.application.topology.application_id()),
        "mistakes": mistakes.mistakes.iter().map(mistake).collect::<Vec<_>>(),
        "plugins": check.map(|check| check.plugins.iter().map(plugin).collect::<Vec<_>>()),
        "nodes": check.map(|check| check.nodes.iter().map(node).collect::<Vec<_>>()),
    })
}
