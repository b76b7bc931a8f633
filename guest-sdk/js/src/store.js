// State stores: every access behaves as if it went to the host at once, but those of a batch travel together.

import { atOnce, refuseLater } from "./at-once.js";
import { Cache } from "./cache.js";
import { Column, timestampAt, wordsOf } from "./column.js";
import { Fatal, reasonOf } from "./error.js";
import { log } from "./log.js";
import { checkedTimestamp } from "./record.js";
import { bytes as bytesSerde, decode, encode } from "./serde.js";
import { binaryOfBytes, binaryOfText, bytesOfText } from "./utf8.js";

/** What a walk yields: an entry of a store. */
export class Entry {
    constructor(key, value, timestamp) {
        this.key = key;
        this.value = value;
        this.timestamp = timestamp;
    }
}

/** A key-value store of the task, opened by `setup.store`. Its keys and values are of the types of its serdes. */
export class KeyValueStore {
    constructor(host, name, clock, { keys, values } = {}) {
        this.name = name;
        this._handle = openStore(host, name);
        this._cache = new Cache(this._handle);
        this._clock = clock;
        this._keys = keys;
        this._values = values;
        this._readAhead = null;
        this._hasFailedToChoose = false;
    }

    /** Another face of the same store, with other serdes. */
    as({ keys, values } = {}) {
        const face = Object.create(KeyValueStore.prototype);
        return Object.assign(face, this, { _keys: keys, _values: values, _main: this._main ?? this });
    }

    /**
     * Reads the entries of all records' keys at the beginning of each batch, in one call of the host. For a processor
     * that looks up the key of every record. With `choose`, reads the keys that it gives for a record instead: one, or
     * several in an array. Of a record for which it throws nothing is read ahead.
     */
    readAhead(choose) {
        refuseLater(choose, "the function of `readAhead`");
        (this._main ?? this)._readAhead = choose === undefined ? "record keys" : { choose, keys: this._keys };
        return this;
    }

    /** The value of `key`, or null. */
    get(key) {
        return this._read(this._cache.get(this._binary(key)));
    }

    /** The value of `key` with its timestamp, which is -1 in a store that keeps none; or null. */
    getWithTimestamp(key) {
        const entry = this._cache.get(this._binary(key));
        return entry.value === null ? null : { value: this._read(entry), timestamp: entry.timestamp };
    }

    /** The values of many keys, null for those that are not there, in one call of the host. */
    getMany(keys) {
        const binary = keys.map((key) => this._binary(key));
        this._cache.readAhead(binary);
        return binary.map((key) => this._read(this._cache.get(key)));
    }

    /** Sets the value of `key`; null deletes it. Its timestamp is that of the record that is processed. */
    put(key, value) {
        this._cache.put(this._binary(key), this._piece(value), this._clock.timestamp);
    }

    /** As `put`, with another timestamp. */
    putAt(key, value, timestamp) {
        this._cache.put(this._binary(key), this._piece(value), checkedTimestamp(timestamp));
    }

    /**
     * Sets the values of many `[key, value]` pairs; they go to the host in one call with all other writes of the
     * batch.
     */
    putMany(entries) {
        for (const [key, value] of entries) {
            this.put(key, value);
        }
    }

    /** Sets the value of `key` if there is none; returns what was there, or null. */
    putIfAbsent(key, value) {
        const binary = this._binary(key);
        const found = this._cache.get(binary);
        if (found.value !== null) {
            return this._read(found);
        }
        this._cache.put(binary, this._piece(value), this._clock.timestamp);
        return null;
    }

    /** Removes `key`. */
    delete(key) {
        this._cache.put(this._binary(key), null, this._clock.timestamp);
    }

    /** The entries from `lowest` to `highest`, both included; null means no bound. */
    range(lowest, highest, order = "ascending") {
        const bound = (key) => (key == null ? null : keyBytes(key, this._keys));
        return this._walk((handle) => handle.range(bound(lowest), bound(highest), order));
    }

    /** All entries, in the order of their keys' bytes. */
    all() {
        return this.range(null, null);
    }

    /** The entries whose keys begin with `prefix`: bytes or a string. */
    prefix(prefix, order = "ascending") {
        return this._walk((handle) => handle.prefix(keyBytes(prefix, undefined), order));
    }

    /** About how many entries the store has. Cheap. */
    approximateEntries() {
        this._cache.writeBack();
        return Number(this._handle.approximateEntries());
    }

    /**
     * The bytes of a key as a binary string. Those of a record's key are cut out of the batch's, which have been read.
     */
    _binary(key) {
        const column = this._clock.keys;
        if (
            column !== null &&
            this._keys === undefined &&
            key instanceof Uint8Array &&
            key.buffer === column.bytes.buffer
        ) {
            const start = key.byteOffset - column.bytes.byteOffset;
            const end = start + key.length;
            if (start >= 0 && end <= column.bytes.length) {
                return column.binary.substring(start, end);
            }
        }
        return binaryKey(key, this._keys);
    }

    _piece(value) {
        return value === null ? null : encode(value, this._values);
    }

    _read({ value }) {
        if (value === null) {
            return null;
        }
        const serde = this._values ?? bytesSerde;
        if (typeof value === "object" && value.column !== undefined) {
            return value.column.as(value.row, serde, "what the store holds");
        }
        return typeof value === "string" && serde === bytesSerde
            ? bytesOfText(value)
            : decode(value, serde, "what the store holds");
    }

    /** Opens the cursor at once, so that bounds are those of the moment of the call. */
    _walk(open) {
        this._cache.writeBack();
        return new Walk(this, open(this._handle));
    }

    // === For the context ===

    _beginBatch(batch) {
        // For one record a read ahead is a read too many.
        const readAhead = this._readAhead;
        if (readAhead === null || batch.length < 2) {
            return;
        }
        const keys = [];
        for (let row = 0; row < batch.length; row++) {
            if (readAhead === "record keys") {
                if (!batch._keys.isNull(row)) keys.push(batch._keys.binaryAt(row));
            } else {
                for (const key of this._chosenKeys(readAhead, batch.record(row))) keys.push(key);
            }
        }
        this._cache.readAhead(keys);
    }

    /**
     * The keys to be read ahead for a record. A failure is nobody's: alone, the record would not be asked, so here it
     * must not fail either. Only the first one is told, or a bad record in each batch would fill the log.
     */
    _chosenKeys({ choose, keys }, record) {
        try {
            const chosen = atOnce(choose(record), "the function of `readAhead`");
            const list = Array.isArray(chosen) ? chosen : [chosen];
            return list.filter((key) => key != null).map((key) => binaryKey(key, keys));
        } catch (error) {
            if (!this._hasFailedToChoose) {
                this._hasFailedToChoose = true;
                log.warn(`nothing is read ahead of store \`${this.name}\` for a record: ${reasonOf(error)}`);
            }
            return [];
        }
    }

    /** Ends a call: writes go to the host, and what was read is forgotten, because others may change it. */
    _end() {
        this._cache.beginRecord();
        this._cache.writeBack();
        this._cache.clear();
    }
}

/** A walk over entries, page by page. It ends with the call in which it began: don't keep it. */
class Walk {
    constructor(store, cursor) {
        this._store = store;
        this._cursor = cursor;
        this._page = null;
        this._index = 0;
    }

    [Symbol.iterator]() {
        return this;
    }

    next() {
        if (this._page === null || this._index === this._page.keys.length) {
            if (this._cursor === null || !this._turnPage()) {
                return { done: true, value: undefined };
            }
        }
        const { keys, values, times } = this._page;
        const row = this._index++;
        const store = this._store;
        const key = keys.as(row, store._keys ?? bytesSerde, "the key of an entry");
        const value = values.as(row, store._values ?? bytesSerde, "what the store holds");
        return { done: false, value: new Entry(key, value, timestampAt(times, row)) };
    }

    /** Ends the walk early; `for ... of` calls it when it is left. */
    return(value) {
        this._close();
        return { done: true, value };
    }

    _turnPage() {
        this._store._cache.writeBack();
        const page = this._cursor.next(0);
        const keys = new Column(page.keys, page.keyEnds, NO_NULLS, 1);
        if (keys.length === 0) {
            this._close();
            return false;
        }
        this._page = {
            keys,
            values: new Column(page.values, page.valueEnds, NO_NULLS, 1),
            times: wordsOf(page.timestamps),
        };
        this._index = 0;
        return true;
    }

    _close() {
        this._cursor?.[Symbol.dispose]?.();
        this._cursor = null;
        this._page = null;
    }
}

const NO_NULLS = new Uint8Array();

function openStore(host, name) {
    try {
        return host.openStore(name);
    } catch (error) {
        const what = error?.tag ?? error?.payload?.tag;
        if (what === "no-such-store") {
            throw new Fatal(`there is no store \`${name}\`: declare it in the manifest`);
        }
        if (what === "not-granted") {
            throw new Fatal(`store \`${name}\` isn't among the \`stores\` of this node: add it there`);
        }
        throw new Fatal(`store \`${name}\` can't be opened: ${error?.val ?? error?.payload?.val ?? error}`);
    }
}

function binaryKey(key, serde) {
    const piece = encode(key, serde);
    if (piece === null) {
        throw new TypeError("a store has no key null");
    }
    return typeof piece === "string" ? binaryOfText(piece) : binaryOfBytes(piece);
}

function keyBytes(key, serde) {
    const piece = encode(key, serde);
    return typeof piece === "string" ? bytesOfText(piece) : piece;
}
