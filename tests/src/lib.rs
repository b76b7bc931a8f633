//! Tests of the whole: the rules of the house, the fault simulator, a real broker. What they share is here.

pub mod driver;
pub mod native;

