//! Tests of the whole: the rules of the house, the fault simulator, a real broker. What they share is here.

pub mod driver;
#[cfg(feature = "kafka")]
pub mod kafka;
pub mod native;
pub mod sim;
