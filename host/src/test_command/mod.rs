//! `millstream test`: plays cases against topologies with real components, and says which fail and why.

mod diff;
mod edits;
pub(crate) mod find;
mod junit;
mod play;
mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use millstream_driver::log_lines::{LogLines, PLUGIN_TARGET};
use tracing::{Level, Metadata};

use crate::app::PluginSet;
use crate::cases::bytes::push_escaped;
use crate::cases::rewrite::{Edit, rewritten};
use crate::cases::{self, CaseFile, check_names};
use crate::cli::{Exit, TestArgs};
use crate::config::{self, Mistakes, Overrides};
use junit::{CaseReport, FileReport};
use play::{Loaded, Played};

/// Log lines of a case that are kept.
const LOG_LINES_MAX: usize = 100;

/// Runs what `args` ask for; results go to `out`, what is wrong with files to `errors`.
///
/// # Errors
///
/// When `out` or `errors` can't be written to.
pub fn run(args: &TestArgs, out: &mut dyn Write, errors: &mut dyn Write) -> io::Result<Exit> {
    if args.watch { watch::run(args, out, errors) } else { Ok(run_once(args, out, errors)?.exit) }
}

/// What a run has come to, and the files that it depends on.
struct Finished {
    exit: Exit,
    files: Vec<PathBuf>,
    /// Those that `--update` has changed.
    written: Vec<PathBuf>,
}

#[derive(Default)]
struct Totals {
    passed: usize,
    failed: usize,
    updated: usize,
    files: usize,
    broken_files: usize,
}

fn run_once(args: &TestArgs, out: &mut dyn Write, errors: &mut dyn Write) -> io::Result<Finished> {
    let started = Instant::now();
    let mut session = Session {
        args,
        applications: BTreeMap::new(),
        totals: Totals::default(),
        files: Vec::new(),
        written: Vec::new(),
    };
    let mut reports = Vec::new();
    for path in find_all(args, errors)? {
        match path {
            Ok(path) => reports.push(session.run_file(&path, out, errors)?),
            Err(()) => session.totals.broken_files += 1,
        }
    }
    if let Some(path) = &args.junit
        && let Err(error) = std::fs::write(path, junit::document(&reports))
    {
        writeln!(errors, "millstream: can't write the report {}: {error}", path.display())?;
        return Ok(Finished { exit: Exit::Other, files: session.files, written: session.written });
    }
    let exit = session.summarise(started.elapsed(), out, errors)?;
    Ok(Finished { exit, files: session.files, written: session.written })
}

/// The files that the command line names, once each. `Err` stands for one that was complained of.
fn find_all(args: &TestArgs, errors: &mut dyn Write) -> io::Result<Vec<Result<PathBuf, ()>>> {
    let (mut found, mut seen) = (Vec::new(), BTreeSet::new());
    for path in &args.paths {
        match find::find(path) {
            Ok(files) => {
                // One that can't be looked up is complained of when it is read.
                let is_new = |file: &PathBuf| seen.insert(file.canonicalize().unwrap_or_else(|_| file.clone()));
                found.extend(files.into_iter().filter(is_new).map(Ok));
            }
            Err(error) => {
                writeln!(errors, "millstream: can't look for cases in {}: {error}", path.display())?;
                found.push(Err(()));
            }
        }
    }
    Ok(found)
}

/// A run: applications are loaded once, however many files of cases they have.
struct Session<'a> {
    args: &'a TestArgs,
    applications: BTreeMap<PathBuf, Option<Loaded>>,
    totals: Totals,
    files: Vec<PathBuf>,
    written: Vec<PathBuf>,
}

impl Session<'_> {
    fn run_file(&mut self, path: &Path, out: &mut dyn Write, errors: &mut dyn Write) -> io::Result<FileReport> {
        self.files.push(path.to_owned());
        self.totals.files += 1;
        let mut report = FileReport { path: path.display().to_string(), cases: Vec::new(), error: None };
        let file = match cases::load(path) {
            Ok(file) => file,
            Err(mistakes) => return self.give_up(report, &mistakes.to_string(), errors),
        };
        if !self.applications.contains_key(&file.manifest) {
            let loaded = load_application(&file.manifest, &mut self.files);
            if let Err(message) = &loaded {
                writeln!(errors, "{message}")?;
            }
            self.applications.insert(file.manifest.clone(), loaded.ok());
        }
        let Some(Some(loaded)) = self.applications.get(&file.manifest) else {
            self.totals.broken_files += 1;
            report.error = Some(format!("{} can't be used", file.manifest.display()));
            return Ok(report);
        };
        if let Err(mistakes) = check_names(&file, &loaded.application) {
            return self.give_up(report, &mistakes.to_string(), errors);
        }
        let only = |name: &str| self.args.only.as_ref().is_none_or(|only| name.contains(only.as_str()));
        let (mut cases, edits) = play_all(&file, loaded, only);
        let (mut updated, mut refused) = (0, BTreeMap::new());
        if self.args.update && !edits.is_empty() {
            let rewritten = rewritten(&file, &edits);
            refused =
                rewritten.refused.iter().map(|(case, why)| (file.cases[*case].name.clone(), why.clone())).collect();
            if rewritten.text != file.text
                && let Some(file) = update(&file, rewritten.text, errors)?
            {
                self.written.push(path.to_owned());
                // Only what passes now is updated; lines are those of the new text.
                let failed: Vec<String> =
                    cases.iter().filter(|case| case.failure.is_some()).map(|case| case.name.clone()).collect();
                let (again, _) = play_all(&file, loaded, |name| failed.iter().any(|failed| failed == name));
                updated = again.iter().filter(|case| case.failure.is_none()).count();
                for new in again {
                    let old = cases.iter_mut().find(|case| case.name == new.name);
                    old.into_iter().for_each(|old| *old = new.clone());
                }
            }
        }
        for (name, why) in &refused {
            for case in cases.iter_mut().filter(|case| case.name == *name) {
                let failure = case.failure.get_or_insert_default();
                failure.push_str(&format!("\n--update has not changed this case: {why}; change it by hand"));
            }
        }
        report.cases = cases;
        self.tell(&report, updated, out)?;
        Ok(report)
    }

    fn give_up(&mut self, report: FileReport, message: &str, errors: &mut dyn Write) -> io::Result<FileReport> {
        for line in message.lines() {
            writeln!(errors, "{}", plain(line))?;
        }
        self.totals.broken_files += 1;
        Ok(FileReport { error: Some(message.to_owned()), ..report })
    }

    /// Tells what the cases of a file have come to; `updated` of those that pass failed before they were changed.
    fn tell(&mut self, report: &FileReport, updated: usize, out: &mut dyn Write) -> io::Result<()> {
        let failed: Vec<&CaseReport> = report.cases.iter().filter(|case| case.failure.is_some()).collect();
        let seconds = report.cases.iter().map(|case| case.took).sum::<Duration>().as_secs_f64();
        let (path, count) = (plain(&report.path), counted(report.cases.len(), "case"));
        if report.cases.is_empty() {
            return Ok(());
        }
        self.totals.passed += report.cases.len() - failed.len() - updated;
        self.totals.updated += updated;
        self.totals.failed += failed.len();
        if updated > 0 {
            writeln!(out, "UPDATED {path} ({})", counted(updated, "case"))?;
        }
        if failed.is_empty() {
            return if updated > 0 { Ok(()) } else { writeln!(out, "ok      {path} ({count}, {seconds:.2} s)") };
        }
        writeln!(out, "FAILED  {path} ({} of {count}, {seconds:.2} s)", failed.len())?;
        for case in failed {
            writeln!(out, "  {}", plain(&case.name))?;
            for line in case.failure.iter().flat_map(|failure| failure.lines()) {
                writeln!(out, "    {}", plain(line))?;
            }
        }
        Ok(())
    }

    fn summarise(&self, took: Duration, out: &mut dyn Write, errors: &mut dyn Write) -> io::Result<Exit> {
        let Totals { passed, failed, updated, files, broken_files } = self.totals;
        let seconds = took.as_secs_f64();
        if passed + failed + updated + broken_files == 0 {
            let places: Vec<_> = self.args.paths.iter().map(|path| path.display().to_string()).collect();
            let places = places.join(", ");
            match &self.args.only {
                Some(only) => writeln!(errors, "millstream: no case in {places} has {only:?} in its name")?,
                None => writeln!(
                    errors,
                    "millstream: there are no cases in {places}: .toml and .yaml files in folders named `cases`; `millstream test \
                     --help` shows one"
                )?,
            }
            return Ok(Exit::Usage);
        }
        let mut line = format!("{} passed", counted(passed, "case"));
        if failed > 0 {
            line.push_str(&format!(", {failed} failed"));
        }
        if updated > 0 {
            line.push_str(&format!(", {updated} updated: read the difference before you keep it"));
        }
        if broken_files > 0 {
            line.push_str(&format!(", {} could not be run", counted(broken_files, "file")));
        }
        writeln!(out, "{line} ({}, {seconds:.2} s)", counted(files, "file"))?;
        Ok(match (broken_files, failed) {
            (0, 0) => Exit::Clean,
            (0, _) => Exit::Other,
            _ => Exit::Usage,
        })
    }
}

/// What cases have come to, and by the index of each what would make it say what came out.
type PlayedCases = (Vec<CaseReport>, BTreeMap<usize, Vec<Edit>>);

/// Plays the cases whose names `is_asked_for`.
fn play_all(file: &CaseFile, loaded: &Loaded, is_asked_for: impl Fn(&str) -> bool) -> PlayedCases {
    let (mut reports, mut edits) = (Vec::new(), BTreeMap::new());
    for (index, case) in file.cases.iter().enumerate().filter(|(_, case)| is_asked_for(&case.name)) {
        let started = Instant::now();
        let lines = LogLines::new(is_shown, LOG_LINES_MAX);
        // Who asks for log lines gets them all, as they come.
        let shows_log = std::env::var_os(crate::telemetry::FILTER_VARIABLE).is_some();
        let played = match shows_log {
            true => play::play(file, case, loaded),
            false => lines.during(|| play::play(file, case, loaded)),
        };
        let failure = (!played.problems.is_empty()).then(|| describe(&played, &file.path, &lines));
        reports.push(CaseReport { name: case.name.clone(), failure, took: started.elapsed() });
        if !played.edits.is_empty() {
            edits.insert(index, played.edits);
        }
    }
    (reports, edits)
}

/// Writes a new text into the file. Nothing comes of it if that can't be done, which is complained of.
fn update(file: &CaseFile, text: String, errors: &mut dyn Write) -> io::Result<Option<CaseFile>> {
    match std::fs::write(&file.path, &text) {
        Ok(()) => Ok(cases::parse(text, &file.path).ok()),
        Err(error) => {
            writeln!(errors, "millstream: can't write {}: {error}", plain(&file.path.display().to_string()))?;
            Ok(None)
        }
    }
}

/// A line that does nothing to a terminal: control characters are escaped as values have them.
fn plain(line: &str) -> String {
    let mut plain = String::with_capacity(line.len());
    line.chars().for_each(|character| push_escaped(&mut plain, character));
    plain
}

/// Loads the application of a manifest; its files are added to `files`.
fn load_application(manifest: &Path, files: &mut Vec<PathBuf>) -> Result<Loaded, String> {
    files.push(manifest.to_owned());
    let application = config::load(manifest, &Overrides::default()).map_err(|mistakes| mistakes.to_string())?;
    files.extend(application.settings.plugins.values().map(|plugin| plugin.component.clone()));
    let missing = application.missing_components();
    if !missing.is_empty() {
        return Err(Mistakes { path: manifest.into(), mistakes: missing }.to_string());
    }
    let topology = Arc::new(application.topology.clone());
    let plugins = PluginSet::load(&application.settings, &topology).map_err(|failure| {
        let message = failure.message();
        format!("{}: {message}", manifest.display())
    })?;
    Ok(Loaded { application, plugins })
}

/// Plugins' lines from `info` on, and what is odd with the host.
fn is_shown(metadata: &Metadata<'_>) -> bool {
    let is_of_plugin = metadata.target().starts_with(PLUGIN_TARGET);
    *metadata.level() <= if is_of_plugin { Level::INFO } else { Level::WARN }
}

/// What is wrong with a case, and what its plugins said.
fn describe(played: &Played, path: &Path, lines: &LogLines) -> String {
    let problems: Vec<String> = played
        .problems
        .iter()
        .map(|problem| format!("{}:{}: {}", path.display(), problem.line, problem.text))
        .collect();
    let mut text = problems.join("\n");
    let said = lines.take();
    if !said.is_empty() {
        text.push_str("\nlog:");
        for line in said {
            text.push_str("\n  ");
            text.push_str(&line.to_string());
        }
    }
    text
}

fn counted(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}
