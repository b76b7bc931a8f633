//! Every number that a plugin controls, its bound, and the attack (or the accident) that the bound stops.

use std::time::Duration;

/// How often the clock of deadlines ticks. A deadline is met up to one tick late; a shorter tick would wake an idle
/// process more often.
pub const TICK: Duration = Duration::from_millis(10);

/// Wasm stack of a call. Endless recursion ends here, not in the stack of the host's thread, which is twice as large.
/// Interpreters find endless recursion of what they interpret by themselves, if they are given this much.
pub const STACK_BYTES_MAX: usize = 1024 * 1024;

/// Bytes that a guest may hand over in one call of the host: a list of 4 GiB must not be copied before anybody looks at
/// it.
pub const HOST_CALL_BYTES_MAX: usize = 128 * 1024 * 1024;

/// Handles that a guest may hold. Each costs the host a table entry; a guest that opens and never drops would fill it.
pub const HANDLES_MAX: usize = 10_000;

/// Cursors open at once in one call. Each pins a key range in the host.
pub const CURSORS_MAX: usize = 256;

/// Entries that a table of a guest may have: tables are host memory, 8 bytes an entry.
pub const TABLE_ENTRIES_MAX: usize = 1_000_000;

/// Linear memories, tables and core instances in one component: each of them takes address space, or a kilobyte, before
/// any limit on its size is asked. Components that are linked from libraries (Python's) have some dozens.
pub const MEMORIES_MAX: usize = 16;
/// See [`MEMORIES_MAX`].
pub const TABLES_MAX: usize = 128;
/// See [`MEMORIES_MAX`].
pub const INSTANCES_MAX: usize = 256;

/// Bytes of a log line; what is longer is cut. A plugin that logs its input would fill the disk.
pub const LOG_LINE_BYTES_MAX: usize = 8 * 1024;

/// Log lines of an instance in one second; the others are counted. A plugin that logs each record would be slower than
/// the log.
pub const LOG_LINES_PER_SECOND_MAX: u32 = 100;

/// Messages of level `error` that are kept to be shown with a trap, and lines of each.
pub const LAST_WORDS_MAX: usize = 4;
/// See [`LAST_WORDS_MAX`].
pub const LAST_WORDS_LINES_MAX: usize = 24;

/// The first and the last lines of standard error in a call that are kept to be shown with a trap: the text of a panic stands in
/// front of its backtrace in Go, and behind it in Python.
pub const STDERR_FIRST_LINES_MAX: usize = 12;
/// See [`STDERR_FIRST_LINES_MAX`].
pub const STDERR_LAST_LINES_MAX: usize = 20;

/// Random bytes that a guest may ask for at once: they are made in the host's memory.
pub const RANDOM_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Frames of a guest's backtrace that are shown.
pub const BACKTRACE_FRAMES_MAX: usize = 24;

/// Processors or functions that a component may list, stores or children that are remembered of those that it asks for, and the bytes
/// of a name. Names become labels of metrics.
pub const NAMES_MAX: usize = 1_000;
/// See [`NAMES_MAX`].
pub const NAME_BYTES_MAX: usize = 255;

/// Bounds of what the runtime takes in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuntimeLimits {
    /// Bytes of a component. Compiling takes memory many times its size; Python's components have about 40 MiB.
    pub component_bytes_max: usize,
    /// Bytes of compiled code kept on disk. Every version ever deployed leaves a file.
    pub cache_bytes_max: u64,
}

impl Default for RuntimeLimits {
    fn default() -> Self {
        Self { component_bytes_max: 128 * 1024 * 1024, cache_bytes_max: 1024 * 1024 * 1024 }
    }
}

/// Bounds of one instance, settings of the plugin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstanceLimits {
    /// Bytes of all its linear memories together. A fresh instance takes 1 MiB with Rust or C, and up to 16 MiB with Go or
    /// Python; a batch of records takes several times its size in each of them.
    pub memory_bytes_max: usize,
    /// Bytes of memory past which the instance is replaced after the next commit: the memory of guests never shrinks, and
    /// some leak.
    pub recycle_bytes: usize,
    /// How long one call may take. A guest that doesn't come back would hold its stream thread, and with it all its
    /// tasks.
    pub deadline: Duration,
}

impl Default for InstanceLimits {
    fn default() -> Self {
        let memory_bytes_max = 128 * 1024 * 1024;
        Self { memory_bytes_max, recycle_bytes: memory_bytes_max / 4 * 3, deadline: Duration::from_secs(1) }
    }
}
