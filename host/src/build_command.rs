//! `millstream build`: says what it does, and prints what it has built.

use std::io::{self, Write};

use millstream_build::Request;

use crate::cli::{BuildArgs, Exit};

/// Builds what `args` name; the components go to `out`, a line each, everything else to `errors`.
///
/// # Errors
///
/// When `out` or `errors` can't be written to.
pub fn run(args: BuildArgs, out: &mut impl Write, errors: &mut impl Write) -> io::Result<Exit> {
    let request = Request { source: args.source, out: args.out, world: args.world, install: args.install };
    let mut report = |line: &str| {
        // Progress that nobody sees is no reason to stop.
        let _ = writeln!(errors, "{line}");
    };
    match millstream_build::build(&request, &mut report) {
        Ok(built) => {
            for component in built {
                let path = component.path.display();
                let fresh = if component.is_new { "" } else { ", unchanged" };
                writeln!(out, "{path} ({} bytes, {}{fresh})", component.bytes, component.digest)?;
            }
            Ok(Exit::Clean)
        }
        Err(error) => {
            writeln!(errors, "millstream: {error}")?;
            Ok(Exit::Usage)
        }
    }
}
