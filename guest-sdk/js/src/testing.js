// Native unit tests of a processor: no Wasm, no broker, a clock that stands still until it is told otherwise.

import { Batch } from "./batch.js";
import { logTo } from "./log.js";
import { Output } from "./output.js";
import { Record } from "./record.js";
import { Running } from "./running.js";
import { encode, bytes as bytesSerde, decode } from "./serde.js";
import { StandIn } from "./stand-in.js";
import { binaryOfBytes, binaryOfText, bytesOfText } from "./utf8.js";

/** A record for a test. */
export function record(fields) {
    return Record.of(fields);
}

/** A record that was forwarded, and to which child; null means to all. */
export class Forwarded extends Record {
    constructor(batch, row, child) {
        super(batch, row);
        this.child = child;
    }
}

/** A processor to be tested. */
export class TestProcessor {
    #host = new StandIn();
    #running;
    #children;

    /** Begins the processor; throws what its constructor throws. Stream time is -1, wall-clock time 0. */
    constructor(Processor, { config = {}, children = ["child"], stores = [], entries = {} } = {}) {
        logTo((level, message) => this.#host.logged.push(`${level}: ${message}`));
        this.#children = this.#host.children = children;
        for (const name of [...stores, ...Object.keys(entries)]) this.#host.stores.set(name, new Map());
        for (const [name, pairs] of Object.entries(entries)) {
            for (const [key, value] of pairs) this.put(name, key, value);
        }
        this.#running = new Running(this.#host, Processor, {
            processor: "processor",
            node: "node",
            task: "0_0",
            config: Object.entries(config),
            children,
            stores: [...this.#host.stores.keys()],
        });
    }

    /** Gives it one record, then calls the punctuations that are due. Throws as `process` or a punctuation throws. */
    process(record) {
        const [failure] = this.processBatch([record]);
        if (failure !== undefined) {
            throw failure.error;
        }
    }

    /** Gives it records in one batch, then calls the punctuations that are due. Returns the rows that failed. */
    processBatch(records) {
        const columns = columnsOf(records);
        this.#host.takeRecords(
            columns,
            records.map((record) => record.timestamp),
        );
        const failures = this.#running.process(columns);
        this.#host.checkInput(columns);
        this.#punctuate("stream-time");
        return failures;
    }

    /** Lets time pass on the wall clock, then calls the punctuations that are due. */
    advanceWallClockTime(byMs) {
        this.#host.wallClockTimeNow += byMs;
        this.#punctuate("wall-clock-time");
    }

    #punctuate(kind) {
        for (const { id, timestamp } of this.#host.due(kind)) {
            if (this.#host.isScheduled(id)) {
                this.#host.isInPunctuation = true;
                this.#running.punctuate(id, kind, timestamp);
            }
        }
    }

    /** Calls `close`. */
    close() {
        this.#running.close();
    }

    /** What was forwarded since the last call, in the order of the calls of `forward` for each child. */
    takeForwarded() {
        const forwarded = this.#host.forwarded.splice(0);
        return forwarded.flatMap(({ child, columns }) => {
            const batch = new Batch(columns);
            const name = child === null ? null : this.#children[child];
            return Array.from({ length: batch.length }, (_, row) => new Forwarded(batch, row, name));
        });
    }

    /** What a store holds for a key, read by `serde`; null for nothing. */
    stored(store, key, serde = bytesSerde) {
        const stored = this.#host.store(store).get(binaryOf(encode(key)));
        return stored === undefined ? null : decode(stored.value, serde, "what the store holds");
    }

    /** Puts an entry into a store: bytes, a string, or what `serde` writes. */
    put(store, key, value, serde) {
        const piece = encode(value, serde);
        this.#host.store(store).set(binaryOf(encode(key)), {
            value: typeof piece === "string" ? bytesOfText(piece) : piece,
            timestamp: 0,
        });
    }

    /** How many calls into the host the last batch made; a number to keep small. */
    get hostCalls() {
        return this.#host.calls;
    }

    /** The lines logged so far: level, colon, text. */
    get logged() {
        return this.#host.logged;
    }

    /** How often a commit was asked for. */
    get commitsRequested() {
        return this.#host.commits;
    }
}

/** Asks a predicate of a plugin about records. */
export function askPredicate(plugin, name, records) {
    return Array.from(plugin.test(name, columnsOf(records)), (answer) => answer === 1);
}

/** Asks a key selector of a plugin for the records' keys: bytes, or null. */
export function askKeySelector(plugin, name, records) {
    const { keys, keyEnds, nulls } = plugin.selectKey(name, columnsOf(records));
    const batch = new Batch({ ...columnsOf(records), keys, keyEnds, nulls });
    return batch.keys;
}

/** Records in columns, as the host gives them. */
function columnsOf(records) {
    let taken;
    const output = new Output({ forward: (columns) => (taken = columns) });
    output.begin(null);
    for (const record of records) output.push(null, record, 0);
    output.handOver();
    return taken;
}

function binaryOf(piece) {
    return typeof piece === "string" ? binaryOfText(piece) : binaryOfBytes(piece);
}
