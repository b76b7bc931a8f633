//! `millstream test --watch`: runs again when a case, a manifest or a component has changed.

use std::io::{self, Write};

use super::{find, run_once};
use crate::cli::{Exit, TestArgs};
use crate::watch::{listed, wait_for_change};

/// Runs, waits for a change, and runs again, until the process is ended.
pub fn run(args: &TestArgs, out: &mut dyn Write, errors: &mut dyn Write) -> io::Result<Exit> {
    loop {
        let finished = run_once(args, out, errors)?;
        writeln!(out, "watching {} files; Ctrl-C ends", finished.files.len())?;
        out.flush()?;
        // The files of the last run, and those that are new.
        let changed = wait_for_change(|| {
            let found = args.paths.iter().filter_map(|path| find::find(path).ok()).flatten();
            finished.files.iter().cloned().chain(found).collect()
        });
        writeln!(out, "\nchanged: {}", listed(&changed))?;
    }
}
