// The stand-in for the host in native tests: what the imports of the contract do, in memory.

import { KEY_IS_NULL, KEY_IS_OF_ROW, VALUE_IS_NULL, VALUE_IS_OF_ROW } from "./batch.js";
import { Column, bytesOfWords, packTimestamps, timestampAt, wordsOf } from "./column.js";
import { binaryOfBytes, bytesOfBinary } from "./utf8.js";

/** How many entries a cursor returns at once; few, so that tests turn pages. */
const PAGE_ENTRIES = 3;

const NOTHING = new Uint8Array();

export class StandIn {
    constructor() {
        this.children = [];
        /** By name; each a map of binary keys to `{ value: Uint8Array, timestamp }`. */
        this.stores = new Map();
        this.forwarded = [];
        /** The columns of the batch that is processed. */
        this.input = null;
        this.schedules = [];
        this.nextId = 0;
        this.streamTimes = [];
        this.streamTimeNow = -1;
        this.wallClockTimeNow = 0;
        this.isInPunctuation = false;
        this.logged = [];
        this.commits = 0;
        this.calls = 0;
    }

    // === For the tests ===

    takeRecords(columns, timestamps) {
        this.input = { ...columns, keys: columns.keys.slice(), values: columns.values.slice() };
        this.calls = 0;
        this.isInPunctuation = false;
        this.streamTimes = timestamps.map(
            (timestamp) => (this.streamTimeNow = Math.max(this.streamTimeNow, timestamp)),
        );
    }

    /** Throws when a processor has written to what it was given: the host would not see it. */
    checkInput(columns) {
        for (const name of ["keys", "values"]) {
            if (columns[name].some((byte, index) => byte !== this.input[name][index])) {
                throw new TypeError("the bytes of a record were changed in place: forward a changed copy of it");
            }
        }
    }

    /** The punctuations that are due, each once, and the time now; missed intervals are skipped. */
    due(kind) {
        const now = this.now(kind);
        const due = [];
        for (const schedule of this.schedules) {
            if (schedule.kind === kind && now >= 0 && schedule.due <= now) {
                due.push({ id: schedule.id, timestamp: now });
                schedule.due += (Math.floor((now - schedule.due) / schedule.interval) + 1) * schedule.interval;
            }
        }
        return due;
    }

    isScheduled(id) {
        return this.schedules.some((schedule) => schedule.id === id);
    }

    now(kind) {
        return kind === "stream-time" ? this.streamTimeNow : this.wallClockTimeNow;
    }

    store(name) {
        const store = this.stores.get(name);
        if (store === undefined) {
            throw new RangeError(`there is no store \`${name}\`: name it among the \`stores\` of the test`);
        }
        return store;
    }

    // === What the guest calls ===

    forward(columns, rows) {
        this.take(null, columns, rows);
    }

    forwardTo(child, columns, rows) {
        this.take(child, columns, rows);
    }

    take(child, columns, rows) {
        this.calls++;
        const length = columns.timestamps.length / 8;
        const agrees = columns.keyEnds.length === length * 4 && columns.valueEnds.length === length * 4;
        if (!agrees || (rows.length !== 0 && rows.length !== length * 4)) {
            throw new RangeError("the columns of a batch disagree");
        }
        this.forwarded.push({ child, columns: this.whole(columns, rows.length === 0 ? null : wordsOf(rows)) });
    }

    /** What is forwarded, with the keys and values that are those of rows of the input. */
    whole(columns, rows) {
        if (!columns.nulls.some((bits) => bits > (KEY_IS_NULL | VALUE_IS_NULL))) {
            return columns;
        }
        const entries = (name, nullBit, ofRowBit) => {
            const column = (of) => new Column(of[`${name}s`], of[`${name}Ends`], of.nulls, nullBit);
            const own = column(columns);
            const given = column(this.input);
            return Array.from(columns.nulls, (bits, index) => {
                if ((bits & ofRowBit) === 0) {
                    return own.bytesAt(index);
                }
                if (this.isInPunctuation || bits & nullBit || own.bytesAt(index).length > 0) {
                    throw new RangeError("what is forwarded can't be read");
                }
                return given.bytesAt(rows === null ? index : rows[index]);
            });
        };
        const keys = entries("key", KEY_IS_NULL, KEY_IS_OF_ROW);
        const values = entries("value", VALUE_IS_NULL, VALUE_IS_OF_ROW);
        const isNull = (entry, bit) => (entry === null ? bit : 0);
        return {
            ...columns,
            ...columnOf(
                "key",
                keys.map((key) => key ?? NOTHING),
            ),
            ...columnOf(
                "value",
                values.map((value) => value ?? NOTHING),
            ),
            nulls: Uint8Array.from(
                keys,
                (key, index) => isNull(key, KEY_IS_NULL) | isNull(values[index], VALUE_IS_NULL),
            ),
        };
    }

    child(name) {
        this.calls++;
        const index = this.children.indexOf(name);
        return index < 0 ? null : index;
    }

    schedule(interval, kind) {
        const now = this.now(kind);
        return this.add(kind, interval, kind === "stream-time" ? 0 : now + interval);
    }

    scheduleAt(start, interval, kind) {
        if (start < 0) {
            throw "the start must not be negative";
        }
        const now = this.now(kind);
        return this.add(
            kind,
            interval,
            start < now ? start + (Math.floor((now - start) / interval) + 1) * interval : start,
        );
    }

    add(kind, interval, due) {
        this.calls++;
        const id = this.nextId++;
        this.schedules.push({ id, kind, interval, due });
        return id;
    }

    cancel(id) {
        this.calls++;
        this.schedules = this.schedules.filter((schedule) => schedule.id !== id);
    }

    streamTime(row) {
        this.calls++;
        return (this.isInPunctuation ? undefined : this.streamTimes[row]) ?? this.streamTimeNow;
    }

    wallClockTime() {
        this.calls++;
        return this.wallClockTimeNow;
    }

    /** Records of a test come from partition 0 of a topic `test`, and each batch begins at offset 0. */
    metadata(row) {
        this.calls++;
        if (this.isInPunctuation) {
            return { topic: "", partition: -1, offset: -1 };
        }
        return row < this.streamTimes.length ? { topic: "test", partition: 0, offset: row } : null;
    }

    commit() {
        this.calls++;
        this.commits++;
    }

    openStore(name) {
        this.calls++;
        if (!this.stores.has(name)) {
            throw { tag: "no-such-store" };
        }
        return new StoreHandle(this, name);
    }
}

class StoreHandle {
    constructor(host, name) {
        this.host = host;
        this.name = name;
    }

    call() {
        this.host.calls++;
        return this.host.store(this.name);
    }

    get(key) {
        return this.call().get(binaryOfBytes(key)) ?? null;
    }

    getMany({ keys, keyEnds }) {
        const store = this.call();
        const column = new Column(keys, keyEnds, NOTHING, 1);
        const found = Array.from({ length: column.length }, (_, row) => store.get(column.binaryAt(row)));
        const values = found.map((stored) => stored?.value ?? NOTHING);
        return {
            ...columnOf("value", values),
            nulls: Uint8Array.from(found, (stored) => (stored === undefined ? 1 : 0)),
            timestamps: packTimestamps(found.map((stored) => stored?.timestamp ?? -1)),
        };
    }

    putMany({ keys, keyEnds, values, valueEnds, nulls, timestamps }) {
        const store = this.call();
        const keyColumn = new Column(keys, keyEnds, NOTHING, 1);
        const valueColumn = new Column(values, valueEnds, nulls, 1);
        const times = wordsOf(timestamps);
        for (let row = 0; row < keyColumn.length; row++) {
            const value = valueColumn.bytesAt(row)?.slice();
            if (value === undefined) {
                store.delete(keyColumn.binaryAt(row));
            } else {
                store.set(keyColumn.binaryAt(row), { value, timestamp: timestampAt(times, row) });
            }
        }
    }

    range(lowest, highest, order) {
        const low = lowest === null ? null : binaryOfBytes(lowest);
        const high = highest === null ? null : binaryOfBytes(highest);
        return this.scan(order, (key) => (low === null || low <= key) && (high === null || key <= high));
    }

    prefix(prefix, order) {
        const beginning = binaryOfBytes(prefix);
        return this.scan(order, (key) => key.startsWith(beginning));
    }

    scan(order, isWanted) {
        const keys = [...this.call().keys()].filter(isWanted).sort();
        return new Cursor(this, order === "ascending" ? keys : keys.reverse());
    }

    approximateEntries() {
        return this.call().size;
    }
}

class Cursor {
    constructor(handle, keys) {
        this.handle = handle;
        this.rest = keys;
    }

    next() {
        const store = this.handle.call();
        const page = this.rest.splice(0, PAGE_ENTRIES).filter((key) => store.has(key));
        const entries = page.map((key) => store.get(key));
        return {
            ...columnOf("key", page.map(bytesOfBinary)),
            ...columnOf(
                "value",
                entries.map(({ value }) => value),
            ),
            nulls: NOTHING,
            timestamps: packTimestamps(entries.map(({ timestamp }) => timestamp)),
        };
    }
}

function columnOf(name, entries) {
    let end = 0;
    const ends = Uint32Array.from(entries, (entry) => (end += entry.length));
    const bytes = new Uint8Array(end);
    entries.forEach((entry, index) => bytes.set(entry, ends[index] - entry.length));
    return { [`${name}s`]: bytes, [`${name}Ends`]: bytesOfWords(ends) };
}
