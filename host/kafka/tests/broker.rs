//! The adapters against a real broker.
