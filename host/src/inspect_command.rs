//! `millstream inspect`: what a component is, in plain words or for programs.

use std::collections::BTreeSet;
use std::io::{self, Write};

use millstream_wasm::{Component, DryRun, InstanceLimits, guess_language, wasi_grant};
use serde_json::{Value, json};

use crate::app;
use crate::cli::{Exit, InspectArgs, ReportFormat};

/// Writes what the component is to `out`, or why it is none to `errors`.
///
/// # Errors
///
/// When `out` or `errors` can't be written.
pub fn run(args: &InspectArgs, out: &mut dyn Write, errors: &mut dyn Write) -> io::Result<Exit> {
    let path = args.component.display().to_string();
    let loaded = app::plugin_runtime().map_err(|failure| failure.message()).and_then(|runtime| {
        let component = runtime.load_file(&args.component).map_err(|error| format!("{path}: {error}"))?;
        let bytes = std::fs::read(&args.component).map_err(|error| format!("{path}: {error}"))?;
        Ok((component, guess_language(&bytes)))
    });
    let inspection = match loaded {
        Ok((component, language)) => Inspection::of(path, component, language),
        Err(error) => {
            writeln!(errors, "millstream: {error}")?;
            return Ok(Exit::Usage);
        }
    };
    match args.format {
        ReportFormat::Text => inspection.write(out)?,
        ReportFormat::Json => writeln!(out, "{:#}", inspection.to_json())?,
    }
    Ok(Exit::Clean)
}

/// What is known of a component.
struct Inspection {
    path: String,
    component: Component,
    language: Option<&'static str>,
    /// For each processor what it does in `init`.
    processors: Vec<(String, DryRun)>,
}

impl Inspection {
    fn of(path: String, component: Component, language: Option<&'static str>) -> Self {
        let names = component.processors().iter();
        let try_it = |name: &String| (name.clone(), DryRun::with_all_that_it_asks_for(&component, name));
        let processors = names.map(try_it).collect();
        Self { path, component, language, processors }
    }

    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let Self { path, component, language, processors } = self;
        let language = language.map_or_else(|| "an unknown language".to_owned(), str::to_owned);
        writeln!(out, "{path}: a plugin written in {language}, {} bytes", component.byte_len())?;
        writeln!(out, "  digest         {}", component.digest())?;
        writeln!(out, "  world          {} of {}", component.worlds().join(", "), Component::contract())?;
        for (index, (name, run)) in processors.iter().enumerate() {
            writeln!(out, "  {:<14} `{name}` {}", if index == 0 { "processors" } else { "" }, in_words(run))?;
        }
        for (title, names) in [("predicates", component.predicates()), ("key selectors", component.key_selectors())] {
            if !names.is_empty() {
                writeln!(out, "  {title:<14} {}", quoted(names))?;
            }
        }
        let (wasi, ours): (Vec<&String>, _) = component.imports().iter().partition(|name| name.starts_with("wasi:"));
        let interface = |name: &&String| name.split(['/', '@']).nth(1).unwrap_or(name).to_owned();
        let ours: Vec<String> = ours.iter().map(interface).collect();
        let ours = if ours.is_empty() { "nothing".to_owned() } else { format!("{}: served", ours.join(", ")) };
        writeln!(out, "  imports        {ours}")?;
        let grants: BTreeSet<(&str, &str)> = wasi.iter().filter_map(|name| wasi_grant(name)).collect();
        if grants.is_empty() {
            writeln!(out, "                 no WASI")?;
        }
        for (package, grant) in grants {
            writeln!(out, "                 wasi:{package}: {grant}")?;
        }
        let default = InstanceLimits::default().memory_bytes_max;
        let (begins, max) = (mebibytes(component.memory_bytes()), mebibytes(default));
        writeln!(
            out,
            "  memory         {begins} when an instance is made; `memory-max` is {max} where the manifest doesn't say"
        )
    }

    fn to_json(&self) -> Value {
        let Self { path, component, language, processors } = self;
        let processor = |(name, run): &(String, DryRun)| {
            json!({
                "name": name,
                "stores": run.stores.found,
                "children": run.children.found,
                "begins": run.failure.is_none(),
                "reason": run.failure.as_ref().map(|failure| failure.reason.clone()),
                "memory-bytes": run.memory_bytes,
            })
        };
        let import = |name: &String| {
            let grant = wasi_grant(name).map_or("served", |(_, grant)| grant);
            json!({ "name": name, "granted": grant })
        };
        json!({
            "component": path,
            "bytes": component.byte_len(),
            "digest": component.digest(),
            "language": language,
            "contract": Component::contract(),
            "worlds": component.worlds(),
            "processors": processors.iter().map(processor).collect::<Vec<_>>(),
            "predicates": component.predicates(),
            "key-selectors": component.key_selectors(),
            "imports": component.imports().iter().map(import).collect::<Vec<_>>(),
            "memory-bytes": component.memory_bytes(),
            "memory-bytes-max-default": InstanceLimits::default().memory_bytes_max,
        })
    }
}

/// What a processor does with the names that it asked for.
fn named(verb: &str, [one, many]: [&str; 2], names: &[String]) -> String {
    match names.len() {
        0 => format!("{verb} no {one}"),
        1 => format!("{verb} the {one} {}", quoted(names)),
        _ => format!("{verb} the {many} {}", quoted(names)),
    }
}

/// What a processor did when it was tried.
fn in_words(run: &DryRun) -> String {
    let stores = named("opens", ["store", "stores"], &run.stores.found);
    let children = named("names", ["child", "children"], &run.children.found);
    match &run.failure {
        None => format!("{stores}, {children}"),
        Some(failure) => {
            let reason = failure.reason.lines().next().unwrap_or_default();
            format!("{stores}, {children}, and without a manifest says: {reason}")
        }
    }
}

/// Names in back-quotes.
pub(crate) fn quoted(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// A size for people.
pub(crate) fn mebibytes(bytes: usize) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}
