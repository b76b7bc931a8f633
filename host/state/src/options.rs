//! How RocksDB is tuned, each choice with its reason. All databases of a process share one memory budget.
//!
//! Kafka Streams gives every store a 50 MiB block cache and up to three 16 MiB write buffers, so memory grows with
//! partitions and ends the process (reference §3.6). Here the sum is bounded, whatever the number of tasks.

use millstream_core::store::MemoryBudget;
use rocksdb::{
    BlockBasedOptions, Cache, DBCompressionType, Env, FlushOptions, InfoLogger, LogLevel, Options, WriteBufferManager,
    WriteOptions,
};

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

/// What RocksDB's write buffers may take before the largest is flushed; what they don't take caches blocks.
pub fn write_buffer_bytes_max(budget: MemoryBudget) -> usize {
    budget.database_bytes_max() / 2
}

/// What the restoring stores of all tasks may keep together before they write a file. Their share of the cached entries is still
/// empty; it comes on top where other tasks run already.
pub fn load_bytes_max(budget: MemoryBudget) -> usize {
    budget.bytes_max / 4
}

/// The size at which one family's write buffer is flushed although others have room: a restart replays what was not
/// flushed, and 16 MiB of changelog are replayed in half a second. Most changes don't come through it: many of one store come as a file.
fn family_write_buffer_bytes(budget: MemoryBudget) -> usize {
    (write_buffer_bytes_max(budget) / 4).clamp(64 * KIB, 16 * MIB)
}

/// Options shared by all databases of a process.
pub struct Tuning {
    /// Of a database.
    pub database: Options,
    /// Of a store's column family.
    pub store_family: Options,
    /// Of the families that hold a few entries.
    pub small_family: Options,
    /// Of the files that databases take in.
    pub taken_in_file: Options,
    /// Of every write.
    pub write: WriteOptions,
    /// Begins a flush and lets it run in the background.
    pub flush_in_background: FlushOptions,
    /// Flushes and waits until it is on disk.
    pub flush_and_wait: FlushOptions,
}

impl Tuning {
    /// Options within `budget`.
    pub fn new(budget: MemoryBudget) -> Self {
        // Lock-free: queries don't slow the stream threads down, and a read costs a quarter less than with an LRU cache
        // (measured). 0 lets it find the entries' size out.
        let cache = Cache::new_hyper_clock_cache(budget.database_bytes_max(), 0);
        let mut flush_in_background = FlushOptions::new();
        flush_in_background.set_wait(false);
        let mut flush_and_wait = FlushOptions::new();
        flush_and_wait.set_wait(true);
        Self {
            database: database_options(budget, &cache),
            store_family: store_family_options(budget, &cache),
            small_family: family_options(budget, &cache),
            taken_in_file: taken_in_file_options(budget, &cache),
            write: write_options(),
            flush_in_background,
            flush_and_wait,
        }
    }
}

fn database_options(budget: MemoryBudget, cache: &Cache) -> Options {
    let mut options = Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true);

    // The promise of this crate: all stores of a task and its offsets reach the disk together or not at all.
    options.set_atomic_flush(true);

    // Write buffers are charged to the block cache, so that there is one bound. RocksDB must not stall writers at it:
    // it flushes only the database that is written, and would wait forever for the memory of idle ones. `OpenTasks`
    // keeps the sum below, and flushes the right one.
    let buffers = write_buffer_bytes_max(budget) + write_buffer_bytes_max(budget) / 4;
    options.set_write_buffer_manager(&WriteBufferManager::new_write_buffer_manager_with_cache(
        buffers,
        false,
        cache.clone(),
    ));

    // One thread writes a database. Sorted inserts then reuse the place of the last one.
    options.set_allow_concurrent_memtable_write(false);

    // Flushes and compactions of all databases share one pool of this size; stream threads need the cores more.
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    options.set_max_background_jobs(cores.clamp(2, 8) as i32);
    // Compactions get what others leave: one that is due at a start must not keep the first records waiting. They can't fall behind for long,
    // because writers are slowed down, and so leave more, at 20 files of level 0.
    let mut env = Env::new().expect("RocksDB has an environment");
    env.lower_thread_pool_cpu_priority();
    options.set_env(&env);

    // Hundreds of tasks share the process's file descriptors. 128 files are 4 GiB of one task; beyond, they are
    // reopened, their indexes and filters still being cached.
    options.set_max_open_files(128);

    // Opening: don't read every file's statistics, and preallocate 64 KiB of manifest instead of 4 MiB for each task.
    options.set_skip_stats_update_on_db_open(true);
    options.set_manifest_preallocation_size(64 * KIB);
    // By default every open starts 15 threads to read files, even without files: a third of the work of an open (bench/LOG.md).
    options.set_max_file_opening_threads(1);

    // Obsolete files are deleted in the background, never on a stream thread.
    options.set_avoid_unnecessary_blocking_io(true);

    // The kernel writes while a file grows, so that the sync at its end is short.
    options.set_bytes_per_sync(MIB as u64);

    // Errors join the program's log; no `LOG` files, no periodic statistics.
    options.set_info_logger(InfoLogger::new_callback_logger(LogLevel::Error, |level, line| {
        // Every open writes all options, as lines that pass whatever level is set.
        if matches!(level, LogLevel::Error | LogLevel::Fatal) {
            tracing::error!(target: "rocksdb", "{}", line.trim_end());
        }
    }));
    options.set_log_level(LogLevel::Error);
    options.set_stats_dump_period_sec(0);
    options.set_stats_persist_period_sec(0);

    // `avoid_flush_during_shutdown` stays off: everything here is committed, and after a dirty close a flush of some
    // megabytes is faster than their replay.
    options
}

/// Makes compactions take the blocks of the files that they have rewritten out of the cache, while one in ten of them is there: left alone, they
/// stay until others push them out, and what is live is read again meanwhile. The crate has no function for it.
const UNCACHING: &str = "uncache_aggressiveness=230";

fn family_options(budget: MemoryBudget, cache: &Cache) -> Options {
    let mut options = Options::default().get_options_from_string(UNCACHING).expect("RocksDB knows the option");
    options.set_block_based_table_factory(&table_options(cache));

    // Two more may wait for their flush before writers stall: a restore writes faster than a disk.
    let write_buffer = family_write_buffer_bytes(budget);
    options.set_write_buffer_size(write_buffer);
    options.set_max_write_buffer_number(4);
    // The first write takes one arena block. The default, 1 MiB, would be 600 MiB for 200 tasks of two stores.
    options.set_arena_block_size((write_buffer / 8).min(64 * KIB));

    // Levelled, where Kafka Streams is universal: a processor reads each key before it writes it, so reads weigh more
    // than write amplification, and a universal compaction needs twice the disk for a while.
    options.set_level_compaction_dynamic_level_bytes(true);
    options.set_target_file_size_base(32 * MIB as u64);
    options.set_max_bytes_for_level_base((4 * write_buffer).max(64 * MIB) as u64);

    // LZ4, where Kafka Streams has none: values are mostly text or JSON, a third of the size is a third of the reads
    // and three times the state in the page cache, for about a microsecond a block that is read once. Level 0 is
    // rewritten soon.
    options.set_compression_type(DBCompressionType::Lz4);
    options.set_min_level_to_compress(1);

    // `optimize_filters_for_hits` stays off, where Kafka Streams has it on: it drops the filters of the last level, and
    // then every key that is new, as in any aggregation, costs a read from disk.
    options
}

fn store_family_options(budget: MemoryBudget, cache: &Cache) -> Options {
    let mut options = family_options(budget, cache);
    // A filter before the write buffer, which is a list with jumps all over the memory: with many keys most are not in it, and a quarter of an
    // update's time was to find that out (bench/LOG.md). Six bits a record of 100 bytes; each open store pays for it, filled or not.
    options.set_memtable_prefix_bloom_ratio(0.005);
    options.set_memtable_whole_key_filtering(true);
    options
}

fn taken_in_file_options(budget: MemoryBudget, cache: &Cache) -> Options {
    let mut options = family_options(budget, cache);
    // Most of them lie over others and are rewritten soon, as level 0 is.
    options.set_compression_per_level(&[]);
    options.set_compression_type(DBCompressionType::None);
    options
}

fn table_options(cache: &Cache) -> BlockBasedOptions {
    let mut table = BlockBasedOptions::default();
    table.set_block_cache(cache);
    // As Kafka Streams. 16 KiB cost a fifth more for a point read from the cache (measured).
    table.set_block_size(4 * KIB);
    // 1 % of the reads of missing keys touch a block.
    table.set_bloom_filter(10.0, false);
    table.set_optimize_filters_for_memory(true);
    // Indexes and filters grow with the state, so they count in the budget. Those of level 0 are asked by every read.
    table.set_cache_index_and_filter_blocks(true);
    table.set_cache_index_and_filter_blocks_with_high_priority(true);
    table.set_pin_l0_filter_and_index_blocks_in_cache(true);
    // Pinned: a newer RocksDB alone must not change what is on disk.
    table.set_format_version(6);
    table
}

fn write_options() -> WriteOptions {
    let mut options = WriteOptions::default();
    // The changelog is the write-ahead log.
    options.disable_wal(true);
    options
}
