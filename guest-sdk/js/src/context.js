// What a processor can do besides reading and writing stores: forward, schedule, and ask where and when it is.

import { atOnce } from "./at-once.js";
import { Batch } from "./batch.js";
import { Fatal, ProcessorError, reasonOf, traceOf } from "./error.js";
import { logError } from "./log.js";
import { Output } from "./output.js";
import { Record } from "./record.js";
import { KeyValueStore } from "./store.js";

/** A punctuation that was scheduled. */
export class Punctuation {
    constructor(id) {
        this.id = id;
    }
}

/** A node below this one; see `setup.child`. */
export class Child {
    constructor(index, name) {
        this.index = index;
        this.name = name;
    }
}

/** What a processor can do while it is called. */
export class Context {
    constructor(host) {
        this._host = host;
        this._output = new Output(host);
        this._stores = [];
        // The timestamp that stores write by default is that of the record, or of the punctuation.
        this._clock = new StoreClock();
        // The row of the record that is processed; null outside of `process`.
        this._row = null;
        this._punctuations = new Map();
        this._failures = [];
    }

    /** Forwards a record to every child. Children get it after the call. */
    forward(record) {
        this._push(null, record);
    }

    /** Forwards a record to one child. */
    forwardTo(child, record) {
        this._push(indexOf(child), record);
    }

    /** Forwards a batch to every child, in `processBatch`: the one that came in, or one that was made from it. */
    forwardBatch(batch) {
        this._pushBatch(null, batch);
    }

    /** Forwards a batch to one child. */
    forwardBatchTo(child, batch) {
        this._pushBatch(indexOf(child), batch);
    }

    /**
     * Calls `punctuator(timestamp, context)`, or without one the processor's `punctuate`, every `intervalMs`
     * milliseconds. By stream time first as soon as the stream time is known, by wall-clock time after one interval;
     * intervals that nobody had time for are skipped.
     */
    schedule(intervalMs, kind, punctuator) {
        return this._schedule(intervalMs, kind, punctuator, (interval) => this._host.schedule(interval, kind));
    }

    /** As `schedule`, first due at `start`, and in that rhythm. */
    scheduleAt(start, intervalMs, kind, punctuator) {
        const first = wholeNumber(start, "the start");
        return this._schedule(intervalMs, kind, punctuator, (interval) => this._host.scheduleAt(first, interval, kind));
    }

    /** Ends a punctuation; it may be the one that is being called. */
    cancel(punctuation) {
        this._host.cancel(punctuation.id);
        this._punctuations.delete(punctuation.id);
    }

    /** The task's stream time at the record that is processed; -1 before any record. */
    streamTime() {
        return Number(this._host.streamTime(this._row ?? 0));
    }

    /** The wall-clock time; it stands still during a batch. */
    wallClockTime() {
        return Number(this._host.wallClockTime());
    }

    /** Where the record that is processed came from; empty topic and -1 in a punctuation, null in the beginning. */
    metadata() {
        const found = this._host.metadata(this._row ?? 0);
        return found == null ? null : { topic: found.topic, partition: found.partition, offset: Number(found.offset) };
    }

    /** Asks for a commit soon. */
    commit() {
        this._host.commit();
    }

    /**
     * Does the work for a record of the batch, in `processBatch`: what `work` forwards and writes belongs to that
     * record, and is taken back if it throws. False when the rest of the batch must not be processed. Rows must ascend.
     */
    row(row, work) {
        this._beginRow(row);
        let goesOn = true;
        try {
            atOnce(work(this), "the work of a row");
            this._output.handOverWhenLarge();
        } catch (error) {
            goesOn = this._fail(row, error);
        }
        this._row = null;
        this._clock.row = null;
        return goesOn;
    }

    // === For the calls from the host ===

    _beginRow(row) {
        this._row = row;
        this._clock.row = row;
        const stores = this._stores;
        for (let index = 0; index < stores.length; index++) stores[index]._cache.beginRecord();
    }

    _push(child, record) {
        if (!(record instanceof Record)) {
            throw new TypeError(
                "forward takes a record: derive it from the one that came in, or make it by `Record.of`",
            );
        }
        if (this._row === null && this._output.batch !== null && this._output.batch.length > 1) {
            throw new TypeError(
                "in `processBatch` records are forwarded within `context.row`, or together by `forwardBatch`",
            );
        }
        this._output.push(child, record, this._row ?? 0);
    }

    _pushBatch(child, batch) {
        if (!(batch instanceof Batch) || batch._source !== this._output.batch) {
            throw new TypeError("forwardBatch takes the batch that is being processed, or one made from it");
        }
        this._output.forwardBatch(child, batch);
    }

    _schedule(intervalMs, kind, punctuator, schedule) {
        let id;
        try {
            id = schedule(wholeNumber(intervalMs, "the interval"));
        } catch (error) {
            throw error instanceof Error && error.payload === undefined
                ? error
                : new Fatal(String(error.payload ?? error));
        }
        const punctuation = new Punctuation(id);
        this._punctuations.set(id, { punctuation, punctuator });
        return punctuation;
    }

    _openStore(name, serdes) {
        const open = this._stores.find((store) => store.name === name);
        if (open !== undefined) {
            return open.as(serdes);
        }
        const store = new KeyValueStore(this._host, name, this._clock, serdes);
        this._stores.push(store);
        return store;
    }

    _beginBatch(batch) {
        this._output.begin(batch);
        this._clock.begin(batch);
        for (const store of this._stores) store._beginBatch(batch);
    }

    _beginPunctuation(timestamp) {
        this._output.begin(null);
        this._row = null;
        this._clock.at = timestamp;
        for (const store of this._stores) store._cache.beginRecord();
    }

    /** Hands everything to the host. */
    _end() {
        for (const store of this._stores) store._end();
        this._output.handOver();
        this._row = null;
        this._clock.end();
    }

    _fail(row, error) {
        this._output.takeBack(row);
        for (const store of this._stores) store._cache.takeBack();
        const failure = asProcessorError(error);
        this._failures.push({ row, error: failure });
        return failure.goesOn;
    }

    _takeFailures() {
        const failures = this._failures;
        this._failures = [];
        return failures;
    }

    _takeBackPunctuation() {
        this._output.clear();
        for (const store of this._stores) store._cache.takeBack();
    }
}

/** The timestamp that stores write: looked up only when something is written. */
class StoreClock {
    constructor() {
        this.end();
    }

    begin(batch) {
        this.batch = batch;
        this.row = batch.length === 1 ? 0 : null;
    }

    /** The keys of the batch, if they have been read as a whole. */
    get keys() {
        return this.batch !== null && typeof this.batch._keys.binary === "string" ? this.batch._keys : null;
    }

    end() {
        this.batch = null;
        this.at = 0;
        this.row = null;
    }

    get timestamp() {
        if (this.batch === null) {
            return this.at;
        }
        if (this.row === null) {
            throw new TypeError(
                "in `processBatch` a write needs its record's timestamp: `putAt`, or write within `context.row`",
            );
        }
        return this.batch._timestampAt(this.row);
    }
}

/** What was thrown, as the host understands it. What is not the author's own error is logged with its stack. */
export function asProcessorError(thrown) {
    if (thrown instanceof ProcessorError) {
        return thrown;
    }
    logError(traceOf(thrown));
    const error = new Fatal(reasonOf(thrown));
    if (thrown instanceof Error) error.stack = thrown.stack;
    return error;
}

function indexOf(child) {
    if (!(child instanceof Child)) {
        throw new TypeError("name a child that `setup.child` has given");
    }
    return child.index;
}

function wholeNumber(value, what) {
    if (!Number.isSafeInteger(value)) {
        throw new RangeError(`${what} is a whole number of milliseconds; ${value} is none`);
    }
    if (what === "the interval" && value < 1) {
        throw new Fatal("the interval must be 1 ms or more");
    }
    return value;
}
