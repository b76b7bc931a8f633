// One record: a row of its batch, and what differs from it.

import { encode, decode } from "./serde.js";
import { Headers, NO_HEADERS } from "./headers.js";
import { bytesOfText } from "./utf8.js";

/**
 * A record. It never changes; the `with...` methods give a changed one, and what they don't change is passed along:
 * timestamp and headers too, as in Kafka Streams.
 *
 * `_key` and `_value` are bytes, a string (UTF-8) or null; undefined means that it is the batch's, as with `_timestamp`
 * and `_headers`. The prototype has the undefined, because each property of an object costs.
 */
export class Record {
    constructor(batch, row) {
        this._batch = batch;
        this._row = row;
    }

    /** A record that comes from no batch. */
    static of({ key = null, value = null, timestamp = 0, headers = NO_HEADERS } = {}) {
        const record = new Record(null, 0);
        record._key = encode(key);
        record._value = encode(value);
        record._timestamp = checkedTimestamp(timestamp);
        record._headers = headers instanceof Headers ? headers : new Headers(headers);
        return record;
    }

    /** The key's bytes, or null. */
    get key() {
        return this._key === undefined ? this._batch._keys.bytesAt(this._row) : bytesOf(this._key);
    }

    /** The value's bytes; null is a tombstone. */
    get value() {
        return this._value === undefined ? this._batch._values.bytesAt(this._row) : bytesOf(this._value);
    }

    /** Milliseconds since the epoch. */
    get timestamp() {
        return this._timestamp === undefined ? this._batch._timestampAt(this._row) : this._timestamp;
    }

    /** The headers. */
    get headers() {
        return this._headers === undefined ? this._batch._headersAt(this._row) : this._headers;
    }

    /** The key, read by a serde; throws when it is null (unless the serde is `optional`) or has another form. */
    keyAs(serde) {
        return this._key === undefined
            ? this._batch._keys.as(this._row, serde, "the key")
            : decode(this._key, serde, "the key");
    }

    /** The value, read by a serde, as `keyAs`. */
    valueAs(serde) {
        return this._value === undefined
            ? this._batch._values.as(this._row, serde, "the value")
            : decode(this._value, serde, "the value");
    }

    /** With another key: bytes, a string, null, or what `serde` writes. */
    withKey(key, serde) {
        const record = this._copy();
        record._key = encode(key, serde);
        return record;
    }

    /** With another value, as `withKey`. */
    withValue(value, serde) {
        const record = this._copy();
        record._value = encode(value, serde);
        return record;
    }

    /** With another timestamp; it must not be negative. */
    withTimestamp(timestamp) {
        const record = this._copy();
        record._timestamp = checkedTimestamp(timestamp);
        return record;
    }

    /** With other headers: `Headers`, or `[key, value]` pairs. */
    withHeaders(headers) {
        const record = this._copy();
        record._headers = headers instanceof Headers ? headers : new Headers(headers);
        return record;
    }

    _copy() {
        const record = new Record(this._batch, this._row);
        if (this._key !== undefined) record._key = this._key;
        if (this._value !== undefined) record._value = this._value;
        if (this._timestamp !== undefined) record._timestamp = this._timestamp;
        if (this._headers !== undefined) record._headers = this._headers;
        return record;
    }
}

Record.prototype._key = undefined;
Record.prototype._value = undefined;
Record.prototype._timestamp = undefined;
Record.prototype._headers = undefined;

function bytesOf(piece) {
    return typeof piece === "string" ? bytesOfText(piece) : piece;
}

/** The timestamp, if it is one. */
export function checkedTimestamp(timestamp) {
    const isBig = typeof timestamp === "bigint" && timestamp < 2n ** 63n;
    if (timestamp < 0 || !(isBig || Number.isSafeInteger(timestamp))) {
        throw new RangeError(`a timestamp is a whole number of milliseconds, not negative; ${timestamp} is none`);
    }
    return isBig && timestamp <= Number.MAX_SAFE_INTEGER ? Number(timestamp) : timestamp;
}
