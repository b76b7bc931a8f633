//! The only user of wasmtime: plugins are loaded, instantiated and called here, and served what `wit/` promises them.
//!
//! A [`Runtime`] (one for the process) compiles a plugin to a [`Component`] (one for each version of it), from which
//! [`WasmPlugins`] makes the instances that a task's nodes run. To the core an instance is a processor, a predicate or
//! a key selector like any other.
//!
//! | a thing of `wit/` | is in |
//! |---|---|
//! | exports, as they are called | `exports` (generated), `instance`, `processor`, `function` |
//! | imports, as they are served | `imports/`, a file for each interface |
//! | limits and the attacks that they stop | `limits` |
//!
//! An answer of a guest, a trap and a limit are told apart where they enter, in `failure`.

mod cache;
mod component;
mod dry_run;
mod exports;
mod failure;
mod function;
mod imports;
mod instance;
mod language;
mod limits;
mod load_error;
mod memory;
mod plugins;
mod processor;
mod runtime;
mod ticker;

pub use component::Component;
pub use dry_run::DryRun;
pub use function::{WasmKeySelector, WasmPredicate};
pub use imports::Asked;
pub use imports::wasi_grant;
pub use language::guess_language;
pub use limits::{InstanceLimits, RuntimeLimits};
pub use load_error::LoadError;
pub use plugins::{NodeTrial, WasmPlugins};
pub use processor::{ProcessorSetup, WasmProcessor};
pub use runtime::{Runtime, RuntimeSettings};
