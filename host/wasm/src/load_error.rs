//! Why a plugin can't be used, in words for its author and for the owner of the application.

use std::io;
use std::path::PathBuf;

/// Why a plugin can't be used.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file can't be read.
    #[error(
        "the component {} can't be read: {error}; build it with `millstream build`, or correct the path",
        path.display()
    )]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// It is larger than allowed.
    #[error(
        "the component has {bytes} bytes, but at most {max} are allowed: leave debug information and what it doesn't \
         need out of the build"
    )]
    Size {
        /// Its size.
        bytes: u64,
        /// The bound.
        max: usize,
    },
    /// It is not WebAssembly at all.
    #[error("this is no WebAssembly file: it begins with {found}; name a component made by `millstream build`")]
    NotWasm {
        /// The first bytes.
        found: String,
    },
    /// It is a module, not a component.
    #[error("this is a core module, not a component: run `millstream build` on it, or on the plugin's directory")]
    CoreModule,
    /// It is damaged, or uses what the engine doesn't know.
    #[error("the component is cut short, damaged, or uses features that are not supported: {reason}")]
    Invalid {
        /// What the compiler said.
        reason: String,
    },
    /// It exports nothing that a plugin exports.
    #[error(
        "the component is no plugin: it exports {exports}, but a plugin exports one of {expected}; build it for one of \
         the worlds in `wit/world.wit`"
    )]
    NoPlugin {
        /// What it exports.
        exports: String,
        /// What is expected.
        expected: String,
    },
    /// It was made for another version of the contract.
    #[error("the component is made for {found}, but this host speaks {expected}: {advice}")]
    Version {
        /// The interface that it imports or exports.
        found: String,
        /// The same in this version.
        expected: String,
        /// What to do.
        advice: &'static str,
    },
    /// It imports what no plugin gets.
    #[error("the component imports {imports}, which plugins don't get: {advice}")]
    UnknownImports {
        /// The imports.
        imports: String,
        /// What to do.
        advice: &'static str,
    },
    /// An interface has the right name and another shape.
    #[error("the component doesn't fit the contract {expected}: {reason}; build it again with the SDK of this version")]
    Mismatch {
        /// The version of the contract.
        expected: String,
        /// Where it differs.
        reason: String,
    },
    /// It failed while it was asked what it contains.
    #[error("the component could not say what it contains: {reason}")]
    Inspect {
        /// Why.
        reason: String,
    },
    /// It says that it contains processors, say, and names none.
    #[error("the plugin names no {kind}: register at least one (in Go in an `init` function; `main` is never called)")]
    NoNames {
        /// Processor, predicate or key selector.
        kind: &'static str,
    },
    /// It contains nothing of the kind that a node asks for.
    #[error("the plugin has no {kind}: name another plugin, or add one to it and build it again")]
    NoneOfKind {
        /// Processor, predicate or key selector.
        kind: &'static str,
    },
    /// It doesn't contain what a node asks for.
    #[error("the plugin has no {kind} `{name}`: it has {found}")]
    NoSuchName {
        /// Processor, predicate or key selector.
        kind: &'static str,
        /// The name asked for.
        name: String,
        /// Those there are.
        found: String,
    },
    /// A node doesn't say which it wants.
    #[error("the plugin has several {kind}s, so the node must name one: {found}")]
    Ambiguous {
        /// Processor, predicate or key selector.
        kind: &'static str,
        /// Those there are.
        found: String,
    },
}
