//! What dev mode reads and prints: records as lines of text, from files and standard input, without a broker.

pub mod input;
pub mod json_lines;
pub mod view;
