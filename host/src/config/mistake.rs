//! Mistakes in a manifest, all at once, each with its place.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Line, from 1; 0 when the file can't be read at all.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What is wrong, what was expected, and what to do; a lower-case fragment.
    pub message: String,
}

/// All mistakes in a manifest, in the order of their places.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistakes {
    /// The manifest.
    pub path: PathBuf,
    /// At least one.
    pub mistakes: Vec<Mistake>,
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, mistake) in self.mistakes.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            let path = self.path.display();
            match mistake.line {
                0 => write!(f, "{path}: {}", mistake.message)?,
                line => write!(f, "{path}:{line}:{}: {}", mistake.column, mistake.message)?,
            }
        }
        Ok(())
    }
}

impl std::error::Error for Mistakes {}

/// Collects mistakes while a manifest is read.
#[derive(Debug)]
pub(crate) struct Notes<'a> {
    path: &'a Path,
    text: &'a str,
    found: Vec<(usize, String)>,
    warned: Vec<(usize, String)>,
}

impl<'a> Notes<'a> {
    pub fn new(path: &'a Path, text: &'a str) -> Self {
        Self { path, text, found: Vec::new(), warned: Vec::new() }
    }

    /// Notes a mistake at `span`.
    pub fn mistake(&mut self, span: &Range<usize>, message: impl Into<String>) {
        self.found.push((span.start, message.into()));
    }

    /// Notes something that is allowed but hardly wanted.
    pub fn warning(&mut self, span: &Range<usize>, message: impl Into<String>) {
        self.warned.push((span.start, message.into()));
    }

    /// Whether nothing is wrong.
    pub fn is_clean(&self) -> bool {
        self.found.is_empty()
    }

    /// Line and column of a place.
    pub fn position(&self, offset: usize) -> (usize, usize) {
        let before = self.text.get(..offset).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
    }

    /// All warnings, or all mistakes if there is one.
    pub fn finish(self) -> Result<Vec<Mistake>, Mistakes> {
        if self.is_clean() { Ok(self.placed(&self.warned)) } else { Err(self.into_mistakes()) }
    }

    /// All mistakes.
    pub fn into_mistakes(self) -> Mistakes {
        Mistakes { path: self.path.into(), mistakes: self.placed(&self.found) }
    }

    fn placed(&self, notes: &[(usize, String)]) -> Vec<Mistake> {
        let mut notes = notes.to_vec();
        notes.sort();
        notes.dedup();
        let mistake = |(offset, message)| {
            let (line, column) = self.position(offset);
            Mistake { line, column, message }
        };
        notes.into_iter().map(mistake).collect()
    }
}
