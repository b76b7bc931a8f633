//! librdkafka's log lines, handed to `tracing`. It never writes to standard error by itself.

use tracing::{debug, error, info, warn};

/// Passes on one line; `level` is syslog's, 0 to 7. Called from librdkafka's own threads; there is no line per record.
pub(crate) fn client_line(level: i32, client: &str, facility: &str, message: &str) {
    match level {
        ..=3 => error!(target: "librdkafka", client, facility, "{message}"),
        4 => warn!(target: "librdkafka", client, facility, "{message}"),
        5 | 6 => info!(target: "librdkafka", client, facility, "{message}"),
        _ => debug!(target: "librdkafka", client, facility, "{message}"),
    }
}
