// Lines for the log of the host.

let sink = null;

/** Where lines go: the host's `log`, or that of a test. */
export function logTo(write) {
    sink = write;
}

function write(level, message) {
    if (sink === null) {
        console.error(`${level}: ${message}`);
    } else {
        sink(level, String(message));
    }
}

/** Writes lines at the levels of the host. */
export const log = {
    trace: (message) => write("trace", message),
    debug: (message) => write("debug", message),
    info: (message) => write("info", message),
    warn: (message) => write("warn", message),
    error: (message) => write("error", message),
};

/** Writes a text of several lines at level `error`, line by line. */
export function logError(text) {
    for (const line of text.split("\n")) {
        log.error(line);
    }
}
