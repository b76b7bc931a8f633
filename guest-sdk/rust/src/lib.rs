//! Write Millstream processors in Rust.
//!
//! A plugin is a type that implements [`Processor`], and one line that exports it. The first line makes [`println!`] and
//! its like write to the host's log, in every module:
//!
//! ```
//! #[macro_use]
//! extern crate millstream_sdk;
//!
//! use millstream_sdk::prelude::*;
//!
//! /// Splits a text into words.
//! struct Split;
//!
//! impl Processor for Split {
//!     fn init(_setup: &mut Setup) -> Result<Self> {
//!         Ok(Self)
//!     }
//!
//!     fn process(&mut self, record: Record<'_>, context: &mut Context) -> Result<()> {
//!         for word in record.value_as::<&str>()?.split_whitespace() {
//!             context.forward(record.with_key(word).with_value(word));
//!         }
//!         Ok(())
//!     }
//! }
//!
//! export! { processors: { "split" => Split } }
//! # fn main() {}
//! ```
//!
//! Records come in batches, in packed columns, and the SDK shows them one by one without copying. What a processor
//! forwards is collected in columns and crosses to the host once a batch. Stores behave as if every access went to the
//! host at once, but writes of a batch go back together, and with [`KeyValueStore::read_ahead`] its reads come
//! together.
//!
//! The same processor runs in a native unit test, without Wasm: see [`testing`].

// The generated code and the macro name this crate by its own name, inside and outside of it.
extern crate self as millstream_sdk;

mod batch;
#[doc(hidden)]
pub mod bindings;
mod bytes;
mod columns;
mod context;
mod error;
#[doc(hidden)]
pub mod export;
mod function;
mod headers;
mod host;
#[cfg(feature = "json")]
mod json;
pub mod log;
mod output;
mod processor;
#[cfg(all(feature = "getrandom", target_arch = "wasm32"))]
mod random;
mod record;
mod setup;
#[doc(hidden)]
pub mod stdio;
mod store;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;
pub mod time;
mod view;
#[doc(hidden)]
pub use wit_bindgen as wit_bindgen_runtime;

pub use batch::Batch;
pub use bytes::Bytes;
pub use context::{Child, Context, Metadata, Punctuation, PunctuationType};
pub use error::{Error, Reaction, Result};
pub use function::Keys;
pub use headers::{Headers, HeadersBuilder};
#[cfg(feature = "json")]
pub use json::{Json, to_json};
pub use processor::Processor;
pub use record::Record;
pub use setup::Setup;
pub use store::{Cursor, Entry, KeyValueStore, Order, ReadAheadKeys};
pub use view::View;

/// Milliseconds since the epoch.
pub type Timestamp = i64;

/// What most plugins need.
pub mod prelude {
    pub use crate::{
        Batch, Child, Context, Error, KeyValueStore, Keys, Order, Processor, Punctuation, PunctuationType, Reaction,
        Record, Result, Setup, Timestamp,
    };
    #[cfg(feature = "json")]
    pub use crate::{Json, to_json};
}
