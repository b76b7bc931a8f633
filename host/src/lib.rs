//! The parts of the program `millstream` that its binary and its tests share.

pub mod app;
pub mod bug;
pub mod build_command;
pub mod cases;
pub mod check_command;
pub mod cli;
mod clock;
pub mod config;
pub mod dev;
pub mod failure;
pub mod inspect_command;
#[cfg(feature = "kafka")]
mod memory;
pub mod new_command;
pub mod run_command;
mod signals;
mod supervisor;
pub mod telemetry;
pub mod test_command;
pub mod topology_command;
pub mod validate;
mod watch;
