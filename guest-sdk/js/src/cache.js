// What a call has read and written of a store.
//
// Invariants: an entry that is dirty differs from the host's (or may); one that is clean and known equals it. The
// journal holds what the current record replaced, oldest first, so that undoing it backwards gives the state before the
// record. Keys are binary strings (see `utf8.js`).

import { Column, packTimestamps, timestampAt, wordsOf } from "./column.js";
import { packPieces } from "./output.js";
import { bytesOfBinary } from "./utf8.js";

const NOTHING = new Uint8Array();

/** What is known of a key's value: undefined is nothing, null is none, else bytes, a string, or a place in a column. */
class Known {
    constructor(key) {
        this.key = key;
        this.value = undefined;
        this.timestamp = -1;
        this.isDirty = false;
    }
}

export class Cache {
    constructor(handle) {
        this.handle = handle;
        this.entries = new Map();
        this.dirty = [];
        this.journal = [];
    }

    beginRecord() {
        if (this.journal.length > 0) this.journal = [];
    }

    entry(key) {
        let entry = this.entries.get(key);
        if (entry === undefined) {
            entry = new Known(key);
            this.entries.set(key, entry);
        }
        return entry;
    }

    /** What is known of `key`; asks the host if nothing is. */
    get(key) {
        const entry = this.entry(key);
        if (entry.value === undefined) {
            const stored = this.handle.get(bytesOfBinary(key));
            // `undefined` is what another host binding may give for none.
            entry.value = stored == null ? null : stored.value;
            entry.timestamp = stored == null ? -1 : stored.timestamp;
            // The host's s64 comes as a number; in a column it is exact.
            if (!Number.isSafeInteger(entry.timestamp))
                this.readMany([entry], (_, __, exact) => (entry.timestamp = exact));
        }
        return entry;
    }

    /** Notes a write; `value` is bytes, a string, or null. */
    put(key, value, timestamp) {
        const entry = this.entry(key);
        this.journal.push({ entry, value: entry.value, timestamp: entry.timestamp, isDirty: entry.isDirty });
        if (!entry.isDirty) {
            entry.isDirty = true;
            this.dirty.push(entry);
        }
        entry.value = value;
        entry.timestamp = timestamp;
    }

    /** Reads those of `keys` that are not known, in one call. */
    readAhead(keys) {
        const wanted = [];
        for (const key of keys) {
            const entry = this.entry(key);
            if (entry.value === undefined) {
                // Looks known, so that a key that occurs again is not asked for again.
                entry.value = null;
                wanted.push(entry);
            }
        }
        this.readMany(wanted, (entry, value, timestamp) => {
            entry.value = value;
            entry.timestamp = timestamp;
        });
    }

    readMany(wanted, take) {
        if (wanted.length === 0) {
            return;
        }
        const { bytes, ends } = packKeys(wanted);
        const found = this.handle.getMany({ keys: bytes, keyEnds: ends });
        const column = new Column(found.values, found.valueEnds, found.nulls, 1);
        const times = wordsOf(found.timestamps);
        wanted.forEach((entry, row) => {
            const isNull = column.isNull(row);
            take(entry, isNull ? null : { column, row }, isNull ? -1 : timestampAt(times, row));
        });
    }

    /** Gives all writes to the host. The current record may go on, and may still be taken back. */
    writeBack() {
        if (this.dirty.length === 0) {
            return;
        }
        this.learnReplaced();
        const entries = this.dirty.filter((entry) => entry.isDirty);
        this.dirty = [];
        for (const entry of entries) entry.isDirty = false;
        if (entries.length > 0) {
            this.putMany(entries);
        }
        // What the record replaced is no longer what the host has: undoing makes the entry dirty.
        for (const replaced of this.journal) replaced.isDirty = true;
    }

    putMany(entries) {
        const keys = packKeys(entries);
        const values = packPieces(entries.map((entry) => entry.value));
        const isNull = entries.map((entry) => entry.value === null);
        this.handle.putMany({
            keys: keys.bytes,
            keyEnds: keys.ends,
            values: values.bytes,
            valueEnds: values.ends,
            nulls: isNull.includes(true) ? Uint8Array.from(isNull, Number) : NOTHING,
            timestamps: packTimestamps(entries.map(({ timestamp }) => (timestamp < 0 ? 0 : timestamp))),
        });
    }

    /**
     * Reads what the current record replaced without having read it, so that it can be taken back after the host has
     * the new value.
     */
    learnReplaced() {
        const unknown = this.journal.filter((replaced) => replaced.value === undefined);
        this.readMany(
            unknown.map((replaced) => replaced.entry),
            (entry, value, timestamp) => {
                const replaced = unknown.find((candidate) => candidate.entry === entry);
                replaced.value = value;
                replaced.timestamp = timestamp;
            },
        );
    }

    /** Undoes what the current record wrote. */
    takeBack() {
        while (this.journal.length > 0) {
            const { entry, value, timestamp, isDirty } = this.journal.pop();
            entry.value = value;
            entry.timestamp = timestamp;
            if (isDirty && !entry.isDirty) this.dirty.push(entry);
            entry.isDirty = isDirty;
        }
    }

    /** Forgets everything. */
    clear() {
        this.entries.clear();
        this.dirty = [];
        this.journal = [];
    }
}

function packKeys(entries) {
    const ends = new Uint32Array(entries.length);
    let end = 0;
    const keys = entries.map((entry, index) => {
        end += entry.key.length;
        ends[index] = end;
        return entry.key;
    });
    return { bytes: bytesOfBinary(keys.join("")), ends: new Uint8Array(ends.buffer) };
}
