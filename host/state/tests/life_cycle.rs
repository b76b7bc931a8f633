//! Opening, closing, opening again, wiping; damage, strangers and second owners.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test fails by panicking, and its child process prints")]

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Stdio};

use millstream_core::id::{Offset, TaskId};
use millstream_core::port::{StateDirectory, StateStoreSpec, TaskState};
use millstream_core::store::MemoryBudget;
use millstream_core::testing::task_state_suite::{apply, entries};
use millstream_core::{Error, Kind};
use millstream_state::RocksStateDirectory;

const TASK: TaskId = TaskId { sub_topology: millstream_core::id::SubTopologyId(0), partition: 3 };

fn open(root: &Path) -> Result<RocksStateDirectory, Error> {
    RocksStateDirectory::open(root, "app", MemoryBudget::default())
}

fn stores(names: &[&str]) -> Vec<StateStoreSpec> {
    names.iter().map(|name| StateStoreSpec { name: (*name).into(), persistent: true }).collect()
}

fn open_task(directory: &mut RocksStateDirectory, names: &[&str]) -> Result<Box<dyn TaskState>, Error> {
    directory.open_task(TASK, &stores(names))
}

fn offset(state: &dyn TaskState, store: usize) -> Option<i64> {
    state.changelog_offset(store).unwrap().map(|Offset(offset)| offset)
}

fn error_of<T>(result: Result<T, Error>) -> Error {
    result.err().expect("an error")
}

/// A directory with one task, whose store `counts` holds `key` -> `value` at offset 5.
fn filled() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    let mut directory = open(root.path()).unwrap();
    let mut state = open_task(&mut directory, &["counts"]).unwrap();
    apply(&mut *state, &[(0, b"key", Some(b"value"))], &[(0, 5)]);
    state.flush().unwrap();
    root
}

fn assert_filled(root: &Path) {
    let state = open_task(&mut open(root).unwrap(), &["counts"]).unwrap();
    assert_eq!(entries(&*state, 0), [(b"key".to_vec(), b"value".to_vec())]);
    assert_eq!(offset(&*state, 0), Some(5));
}

#[test]
fn state_is_there_when_the_directory_is_opened_again() {
    assert_filled(filled().path());
}

#[test]
fn what_was_applied_and_not_flushed_is_there_after_a_dirty_close() {
    let root = filled();
    let mut directory = open(root.path()).unwrap();
    let mut state = open_task(&mut directory, &["counts"]).unwrap();
    apply(&mut *state, &[(0, b"later", Some(b"1"))], &[(0, 6)]);
    drop(state);
    let state = open_task(&mut directory, &["counts"]).unwrap();
    assert_eq!(entries(&*state, 0).len(), 2);
    assert_eq!(offset(&*state, 0), Some(6));
}

#[test]
fn a_task_is_open_once_and_again_after_it_was_closed() {
    let root = tempfile::tempdir().unwrap();
    let mut directory = open(root.path()).unwrap();
    let mut other_thread = directory.clone();
    let state = open_task(&mut directory, &["counts"]).unwrap();
    assert_eq!(error_of(open_task(&mut other_thread, &["counts"])).kind(), Kind::Retriable);
    assert_eq!(error_of(other_thread.wipe_task(TASK)).kind(), Kind::Retriable);
    assert!(other_thread.open_task(TaskId::new(0, 4), &stores(&["counts"])).is_ok());
    drop(state);
    assert!(open_task(&mut other_thread, &["counts"]).is_ok());
}

#[test]
fn an_open_task_keeps_the_directory_locked() {
    let root = tempfile::tempdir().unwrap();
    let mut directory = open(root.path()).unwrap();
    let state = open_task(&mut directory, &["counts"]).unwrap();
    drop(directory);
    assert_eq!(error_of(open(root.path())).kind(), Kind::Fatal);
    drop(state);
    assert!(open(root.path()).is_ok());
}

#[test]
fn a_wiped_task_is_empty_and_the_others_are_not() {
    let root = filled();
    let mut directory = open(root.path()).unwrap();
    drop(directory.open_task(TaskId::new(1, 0), &stores(&["counts"])).unwrap());
    directory.wipe_task(TASK).unwrap();
    directory.wipe_task(TASK).unwrap();
    assert_eq!(directory.tasks().unwrap().into_iter().collect::<Vec<_>>(), [TaskId::new(1, 0)]);
    let state = open_task(&mut directory, &["counts"]).unwrap();
    assert_eq!(entries(&*state, 0), []);
    assert_eq!(offset(&*state, 0), None);
}

#[test]
fn an_interrupted_wipe_is_finished_by_the_next_open() {
    let root = filled();
    let app = root.path().join("app");
    fs::rename(app.join("0_3"), app.join(".wiped-0_3")).unwrap();
    let directory = open(root.path()).unwrap();
    assert!(directory.tasks().unwrap().is_empty());
    assert!(!app.join(".wiped-0_3").exists());
}

#[test]
fn stores_come_and_go_with_the_topology() {
    let root = filled();
    let mut directory = open(root.path()).unwrap();
    let mut state = open_task(&mut directory, &["new"]).unwrap();
    assert_eq!((entries(&*state, 0), offset(&*state, 0)), (vec![], None));
    apply(&mut *state, &[(0, b"a", Some(b"1"))], &[(0, 1)]);
    drop(state);
    let state = open_task(&mut directory, &["counts", "new"]).unwrap();
    assert_eq!((offset(&*state, 0), offset(&*state, 1)), (Some(5), Some(1)));
    assert_eq!((entries(&*state, 0).len(), entries(&*state, 1).len()), (1, 1));
}

#[test]
fn the_process_id_outlives_the_process() {
    let root = tempfile::tempdir().unwrap();
    let id = open(root.path()).unwrap().process_id();
    assert_eq!(open(root.path()).unwrap().process_id(), id);
    let file = fs::read_to_string(root.path().join("app/kafka-streams-process-metadata")).unwrap();
    assert_eq!(file, format!("{{\"processId\":\"{id}\"}}"));
    assert_ne!(RocksStateDirectory::open(root.path(), "app2", MemoryBudget::default()).unwrap().process_id(), id);
}

/// What is done to a directory, and its name.
type Damage<'a> = (&'a str, &'a dyn Fn(&Path));

#[test]
fn damage_makes_the_task_corrupted_and_a_wipe_heals_it() {
    let file_that = |root: &Path, test: fn(&str) -> bool| {
        let mut files = fs::read_dir(root.join("app/0_3")).unwrap().map(|entry| entry.unwrap().path());
        files.find(|path| test(path.file_name().unwrap().to_str().unwrap())).expect("the file is there")
    };
    let is_table = |name: &str| name.ends_with(".sst");
    let is_manifest = |name: &str| name.starts_with("MANIFEST");
    let damages: [Damage<'_>; 5] = [
        ("table removed", &|root| fs::remove_file(file_that(root, is_table)).unwrap()),
        ("table truncated", &|root| fs::write(file_that(root, is_table), b"").unwrap()),
        ("manifest removed", &|root| fs::remove_file(file_that(root, is_manifest)).unwrap()),
        ("manifest overwritten", &|root| fs::write(file_that(root, is_manifest), [7; 100]).unwrap()),
        ("current overwritten", &|root| fs::write(root.join("app/0_3/CURRENT"), b"?").unwrap()),
    ];
    for (name, damage) in damages {
        let root = filled();
        damage(root.path());
        let mut directory = open(root.path()).unwrap();
        let error = error_of(open_task(&mut directory, &["counts"]));
        assert_eq!((error.kind(), error.task()), (Kind::TaskCorrupted, Some(TASK)), "{name}: {error:?}");
        directory.wipe_task(TASK).unwrap();
        let state = open_task(&mut directory, &["counts"]).unwrap();
        assert_eq!((entries(&*state, 0), offset(&*state, 0)), (vec![], None), "{name}");
    }
}

#[test]
fn damage_within_a_table_is_found_when_it_is_read() {
    let root = tempfile::tempdir().unwrap();
    let mut directory = open(root.path()).unwrap();
    let mut state = open_task(&mut directory, &["counts"]).unwrap();
    let value = vec![b'v'; 50_000];
    apply(&mut *state, &[(0, b"a", Some(&value)), (0, b"b", Some(&value))], &[(0, 2)]);
    drop(state);
    for entry in fs::read_dir(root.path().join("app/0_3")).unwrap() {
        let path = entry.unwrap().path();
        let mut content = fs::read(&path).unwrap();
        if path.extension().is_some_and(|extension| extension == "sst") && content.len() > 50_000 {
            content[25_000] ^= 1;
            fs::write(path, content).unwrap();
        }
    }
    let state = open_task(&mut directory, &["counts"]).unwrap();
    assert_eq!(error_of(state.get(0, b"a", &mut Vec::new())).kind(), Kind::TaskCorrupted);
}

#[test]
fn a_database_that_a_tool_has_open_is_waited_for() {
    let root = filled();
    let path = root.path().join("app/0_3");
    let families = ["default", "offsets", "store:counts"];
    let tool = rocksdb::DB::open_cf(&rocksdb::Options::default(), &path, families).unwrap();
    let mut directory = open(root.path()).unwrap();
    let error = error_of(open_task(&mut directory, &["counts"]));
    assert_eq!((error.kind(), error.task()), (Kind::Retriable, Some(TASK)), "{error:?}");
    drop(tool);
    assert!(open_task(&mut directory, &["counts"]).is_ok());
}

#[test]
fn an_error_of_the_disk_is_fatal_and_names_the_path() {
    let root = filled();
    let current = root.path().join("app/0_3/CURRENT");
    fs::remove_file(&current).unwrap();
    fs::create_dir(&current).unwrap();
    let error = error_of(open_task(&mut open(root.path()).unwrap(), &["counts"]));
    assert_eq!((error.kind(), error.task()), (Kind::Fatal, Some(TASK)), "{error:?}");
    assert!(error.to_string().contains("app/0_3 can't be read or written: check the disk"), "{error}");
}

#[test]
fn a_path_that_is_no_directory_is_fatal_and_named() {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("app");
    fs::write(&file, b"").unwrap();
    let error = error_of(open(root.path()));
    assert_eq!(error.kind(), Kind::Fatal);
    assert!(error.to_string().contains(file.to_str().unwrap()), "{error}");
}

#[test]
fn application_ids_that_leave_the_directory_are_refused() {
    let root = tempfile::tempdir().unwrap();
    for id in ["", ".", "..", "/", "../x", "a/b", "/tmp"] {
        let error = error_of(RocksStateDirectory::open(root.path(), id, MemoryBudget::default()));
        assert!(error.to_string().contains("can't name a directory"), "{id}: {error}");
    }
}

#[test]
fn a_directory_of_kafka_streams_is_left_alone() {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir_all(root.path().join("app/0_0/rocksdb/counts")).unwrap();
    let error = error_of(open(root.path()));
    assert_eq!(error.kind(), Kind::Fatal);
    assert!(error.to_string().contains("holds 0_0, which Millstream did not write"), "{error}");
    assert!(!root.path().join("app/.format").exists());
}

#[test]
fn a_newer_format_is_refused_and_left_alone() {
    let root = filled();
    let format = root.path().join("app/.format");
    fs::write(&format, "millstream-state 2\n").unwrap();
    let error = error_of(open(root.path()));
    assert_eq!(error.kind(), Kind::Fatal);
    assert!(error.to_string().contains("has format version 2, and this program knows up to 1"), "{error}");
    assert_eq!(fs::read_to_string(format).unwrap(), "millstream-state 2\n");
}

/// `tests/format_v1` was written by the first release: task 0_0 with the stores `counts` (a, b, c) and `seen` (1 to 9)
/// at the offsets 3 and 9, process id as below. It stays as it is.
#[test]
fn a_directory_of_format_1_opens() {
    let root = tempfile::tempdir().unwrap();
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/format_v1"), root.path());
    let mut directory = open(root.path()).unwrap();
    assert_eq!(directory.process_id(), "6f1d3c0a-58a2-4a0e-9d53-7c4be2a1f001");
    let state = directory.open_task(TaskId::new(0, 0), &stores(&["seen", "counts"])).unwrap();
    assert_eq!((offset(&*state, 0), offset(&*state, 1)), (Some(9), Some(3)));
    let letters = ["a", "b", "c"].map(|letter| (letter.as_bytes().to_vec(), letter.repeat(3).into_bytes()));
    assert_eq!(entries(&*state, 1), letters);
    let digits: Vec<_> = (1..=9_u8).map(|digit| (vec![digit], vec![digit])).collect();
    assert_eq!(entries(&*state, 0), digits);
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

const OTHER_PROCESS: &str = "MILLSTREAM_TEST_LOCK";

#[test]
fn another_process_is_told_who_to_stop() {
    if let Some(root) = std::env::var_os(OTHER_PROCESS) {
        // This is the other process: it holds the directory until its standard input ends.
        let _directory = open(Path::new(&root)).unwrap();
        println!("\nlocked");
        std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let mut other = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "another_process_is_told_who_to_stop", "--nocapture"])
        .env(OTHER_PROCESS, root.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(other.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap() == "locked"), "the other process locks the directory");

    let error = error_of(open(root.path()));
    assert_eq!(error.kind(), Kind::Fatal);
    let expected = format!(
        "state directory {} is used by another process: stop that one, or give this one a state directory of its own",
        root.path().join("app").display()
    );
    assert_eq!(error.to_string(), expected);

    other.kill().unwrap();
    other.wait().unwrap();
    assert!(open(root.path()).is_ok(), "a killed process holds no lock");
}
