// Why a record was not processed, and what is to be done about it.

/** A record (or a punctuation) can't be processed: the reaction asked for, and the reason. */
export class ProcessorError extends Error {
    constructor(reaction, reason, options) {
        super(reason, options);
        this.name = this.constructor.name;
        this.reaction = reaction;
    }

    /** Whether later records of the batch may still be processed. */
    get goesOn() {
        return this.reaction === "skip" || this.reaction === "dead-letter";
    }
}

/** Leave the record out, count it, go on. */
export class Skip extends ProcessorError {
    constructor(reason, options) {
        super("skip", reason, options);
    }
}

/** Send the record to the dead-letter topic, go on. */
export class DeadLetter extends ProcessorError {
    constructor(reason, options) {
        super("dead-letter", reason, options);
    }
}

/** A dependency is away, the record is good: give it again later. */
export class Retry extends ProcessorError {
    constructor(reason, options) {
        super("retry", reason, options);
    }
}

/** Do what the plugin's policy in the manifest says: stop the task (the default), skip, or dead-letter. */
export class Fatal extends ProcessorError {
    constructor(reason, options) {
        super("fatal", reason, options);
    }
}

/** What was thrown, in one line, with the causes that it names. */
export function reasonOf(thrown) {
    if (thrown === null) {
        // What QuickJS throws when it has no memory left for an error.
        return "null was thrown, or there is no memory left";
    }
    if (!(thrown instanceof Error)) {
        return String(thrown);
    }
    const own = thrown instanceof ProcessorError ? thrown.message : `${thrown.name}: ${thrown.message}`;
    return thrown.cause === undefined ? own : `${own}: ${reasonOf(thrown.cause)}`;
}

/** A stack whose lines name the plugin's files, if the build has told where they are. */
function readable(stack) {
    const places = globalThis.millstreamPlaces;
    if (places === undefined) {
        return stack;
    }
    return stack.replace(/componentize-qjs:user\.js:(\d+):\d+/g, (whole, line) => {
        const file = places.files[places.places[line * 2 - 2]];
        return file === undefined ? whole : `${file}:${places.places[line * 2 - 1]}`;
    });
}

/** What was thrown, with its stack, for the log. */
export function traceOf(thrown) {
    if (!(thrown instanceof Error)) {
        return `thrown: ${reasonOf(thrown)}`;
    }
    const head = `${thrown.name}: ${thrown.message}`;
    const stack = readable(String(thrown.stack ?? ""));
    // V8 begins the stack with the message, QuickJS doesn't.
    const own = stack.startsWith(head) ? stack : `${head}\n${stack}`;
    return own.trimEnd() + (thrown.cause === undefined ? "" : `\ncaused by ${traceOf(thrown.cause)}`);
}
