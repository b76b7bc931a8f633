//! Why a plugin can't be built.

use std::io;
use std::path::PathBuf;

use crate::install::Missing;

/// A result whose error is [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a plugin can't be built.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file can't be read.
    #[error("{} can't be read: {error}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The component can't be written.
    #[error("{} can't be written: {error}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The directory holds no plugin.
    #[error(
        "{} holds no plugin: name a directory with a Cargo.toml, package.json, pyproject.toml, go.mod or C source, a \
         directory of such directories, or a core module",
        path.display()
    )]
    NoPlugin {
        /// The directory.
        path: PathBuf,
    },
    /// The package makes no library that could be a plugin.
    #[error("{} makes no plugin: put `crate-type = [\"cdylib\"]` into [lib] of its Cargo.toml", path.display())]
    NoCdylib {
        /// The directory.
        path: PathBuf,
    },
    /// One file was named for several components.
    #[error("{} makes {plugins} plugins: name one of their directories, or leave out the output file", path.display())]
    OneFileForMany {
        /// The directory.
        path: PathBuf,
        /// How many.
        plugins: usize,
    },
    /// A directory was named for a component.
    #[error("{} is a directory: name the file that the component is to be written to", path.display())]
    OutIsDirectory {
        /// The directory.
        path: PathBuf,
    },
    /// A tool can't be started.
    #[error("`{tool}` can't be started: {error}; install Rust from https://rustup.rs or your system's package `cargo`")]
    Tool {
        /// The tool.
        tool: String,
        /// Why.
        error: io::Error,
    },
    /// A language's own project file doesn't say what it must.
    #[error("{}: {reason}", path.display())]
    Project {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what to do.
        reason: String,
    },
    /// Cargo failed; it has said why.
    #[error("cargo could not compile {}; its messages are above", path.display())]
    Cargo {
        /// The directory.
        path: PathBuf,
    },
    /// Another compiler failed; it has said why.
    #[error("{tool} could not compile {}; its messages are above", path.display())]
    Compiler {
        /// The compiler.
        tool: &'static str,
        /// The directory.
        path: PathBuf,
    },
    /// A tool chain isn't there, or not all of it.
    #[error("a plugin in {} can't be built: {}; {}", .0.language, .0.what, .0.advice())]
    Missing(Missing),
    /// A tool chain can't be installed; the command has said why.
    #[error("`{command}` failed; its messages are above")]
    Install {
        /// The command.
        command: String,
    },
    /// The file is not WebAssembly.
    #[error("{} is no WebAssembly module: {reason}", path.display())]
    NotWasm {
        /// The file.
        path: PathBuf,
        /// What was found instead.
        reason: String,
    },
    /// The module is not whole.
    #[error(
        "{} is cut short, damaged, or uses features that are not supported: {reason}; let its compiler make it again",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where the module is wrong.
        reason: String,
    },
    /// The file is a component already.
    #[error("{} is a component already: use it as it is", path.display())]
    IsComponent {
        /// The file.
        path: PathBuf,
    },
    /// The module doesn't say which world it is of.
    #[error(
        "{} doesn't say which world it is made for: build it with one of Millstream's SDKs, or give `--world` with one \
         of {worlds}", path.display()
    )]
    NoWorld {
        /// The file.
        path: PathBuf,
        /// The worlds there are.
        worlds: String,
    },
    /// There is no such world.
    #[error("there is no world `{world}`: the worlds are {worlds}")]
    UnknownWorld {
        /// The world asked for.
        world: String,
        /// The worlds there are.
        worlds: String,
    },
    /// The module doesn't fit its world.
    #[error("{} can't become a component: {reason}", path.display())]
    Encode {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

impl Error {
    /// Whether the request itself is wrong: no edit of the plugin's sources mends that.
    #[must_use]
    pub fn is_of_the_request(&self) -> bool {
        match self {
            Self::NoPlugin { .. }
            | Self::OneFileForMany { .. }
            | Self::OutIsDirectory { .. }
            | Self::UnknownWorld { .. } => true,
            Self::Read { path, .. } => !path.exists(),
            _ => false,
        }
    }
}
