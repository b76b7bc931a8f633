//! The program `millstream`: hands the command line to the part that does what it asks.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;
use millstream::cli::{Cli, Command, Exit};
use millstream::{
    bug, build_command, check_command, inspect_command, new_command, run_command, telemetry, test_command,
    topology_command, validate,
};

fn main() -> ExitCode {
    bug::tell_of_panics();
    bug::caught(run).into()
}

fn run() -> Exit {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // If the terminal is gone there is nobody to tell.
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage } else { Exit::Clean };
        }
    };
    if let Err(mistake) = telemetry::start(cli.log_format, cli.command.log_levels()) {
        let _ = writeln!(io::stderr(), "error: {mistake}");
        return Exit::Usage;
    }
    // Not locked: stream threads log while a command runs.
    let (mut out, mut errors) = (io::stdout(), io::stderr());
    let ended = match cli.command {
        Command::Validate(args) => validate::run(args, &mut out, &mut errors),
        Command::Check(args) => check_command::run(&args, &mut out, &mut errors),
        Command::Inspect(args) => inspect_command::run(&args, &mut out, &mut errors),
        Command::Topology(args) => topology_command::run(&args, &mut out, &mut errors),
        Command::Build(args) => build_command::run(args, &mut out, &mut errors),
        Command::New(args) => new_command::run(&args, &mut out, &mut errors),
        Command::Test(args) => test_command::run(&args, &mut out, &mut errors),
        Command::Run(args) => run_command::run(args, &mut errors),
        Command::Dev(args) => run_command::dev(args, &mut errors),
    };
    match ended {
        Ok(exit) => exit,
        // A reader that has seen enough (`millstream topology app.toml | head`) is no failure.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Exit::Clean,
        Err(_) => Exit::Other,
    }
}
