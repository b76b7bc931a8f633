//! What plugins import, served: a file for each interface of `wit/`.
//!
//! The functions are written by hand and not generated, so that a list that a guest hands over is read where it lies in
//! the guest's memory ([`WasmList`](wasmtime::component::WasmList)) and copied once, into its place.

mod context;
mod log;
mod names;
mod state;
mod wasi;

use millstream_core::context::{Phase, TaskContext};
use wasmtime::component::Linker;

use crate::failure::HostRefusal;
use crate::limits::InstanceLimits;
use crate::memory::MemoryLimiter;

pub(crate) use log::{Log, Origin};
pub use names::Asked;
pub(crate) use names::Granted;
use names::Names;
pub(crate) use state::State;
use wasi::Wasi;
pub use wasi::grant as wasi_grant;
pub(crate) use wasi::is_linked as is_wasi;

/// The package and version of the contract, without the interface.
pub(crate) const PACKAGE: &str = "millstream:processor";
/// See [`PACKAGE`].
pub(crate) const VERSION: &str = "0.1.0";

/// The interfaces that a plugin may import.
pub(crate) const INTERFACES: [&str; 4] = ["types", "context", "state", "log"];

/// What an instance may reach while it is called.
pub(crate) struct HostState {
    /// The task's context, for the time of a call that has one.
    pub(crate) context: Option<Box<TaskContext>>,
    /// The node's children.
    pub(crate) children: Names,
    pub(crate) state: State,
    pub(crate) log: Log,
    pub(crate) memory: MemoryLimiter,
    /// What WASI keeps, once the guest has asked for it.
    wasi: Option<Box<Wasi>>,
}

impl HostState {
    pub(crate) fn new(log: Log, granted: Granted, limits: &InstanceLimits) -> Self {
        let (children, state) = (Names::new(granted.children), State::new(Names::new(granted.stores)));
        Self { context: None, children, state, log, memory: MemoryLimiter::new(limits.memory_bytes_max), wasi: None }
    }

    /// What belonged to the call before is forgotten.
    pub(crate) fn begin_call(&mut self) {
        self.log.begin_call();
        if let Some(wasi) = &mut self.wasi {
            wasi.begin_call();
        }
    }

    /// Ends what belongs to the call. The context must still be here.
    pub(crate) fn end_call(&mut self) {
        self.state.end_call();
        if self.wasi.is_some() {
            self.end_lines();
        }
    }

    /// The lines that the call has written to standard error.
    pub(crate) fn take_stderr(&mut self) -> Vec<String> {
        self.wasi.as_mut().map(|wasi| wasi.output.take_stderr()).unwrap_or_default()
    }

    /// The context, for a call that has one.
    fn context(&mut self) -> wasmtime::Result<&mut TaskContext> {
        self.context.as_deref_mut().ok_or_else(no_context)
    }

    /// The context and the stores.
    fn context_and_state(&mut self) -> wasmtime::Result<(&mut TaskContext, &mut State)> {
        let Self { context, state, .. } = self;
        Ok((context.as_deref_mut().ok_or_else(no_context)?, state))
    }
}

fn no_context() -> wasmtime::Error {
    HostRefusal::contract("only `log` can be called before `init` and in predicates and key selectors")
}

/// Refuses what can't be done in `close`.
fn check_not_closing(context: &TaskContext, what: &str) -> wasmtime::Result<()> {
    match context.phase() {
        Phase::Close => Err(HostRefusal::contract(format_args!("{what} is not possible in `close`"))),
        Phase::Init | Phase::Process | Phase::Punctuate => Ok(()),
    }
}

/// Serves all interfaces.
pub(crate) fn add_to_linker(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    // The types have no function, but components import them by name.
    linker.instance(&interface("types"))?;
    context::add_to_linker(&mut linker.instance(&interface("context"))?)?;
    state::add_to_linker(&mut linker.instance(&interface("state"))?)?;
    log::add_to_linker(&mut linker.instance(&interface("log"))?)?;
    wasi::add_to_linker(linker)
}

/// The full name of an interface of the contract.
pub(crate) fn interface(name: &str) -> String {
    format!("{PACKAGE}/{name}@{VERSION}")
}
