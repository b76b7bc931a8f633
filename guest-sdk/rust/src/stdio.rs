//! What a plugin prints: the macros of the standard library under their names, because the library itself prints nothing
//! on the target of plugins. `#[macro_use] extern crate millstream_sdk;` puts them in its place in a whole crate.

use std::fmt;

use crate::host;

/// Where something is printed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Output,
    /// Standard error.
    Error,
}

/// Prints a text; for the macros.
pub fn print(stream: Stream, text: fmt::Arguments<'_>) {
    match text.as_str() {
        Some(text) => host::print(stream, text),
        None => host::print(stream, &text.to_string()),
    }
}

/// Prints a text and ends the line; for the macros.
pub fn print_line(stream: Stream, text: fmt::Arguments<'_>) {
    host::print(stream, &format!("{text}\n"));
}

/// Prints a line to standard output, which becomes a line of the host's log at level `info`. In a native test it is the
/// standard library's macro.
#[macro_export]
macro_rules! println {
    () => { $crate::stdio::print($crate::stdio::Stream::Output, ::std::format_args!("\n")) };
    ($($text:tt)*) => { $crate::stdio::print_line($crate::stdio::Stream::Output, ::std::format_args!($($text)*)) };
}

/// As [`println!`](crate::println), without ending the line. The host ends it when the call into the plugin returns.
#[macro_export]
macro_rules! print {
    ($($text:tt)*) => { $crate::stdio::print($crate::stdio::Stream::Output, ::std::format_args!($($text)*)) };
}

/// Prints a line to standard error, which becomes a line of the host's log at level `warn`, and is shown with the trap if
/// the call ends in one. In a native test it is the standard library's macro.
#[macro_export]
macro_rules! eprintln {
    () => { $crate::stdio::print($crate::stdio::Stream::Error, ::std::format_args!("\n")) };
    ($($text:tt)*) => { $crate::stdio::print_line($crate::stdio::Stream::Error, ::std::format_args!($($text)*)) };
}

/// As [`eprintln!`](crate::eprintln), without ending the line. The host ends it when the call into the plugin returns.
#[macro_export]
macro_rules! eprint {
    ($($text:tt)*) => { $crate::stdio::print($crate::stdio::Stream::Error, ::std::format_args!($($text)*)) };
}

/// Prints what an expression is to standard error, with its place in the source, and gives it back.
#[macro_export]
macro_rules! dbg {
    () => { $crate::eprintln!("[{}:{}:{}]", ::std::file!(), ::std::line!(), ::std::column!()) };
    ($value:expr $(,)?) => {
        // A `match`, so that what the expression borrows lives as long as the whole.
        match $value {
            value => {
                $crate::eprintln!(
                    "[{}:{}:{}] {} = {:#?}",
                    ::std::file!(),
                    ::std::line!(),
                    ::std::column!(),
                    ::std::stringify!($value),
                    &value
                );
                value
            }
        }
    };
    ($($value:expr),+ $(,)?) => { ($($crate::dbg! { $value }),+,) };
}
