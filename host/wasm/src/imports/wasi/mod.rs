//! WASI 0.2, for languages whose run time needs it: everything is there, and nothing is granted.
//!
//! | asked for | answer |
//! |---|---|
//! | arguments, environment, working directory, opened directories | none |
//! | standard input | at its end |
//! | standard output and standard error | lines of the host's log ([`output`]) |
//! | sockets and names of machines | refused with an error, which is no trap |
//! | the clocks | the host's; a sleep passes at once ([`clock`]) |
//! | random bytes | seeded per task and record ([`random`]) |
//! | to exit | a trap |
//!
//! Nothing here waits, so no guest can hold its thread past the deadline of the call. `wasmtime_wasi` brings the types and
//! the refusals; what a plugin does use is served here, without the asynchronous run time that the library has for it.
//!
//! All of it is made when a guest asks for the first time: an instance that doesn't costs nothing more.

mod clock;
mod output;
mod random;

use wasmtime::component::{HasSelf, Linker, Resource, ResourceTable};
use wasmtime_wasi::p2::bindings::cli::{environment, exit, stderr, stdin, stdout};
use wasmtime_wasi::p2::bindings::cli::{
    terminal_input, terminal_output, terminal_stderr, terminal_stdin, terminal_stdout,
};
use wasmtime_wasi::p2::bindings::clocks::{monotonic_clock, wall_clock};
use wasmtime_wasi::p2::bindings::random::{insecure, insecure_seed, random as secure};
use wasmtime_wasi::p2::bindings::sync::io::{poll, streams};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use super::HostState;
use crate::failure::HostRefusal;
use clock::Clocks;
use output::Output;
use random::Random;

/// The interfaces that are linked, without the version, by package.
const LINKED: [(&str, &[&str]); 6] = [
    (
        "cli",
        &[
            "environment",
            "exit",
            "stdin",
            "stdout",
            "stderr",
            "terminal-input",
            "terminal-output",
            "terminal-stdin",
            "terminal-stdout",
            "terminal-stderr",
        ],
    ),
    ("clocks", &["monotonic-clock", "wall-clock"]),
    ("filesystem", &["preopens", "types"]),
    ("io", &["error", "poll", "streams"]),
    ("random", &["random", "insecure", "insecure-seed"]),
    (
        "sockets",
        &["instance-network", "ip-name-lookup", "network", "tcp", "tcp-create-socket", "udp", "udp-create-socket"],
    ),
];

/// The version of WASI that is linked; its patches are compatible with each other.
const VERSION: &str = "0.2.";

/// Whether the import `name` is part of the WASI that is linked.
pub(crate) fn is_linked(name: &str) -> bool {
    let Some((path, version)) = name.strip_prefix("wasi:").and_then(|rest| rest.split_once('@')) else { return false };
    let Some((package, interface)) = path.split_once('/') else { return false };
    let is_known = LINKED.iter().any(|(known, interfaces)| *known == package && interfaces.contains(&interface));
    is_known && version.starts_with(VERSION)
}

/// The package of an import of WASI that is linked, and what a plugin gets through it.
#[must_use]
pub fn grant(name: &str) -> Option<(&'static str, &'static str)> {
    let (package, _) = LINKED.iter().find(|(package, _)| {
        is_linked(name) && name.strip_prefix("wasi:").is_some_and(|rest| rest.split('/').next() == Some(*package))
    })?;
    let grant = match *package {
        "cli" => "what it prints becomes lines of the log; no arguments, no environment, no input",
        "clocks" => "the host's clocks; a sleep takes no time",
        "filesystem" => "no files",
        "io" => "what the others need, nothing of its own",
        "random" => "bytes that depend on task, node and record",
        _ => "no network",
    };
    Some((package, grant))
}

/// What WASI keeps for an instance.
pub(crate) struct Wasi {
    pub(super) output: Output,
    clocks: Clocks,
    random: Random,
    refusals: Option<Box<Refusals>>,
}

/// What the library needs in order to refuse.
struct Refusals {
    context: WasiCtx,
    table: ResourceTable,
}

impl HostState {
    fn wasi(&mut self) -> &mut Wasi {
        let Self { wasi, log, .. } = self;
        wasi.get_or_insert_with(|| {
            let (output, clocks, random) = (Output::default(), Clocks::new(), Random::new(log.origin()));
            Box::new(Wasi { output, clocks, random, refusals: None })
        })
    }
}

impl Wasi {
    /// What belonged to the call before is forgotten.
    pub(super) fn begin_call(&mut self) {
        self.output.begin_call();
        self.random.begin_call();
    }
}

impl Refusals {
    fn new() -> Self {
        let context = WasiCtx::builder().allow_tcp(false).allow_udp(false).allow_ip_name_lookup(false).build();
        Self { context, table: ResourceTable::new() }
    }
}

impl WasiView for HostState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let Refusals { context, table } = &mut **self.wasi().refusals.get_or_insert_with(|| Box::new(Refusals::new()));
        WasiCtxView { ctx: context, table }
    }
}

/// Links all of it: first what the library refuses, then, in its place, what is served here.
pub(super) fn add_to_linker(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    type Here = HasSelf<HostState>;
    wasmtime_wasi::p2::add_to_linker_sync(linker)?;
    linker.allow_shadowing(true);
    environment::add_to_linker::<_, Here>(linker, |state| state)?;
    exit::add_to_linker::<_, Here>(linker, |state| state)?;
    stdin::add_to_linker::<_, Here>(linker, |state| state)?;
    stdout::add_to_linker::<_, Here>(linker, |state| state)?;
    stderr::add_to_linker::<_, Here>(linker, |state| state)?;
    terminal_input::add_to_linker::<_, Here>(linker, |state| state)?;
    terminal_output::add_to_linker::<_, Here>(linker, |state| state)?;
    terminal_stdin::add_to_linker::<_, Here>(linker, |state| state)?;
    terminal_stdout::add_to_linker::<_, Here>(linker, |state| state)?;
    terminal_stderr::add_to_linker::<_, Here>(linker, |state| state)?;
    wall_clock::add_to_linker::<_, Here>(linker, |state| state)?;
    monotonic_clock::add_to_linker::<_, Here>(linker, |state| state)?;
    poll::add_to_linker::<_, Here>(linker, |state| state)?;
    streams::add_to_linker::<_, Here>(linker, |state| state)?;
    secure::add_to_linker::<_, Here>(linker, |state| state)?;
    insecure::add_to_linker::<_, Here>(linker, |state| state)?;
    insecure_seed::add_to_linker::<_, Here>(linker, |state| state)?;
    linker.allow_shadowing(false);
    Ok(())
}

impl environment::Host for HostState {
    fn get_environment(&mut self) -> wasmtime::Result<Vec<(String, String)>> {
        Ok(Vec::new())
    }

    fn get_arguments(&mut self) -> wasmtime::Result<Vec<String>> {
        Ok(Vec::new())
    }

    fn initial_cwd(&mut self) -> wasmtime::Result<Option<String>> {
        Ok(None)
    }
}

impl exit::Host for HostState {
    fn exit(&mut self, status: Result<(), ()>) -> wasmtime::Result<()> {
        let code = if status.is_ok() { "exit code 0" } else { "an exit code that is not 0" };
        Err(exited(code))
    }

    fn exit_with_code(&mut self, status_code: u8) -> wasmtime::Result<()> {
        Err(exited(&format!("exit code {status_code}")))
    }
}

fn exited(code: &str) -> wasmtime::Error {
    HostRefusal::contract(format_args!("it ended itself with {code}, where a plugin must return"))
}

// Only standard output says that it is a terminal: language run times keep the lines of any other output to themselves until some
// kilobytes have come together.

impl terminal_stdin::Host for HostState {
    fn get_terminal_stdin(&mut self) -> wasmtime::Result<Option<Resource<terminal_input::TerminalInput>>> {
        Ok(None)
    }
}

impl terminal_stdout::Host for HostState {
    fn get_terminal_stdout(&mut self) -> wasmtime::Result<Option<Resource<terminal_output::TerminalOutput>>> {
        Ok(Some(Resource::new_own(0)))
    }
}

impl terminal_stderr::Host for HostState {
    fn get_terminal_stderr(&mut self) -> wasmtime::Result<Option<Resource<terminal_output::TerminalOutput>>> {
        Ok(None)
    }
}

impl terminal_input::Host for HostState {}
impl terminal_input::HostTerminalInput for HostState {
    fn drop(&mut self, _terminal: Resource<terminal_input::TerminalInput>) -> wasmtime::Result<()> {
        Ok(())
    }
}

impl terminal_output::Host for HostState {}
impl terminal_output::HostTerminalOutput for HostState {
    fn drop(&mut self, _terminal: Resource<terminal_output::TerminalOutput>) -> wasmtime::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_interfaces_and_the_version_that_are_linked_are_known() {
        for name in ["wasi:cli/environment@0.2.0", "wasi:io/poll@0.2.12", "wasi:sockets/tcp@0.2.6"] {
            assert!(is_linked(name), "{name}");
        }
        for name in ["wasi:http/types@0.2.0", "wasi:cli/environment@0.3.0", "wasi:cli/environment", "cli/exit@0.2.0"] {
            assert!(!is_linked(name), "{name}");
        }
    }
}
