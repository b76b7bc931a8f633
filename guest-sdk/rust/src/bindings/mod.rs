//! The contract, and the part of WASI that the SDK uses, as Rust. Public for the macro [`export!`](crate::export) only.
//!
//! Generated once and kept, because the generator takes a minute to compile and would be compiled again for each author.
//! `tests/bindings.rs` makes the files, and fails when they are others.
#![allow(missing_docs, clippy::all, reason = "generated code")]

/// What a key selector plugin imports and exports.
#[rustfmt::skip]
pub mod key_selector;
/// What a predicate plugin imports and exports.
#[rustfmt::skip]
pub mod predicate;
/// What a processor plugin imports and exports.
#[rustfmt::skip]
pub mod processor;
/// What of WASI a plugin may import; its parts are linked only where they are used.
#[rustfmt::skip]
pub mod wasi;
