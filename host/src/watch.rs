//! Waits until files change: for the commands with `--watch`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, SystemTime};

/// How often files are looked at. Asking for the times of some dozen files costs nothing, and works on every file system.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);

/// When a file was changed and how long it is; `None` while it is not there.
pub type Seen = BTreeMap<PathBuf, Option<(SystemTime, u64)>>;

/// Waits until one of the files that `files` names has changed, is gone or is new, and then until nothing has changed for
/// a moment: a tool that writes several files, or one in pieces, is given time to end. Returns those that changed.
pub fn wait_for_change(files: impl Fn() -> Vec<PathBuf>) -> Vec<PathBuf> {
    wait_for_change_since(&look_at_all(files()), files)
}

/// The same for what has changed since `before`.
pub fn wait_for_change_since(before: &Seen, files: impl Fn() -> Vec<PathBuf>) -> Vec<PathBuf> {
    let look = || look_at_all(files());
    let mut now = look();
    while now == *before {
        thread::sleep(LOOK_INTERVAL);
        now = look();
    }
    loop {
        thread::sleep(LOOK_INTERVAL);
        let again = look();
        if again == now {
            break;
        }
        now = again;
    }
    let is_changed = |path: &&PathBuf| before.get(*path) != now.get(*path);
    let mut changed: Vec<PathBuf> = before.keys().chain(now.keys()).filter(is_changed).cloned().collect();
    changed.sort();
    changed.dedup();
    changed
}

/// Paths as a list in a line.
pub fn listed(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}

/// What is to be seen of `files` now.
pub fn look_at_all(files: impl IntoIterator<Item = PathBuf>) -> Seen {
    files.into_iter().map(|path| (path.clone(), look_at(&path))).collect()
}

fn look_at(path: &Path) -> Option<(SystemTime, u64)> {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_a_new_and_a_vanished_file_are_told_together() {
        let directory = std::env::temp_dir().join(format!("millstream-watch-{}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("a directory");
        let file = |name: &str| directory.join(name);
        for name in ["changes", "vanishes", "stays"] {
            std::fs::write(file(name), "1").expect("a file");
        }
        let list = || {
            let entries = std::fs::read_dir(&directory).expect("it is there").filter_map(Result::ok);
            entries.map(|entry| entry.path()).collect::<Vec<_>>()
        };
        let changed = thread::scope(|scope| {
            let waiting = scope.spawn(|| wait_for_change(list));
            // Whatever it has seen first, this ends by a file that is longer than before.
            while !waiting.is_finished() {
                let length = std::fs::metadata(file("changes")).map_or(0, |file| file.len());
                if length < 40 {
                    std::fs::write(file("changes"), "1".repeat(length as usize + 1)).expect("a file");
                    std::fs::write(file("new"), "1").expect("a file");
                    let _ = std::fs::remove_file(file("vanishes"));
                }
                thread::sleep(Duration::from_millis(20));
            }
            waiting.join().expect("it ends")
        });
        assert!(changed.contains(&file("changes")), "{changed:?}");
        assert!(!changed.contains(&file("stays")), "{changed:?}");
        std::fs::remove_dir_all(&directory).expect("it was there");
    }
}
