//! `millstream test --watch`: runs again when a case, a manifest or a component has changed.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, SystemTime};

use super::{find, run_once};
use crate::cli::{Exit, TestArgs};

/// How often files are looked at. Asking for the times of some dozen files costs nothing, and works on every file system.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);

/// When a file was changed and how long it is; `None` while it is not there.
type Seen = BTreeMap<PathBuf, Option<(SystemTime, u64)>>;

/// Runs, waits for a change, and runs again, until the process is ended.
pub fn run(args: &TestArgs, out: &mut dyn Write, errors: &mut dyn Write) -> io::Result<Exit> {
    loop {
        let finished = run_once(args, out, errors)?;
        writeln!(out, "watching {} files; Ctrl-C ends", finished.files.len())?;
        out.flush()?;
        let before = look(args, &finished.files);
        let mut now = before.clone();
        while now == before {
            thread::sleep(LOOK_INTERVAL);
            now = look(args, &finished.files);
        }
        // A tool that writes several files, or one in pieces, is given time to end.
        let mut settled = look(args, &finished.files);
        loop {
            thread::sleep(LOOK_INTERVAL);
            let again = look(args, &finished.files);
            if again == settled {
                break;
            }
            settled = again;
        }
        let changed: Vec<String> = settled
            .iter()
            .filter(|(path, seen)| before.get(*path) != Some(seen))
            .map(|(path, _)| path.display().to_string())
            .collect();
        writeln!(out, "\nchanged: {}", changed.join(", "))?;
    }
}

/// The files of the last run, and those that are new.
fn look(args: &TestArgs, files: &[PathBuf]) -> Seen {
    let found = args.paths.iter().filter_map(|path| find::find(path).ok()).flatten();
    files.iter().cloned().chain(found).map(|path| (path.clone(), look_at(&path))).collect()
}

fn look_at(path: &Path) -> Option<(SystemTime, u64)> {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}
