//! What the tests against a real broker share: brokers, the program `millstream` as a child process, a light client to write inputs
//! and to read what is committed, Kafka's own Java programs, and the functions that say what the output must be.
//!
//! The tests know the program only from outside: a manifest, a command line, signals, log lines, topics.

pub mod application;
pub mod broker;
pub mod client;
pub mod expected;
pub mod host;
pub mod java;
pub mod state;
pub mod work;

use std::fmt::Display;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long anything may take that a test waits for: a machine with a slow disk has kept a broker silent for half a minute, and a
/// request that was lost meanwhile is sent again only after the client's time-out.
pub const PATIENCE: Duration = Duration::from_secs(150);

/// Tells a measured number. Written past the test runner's capture, because passing tests are measured too.
pub fn report(text: impl Display) {
    let _ = writeln!(std::io::stderr(), "    {text}");
}

/// The generator of a test's random moments; a failure is repeated with `SEED=` and the number printed here.
#[must_use]
pub fn random() -> fastrand::Rng {
    let seed = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| fastrand::u64(..1_000_000));
    report(format_args!("SEED={seed}"));
    fastrand::Rng::with_seed(seed)
}

/// Asks until there is an answer.
///
/// # Panics
///
/// When there is none within `patience`.
pub fn eventually<T>(what: &str, patience: Duration, mut ask: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(start.elapsed() < patience, "this did not happen within {patience:?}: {what}");
        // The answer is another process's: there is nothing to be woken by.
        sleep(Duration::from_millis(5));
    }
}

/// A file of this crate.
#[must_use]
pub fn file_of_tests(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The component of a sample plugin.
///
/// # Panics
///
/// When it is not built.
#[must_use]
pub fn component(plugin: &str) -> PathBuf {
    let path = file_of_tests("../plugins/target/components").join(format!("{plugin}.wasm"));
    let path = path.canonicalize();
    path.unwrap_or_else(|error| panic!("the component of plugin {plugin} is not there ({error}): run `make plugins`"))
}
