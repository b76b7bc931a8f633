//! Tests of the whole: the rules of the house, the fault simulator, a real broker. What they share is here.

#[cfg(feature = "kafka")]
pub mod kafka;
pub mod native;
pub mod sim;

pub use millstream_driver as driver;
