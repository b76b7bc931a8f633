//! A panic is a bug of the program: it is told in one line that asks for a report, and the program ends with the code for bugs.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::{self, Write as _};
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::cli::Exit;

/// Whether any thread has panicked.
static HAS_PANICKED: AtomicBool = AtomicBool::new(false);

/// Lets each panic, of whichever thread, be told to standard error as what it is. Those of stream threads are caught by the
/// supervisor, and those in calls of plugins fail their task: what goes on after them is not decided here.
pub fn tell_of_panics() {
    set_hook(Box::new(|panic| {
        HAS_PANICKED.store(true, Ordering::SeqCst);
        let text = panic.payload_as_str().unwrap_or("a panic without a message");
        let place = panic.location().map_or_else(|| "an unknown place".to_owned(), ToString::to_string);
        let mut report = report(text, &place, thread::current().name());
        // Only with `RUST_BACKTRACE`.
        let backtrace = Backtrace::capture();
        if backtrace.status() == BacktraceStatus::Captured {
            report.push_str(&format!("\n{backtrace}"));
        }
        // If standard error is gone there is nobody to tell.
        let _ = writeln!(io::stderr(), "{report}");
    }));
}

/// Runs the program; a panic of any of its threads, also one that was caught, makes its end that of a bug.
pub fn caught(run: impl FnOnce() -> Exit) -> Exit {
    // What a panic left half done is not looked at again: the process ends.
    let exit = catch_unwind(AssertUnwindSafe(run)).unwrap_or(Exit::Internal);
    if HAS_PANICKED.load(Ordering::SeqCst) { Exit::Internal } else { exit }
}

fn report(text: &str, place: &str, thread: Option<&str>) -> String {
    let text = text.lines().collect::<Vec<_>>().join("; ");
    let (thread, version) = (thread.unwrap_or("without a name"), env!("CARGO_PKG_VERSION"));
    format!(
        "millstream: this is a bug of millstream, please report it with this line and what you did: {text} (at {place}, thread \
         {thread}, version {version})"
    )
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// Says to a process of this test what to do.
    const DOES: &str = "MILLSTREAM_TEST_PANICS";

    /// A process that panics as the variable says; without it nothing happens.
    #[test]
    #[allow(clippy::disallowed_methods, reason = "its exit code is what is tested")]
    fn process_that_panics() {
        let Ok(thread) = std::env::var(DOES) else { return };
        tell_of_panics();
        let exit = caught(|| match thread.as_str() {
            "own" => panic!("the index is 3\nbut the length is 2"),
            _ => {
                let other = thread::Builder::new().name("other".to_owned()).spawn(|| panic!("out of {}", "luck"));
                assert!(other.expect("a thread").join().is_err());
                Exit::Clean
            }
        });
        std::process::exit(exit as i32);
    }

    #[test]
    fn a_panic_of_any_thread_ends_with_70_and_one_line_that_asks_for_a_report() {
        for (thread, text) in [("own", "the index is 3; but the length is 2"), ("other", "out of luck")] {
            let mut command = Command::new(std::env::current_exe().expect("this test is a program"));
            command.args(["--exact", "bug::tests::process_that_panics", "--nocapture", "--test-threads=1"]);
            let output = command.env(DOES, thread).env_remove("RUST_BACKTRACE").output().expect("it runs");
            let errors = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(70), "{errors}");
            let begin = format!(
                "millstream: this is a bug of millstream, please report it with this line and what you did: {text} (at \
                 host/src/bug.rs:"
            );
            assert!(errors.starts_with(&begin) && errors.lines().count() == 1, "{errors}");
        }
    }
}
