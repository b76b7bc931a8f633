//! Suites that every adapter of a port must pass; the ones in memory are the reference. Behind the feature `testing`.

pub mod task_state_suite;
