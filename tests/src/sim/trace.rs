//! What happened in a world: a hash of everything, by which two runs are compared, and the last lines, for people.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Lines that are kept for a failing seed.
const LINES_MAX: usize = 200;

#[derive(Debug)]
struct Lines {
    hash: u64,
    count: u64,
    /// `None` while nobody is going to read them.
    tail: Option<VecDeque<String>>,
    violations: Vec<String>,
    counts: BTreeMap<&'static str, u64>,
}

/// See the file's documentation; shared by everything in a world.
#[derive(Clone, Debug)]
pub struct Trace(Arc<Mutex<Lines>>);

impl Trace {
    /// An empty trace; `keep_lines` keeps the last ones.
    #[must_use]
    pub fn new(keep_lines: bool) -> Self {
        let tail = keep_lines.then(VecDeque::new);
        let (violations, counts) = (Vec::new(), BTreeMap::new());
        Self(Arc::new(Mutex::new(Lines { hash: 0xcbf2_9ce4_8422_2325, count: 0, tail, violations, counts })))
    }

    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a line.
    pub fn note(&self, line: std::fmt::Arguments<'_>) {
        let mut lines = self.lines();
        let mut hash = Fnv(lines.hash);
        let _ = std::fmt::write(&mut hash, line);
        lines.hash = hash.0;
        lines.count += 1;
        let count = lines.count;
        if let Some(tail) = &mut lines.tail {
            if tail.len() == LINES_MAX {
                tail.pop_front();
            }
            tail.push_back(format!("{count:>6} {line}"));
        }
    }

    /// Counts something that every large run should have met.
    pub fn count(&self, what: &'static str) {
        *self.lines().counts.entry(what).or_default() += 1;
    }

    /// What was counted.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<&'static str, u64> {
        self.lines().counts.clone()
    }

    /// Notes that a promise was broken.
    pub fn violate(&self, what: String) {
        self.note(format_args!("VIOLATION: {what}"));
        self.lines().violations.push(what);
    }

    /// The broken promises.
    #[must_use]
    pub fn violations(&self) -> Vec<String> {
        self.lines().violations.clone()
    }

    /// Whether a promise was broken.
    #[must_use]
    pub fn is_violated(&self) -> bool {
        !self.lines().violations.is_empty()
    }

    /// The hash of all lines.
    #[must_use]
    pub fn hash(&self) -> u64 {
        self.lines().hash
    }

    /// The last lines.
    #[must_use]
    pub fn tail(&self) -> String {
        let lines = self.lines();
        lines.tail.iter().flatten().fold(String::new(), |text, line| text + line + "\n")
    }
}

/// Hashes what is written to it (FNV-1a), so that a line need not become a `String` first.
struct Fnv(u64);

impl std::fmt::Write for Fnv {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.0 = hash_bytes(self.0, text.as_bytes());
        Ok(())
    }
}

/// Continues an FNV-1a hash.
#[must_use]
pub fn hash_bytes(hash: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(hash, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}
