//! The languages that plugins are written in, and how a directory shows which.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

/// A language that plugins are built from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// A directory with a `Cargo.toml`.
    Rust,
    /// A directory with a `go.mod`.
    Go,
    /// A directory with a `package.json`: JavaScript or TypeScript.
    JavaScript,
    /// A directory with a `pyproject.toml`.
    Python,
    /// A directory with a `.c` file in it, or in its folder `src`.
    C,
}

impl Language {
    /// The language of the plugin in `directory`, if there is one.
    #[must_use]
    pub fn of(directory: &Path) -> Option<Self> {
        if directory.join("Cargo.toml").is_file() {
            Some(Self::Rust)
        } else if directory.join("go.mod").is_file() {
            Some(Self::Go)
        } else if directory.join("package.json").is_file() {
            Some(Self::JavaScript)
        } else if directory.join("pyproject.toml").is_file() {
            Some(Self::Python)
        } else if !crate::c::sources(directory).is_empty() {
            Some(Self::C)
        } else {
            None
        }
    }
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rust => "Rust",
            Self::Go => "Go",
            Self::JavaScript => "JavaScript",
            Self::Python => "Python",
            Self::C => "C",
        })
    }
}

/// The plugins that `directory` stands for: itself, or those directly in it, sorted. A workspace of Rust plugins stands
/// for itself, and for the plugins of other languages in it.
pub(crate) fn plugins_in(directory: &Path) -> Vec<(Language, PathBuf)> {
    let own = Language::of(directory);
    let mut plugins: Vec<_> = own.map(|language| (language, directory.to_owned())).into_iter().collect();
    if own.is_none() || is_bare_workspace(directory) {
        let entries = fs::read_dir(directory).into_iter().flatten().filter_map(std::result::Result::ok);
        let mut folders: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
        folders.sort();
        let found = folders.into_iter().filter_map(|folder| Some((Language::of(&folder)?, folder)));
        // Cargo knows the members of the workspace.
        plugins.extend(found.filter(|(language, _)| own.is_none() || *language != Language::Rust));
    }
    plugins
}

/// Whether the Cargo.toml of `directory` is a workspace without a package.
fn is_bare_workspace(directory: &Path) -> bool {
    let manifest = fs::read_to_string(directory.join("Cargo.toml")).unwrap_or_default();
    let has = |section: &str| manifest.lines().any(|line| line.trim() == section);
    has("[workspace]") && !has("[package]")
}
