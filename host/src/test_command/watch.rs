//! `millstream test --watch`: runs again when a case, a manifest or a component has changed.

use std::io::{self, Write};

use super::{Finished, counted, find, run_once};
use crate::cli::{Exit, TestArgs};
use crate::watch::{Seen, listed, look_at_all, wait_for_change_since};

/// Runs, waits for a change, and runs again, until the process is ended.
pub fn run(args: &TestArgs, out: &mut dyn Write, errors: &mut dyn Write) -> io::Result<Exit> {
    let find_all = || args.paths.iter().filter_map(|path| find::find(path).ok()).flatten();
    let mut known = Vec::new();
    loop {
        // What is changed while the cases run is not missed.
        let mut seen: Seen = look_at_all(known.into_iter().chain(find_all()));
        let Finished { files, written, .. } = run_once(args, out, errors)?;
        writeln!(out, "watching {}; Ctrl-C ends", counted(files.len(), "file"))?;
        out.flush()?;
        seen.retain(|path, _| files.contains(path));
        let new: Vec<_> = files.iter().filter(|path| !seen.contains_key(*path)).cloned().collect();
        // What `--update` has written itself is no change.
        seen.extend(look_at_all(new.into_iter().chain(written)));
        let changed = wait_for_change_since(&seen, || files.iter().cloned().chain(find_all()).collect());
        writeln!(out, "\nchanged: {}", listed(&changed))?;
        known = files;
    }
}
