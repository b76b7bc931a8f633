//! `millstream build`: says what it does, and prints what it has built.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use millstream_build::{Built, Form, Request};
use millstream_wasm::{LoadError, Runtime};

use crate::app;
use crate::cli::{BuildArgs, Exit, TestArgs};
use crate::test_command;
use crate::watch::{listed, wait_for_change};

/// Folders that tools fill, and that nobody edits.
const SKIPPED: [&str; 7] = ["target", "node_modules", "__pycache__", "venv", "dist", "build", "state"];

/// Builds what `args` name; the components go to `out`, a line each, everything else to `errors`. With `--watch` builds
/// and tests again whenever a file has changed, until the process is ended.
///
/// # Errors
///
/// When `out` or `errors` can't be written to.
pub fn run(args: BuildArgs, out: &mut dyn Write, errors: &mut dyn Write) -> io::Result<Exit> {
    let watch = args.watch;
    let request = Request { source: args.source, out: args.out, world: args.world, install: args.install };
    if !watch {
        return Ok(build(&request, out, errors)?.exit);
    }
    loop {
        let ended = build(&request, out, errors)?;
        if ended.is_for_good {
            return Ok(ended.exit);
        }
        if ended.exit == Exit::Clean && has_cases(&request.source) {
            let tests = TestArgs { paths: vec![request.source.clone()], ..TestArgs::default() };
            test_command::run(&tests, out, errors)?;
        }
        let files = || files_of(&request.source);
        writeln!(out, "watching {} files; Ctrl-C ends", files().len())?;
        out.flush()?;
        let changed = wait_for_change(files);
        writeln!(out, "\nchanged: {}", listed(&changed))?;
    }
}

/// How a build has ended.
struct Ended {
    exit: Exit,
    /// Whether it would end so again, however the files are changed.
    is_for_good: bool,
}

fn build(request: &Request, out: &mut dyn Write, errors: &mut dyn Write) -> io::Result<Ended> {
    let mut report = |line: &str| {
        // Progress that nobody sees is no reason to stop.
        let _ = writeln!(errors, "{line}");
    };
    match millstream_build::build(request, &mut report) {
        Ok(built) => {
            let mut exit = Exit::Clean;
            let is_to_be_asked = built.iter().any(|component| component.made_as == Form::Module);
            let runtime = is_to_be_asked.then(app::plugin_runtime).and_then(Result::ok);
            for component in built {
                let path = component.path.display();
                let fresh = if component.is_new { "" } else { ", unchanged" };
                writeln!(out, "{path} ({} bytes, {}{fresh})", component.bytes, component.digest)?;
                if let Some(error) = names_nothing(&component, runtime.as_ref()) {
                    writeln!(errors, "millstream: {path}: {error}")?;
                    exit = Exit::Usage;
                }
            }
            Ok(Ended { exit, is_for_good: false })
        }
        Err(error) => {
            writeln!(errors, "millstream: {error}")?;
            Ok(Ended { exit: Exit::Usage, is_for_good: error.is_of_the_request() })
        }
    }
}

/// Why a component that was built can't be used, if that is because it names nothing that a node could use. A core module's compiler
/// can't know that, and what the component exports looks as it should.
fn names_nothing(component: &Built, runtime: Option<&Runtime>) -> Option<LoadError> {
    let runtime = runtime.filter(|_| component.made_as == Form::Module)?;
    // Whatever else may be wrong with it, `millstream inspect` and `millstream check` tell.
    runtime.load_file(&component.path).err().filter(|error| matches!(error, LoadError::NoNames { .. }))
}

fn has_cases(source: &Path) -> bool {
    test_command::find::find(source).is_ok_and(|files| source.is_dir() && !files.is_empty())
}

/// The file, or the files in the directory and below that somebody edits.
fn files_of(source: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut rest = vec![source.to_owned()];
    while let Some(path) = rest.pop() {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let is_a_tool_s = name.starts_with('.') || SKIPPED.contains(&name.as_str()) || path.is_symlink();
        if is_a_tool_s && path != source {
            continue;
        }
        match std::fs::read_dir(&path) {
            Ok(entries) => rest.extend(entries.filter_map(Result::ok).map(|entry| entry.path())),
            Err(_) => files.push(path),
        }
    }
    files
}
