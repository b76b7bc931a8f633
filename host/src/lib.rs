//! The parts of the program `millstream` that its binary and its tests share.

pub mod dev;
