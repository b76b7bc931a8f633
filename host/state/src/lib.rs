//! State on disk: the only user of RocksDB.
//!
//! ```text
//! <state-dir>/<application.id>/
//!   .lock                              held by the one process that uses the directory
//!   .format                            the version of everything below
//!   kafka-streams-process-metadata     who this process is, over restarts
//!   0_3/                               one RocksDB per task: a column family per store, and `offsets`
//! ```
//!
//! A task's data and the changelog offsets it has reached are written in one batch and reach the disk in one atomic
//! flush, so after a crash they agree, and only the end of the changelog is replayed. There is no write-ahead log: the
//! changelog is one.
//!
//! Many changes of one store, of a restore or of a full write buffer, are written as a file of sorted entries, and the offset is noted
//! behind them. After a crash in between, the data are ahead of their offset by entries of the changelog, which are read
//! again and change nothing; no task runs before that.

mod database;
mod directory;
mod error;
mod format_version;
mod layout;
mod load;
mod open_tasks;
mod options;
mod process_id;
mod task_state;

pub use directory::RocksStateDirectory;
