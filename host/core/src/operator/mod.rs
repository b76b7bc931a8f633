//! Native operators: processors that run in the host, for every language alike.

mod count;
mod filter;
mod pass;
mod select_key;

pub use count::Count;
pub use filter::Filter;
pub use pass::{DropNullKeys, Merge};
pub use select_key::SelectKey;
