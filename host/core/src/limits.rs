//! Every bound of the engine that is not a setting, with its reason.

/// Records in one run: the largest batch that a processor is given at once. Past a thousand a crossing costs nothing more (see `bench/`).
pub const RUN_RECORDS_MAX: usize = 1000;

/// Bytes in one run. What a run is copied to, in and out of a guest, should stay in a core's cache (see `bench/LOG.md`), and a guest's memory
/// must hold its input, its output and the allocator's slack many times over.
pub const RUN_BYTES_MAX: usize = 576 * 1024;

/// Bytes of records of the usual size that a record queue takes from the consumer at once: a little less than a run, so that they mostly are
/// one, which is then handed on without a copy.
pub const QUEUE_BYTES_MAX: usize = 512 * 1024;

/// Records that one call of a processor may forward. A guest that forwards in a loop would fill the host's memory.
pub const FORWARD_RECORDS_MAX: usize = 4_000_000;

/// Bytes that one call of a processor may forward, for the same reason.
pub const FORWARD_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Punctuations that a node may have scheduled. Each is looked at in every round.
pub const PUNCTUATIONS_MAX: usize = 1024;

/// Bytes of a store's key: a changelog record must carry it, and RocksDB compares it on every level.
pub const STORE_KEY_BYTES_MAX: usize = 64 * 1024;

/// Bytes of a store's value: a changelog record must carry it; brokers refuse more than their `message.max.bytes` (1 MiB by default).
pub const STORE_VALUE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Entries in one page of a scan.
pub const PAGE_ENTRIES_MAX: usize = 10_000;

/// Bytes after which a page of a scan ends.
pub const PAGE_BYTES_MAX: usize = 1024 * 1024;

/// Changelog records applied to a store at once while it is restored.
pub const RESTORE_RECORDS_MAX: usize = 10_000;

const _: () = assert!(QUEUE_BYTES_MAX <= RUN_BYTES_MAX);
const _: () = assert!(RUN_BYTES_MAX < u32::MAX as usize && FORWARD_BYTES_MAX < u32::MAX as usize / 4);
