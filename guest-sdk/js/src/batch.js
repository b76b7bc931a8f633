// A batch of records: the columns that came from the host, and what a processor puts in their place.

import { Column, timestampAt, wordsOf } from "./column.js";
import { Headers, NO_HEADERS } from "./headers.js";
import { Record } from "./record.js";
import { encode } from "./serde.js";

export const KEY_IS_NULL = 1;
export const VALUE_IS_NULL = 2;
/** In what is forwarded: the key, or the value, is that of the row, and takes no bytes; see `wit/context.wit`. */
export const KEY_IS_OF_ROW = 4;
export const VALUE_IS_OF_ROW = 8;

/**
 * A batch of records. It never changes: `withKeys`, `withValues` and `select` give another one, which shares what they
 * don't change.
 *
 * `_keyPieces` and `_valuePieces` replace a column: for each record bytes, a string (UTF-8) or null. `_rows` says for
 * each record which row of the columns it is; null when all are, in their order.
 */
export class Batch {
    /** @param columns the record `batch` of `wit/types.wit` */
    constructor(columns) {
        this._columns = columns;
        this._size = columns.timestamps.length >> 3;
        this._keys = new Column(columns.keys, columns.keyEnds, columns.nulls, KEY_IS_NULL);
        this._values = new Column(columns.values, columns.valueEnds, columns.nulls, VALUE_IS_NULL);
        this._times = null;
        this._packedHeaders = undefined;
        this._rows = null;
        this._keyPieces = null;
        this._valuePieces = null;
        this._source = this;
    }

    /** The number of records. */
    get length() {
        return this._rows === null ? this._size : this._rows.length;
    }

    /** The records, in their order. */
    *[Symbol.iterator]() {
        for (let index = 0; index < this.length; index++) {
            yield this.record(index);
        }
    }

    /** The record at an index. */
    record(index) {
        const record = new Record(this._source, this._rows === null ? index : this._rows[index]);
        if (this._keyPieces !== null) record._key = this._keyPieces[index];
        if (this._valuePieces !== null) record._value = this._valuePieces[index];
        return record;
    }

    /** All keys: bytes, or null. */
    get keys() {
        return this._list((record) => record.key);
    }

    /** All values: bytes, or null. */
    get values() {
        return this._list((record) => record.value);
    }

    /** All timestamps. */
    get timestamps() {
        return this._list((record) => record.timestamp);
    }

    /**
     * All keys, read by a serde; throws for the first that is null (unless the serde is `optional`) or has another
     * form.
     */
    keysAs(serde) {
        return this._keyPieces === null
            ? this._read(this._keys, serde, "the key")
            : this._list((record) => record.keyAs(serde));
    }

    /** All values, as `keysAs`. */
    valuesAs(serde) {
        return this._valuePieces === null
            ? this._read(this._values, serde, "the value")
            : this._list((record) => record.valueAs(serde));
    }

    /** With other keys, as many as there are records: bytes, strings, null, or what `serde` writes. */
    withKeys(keys, serde) {
        const batch = this._copy();
        batch._keyPieces = this._pieces(keys, serde);
        return batch;
    }

    /** With other values, as `withKeys`. */
    withValues(values, serde) {
        const batch = this._copy();
        batch._valuePieces = this._pieces(values, serde);
        return batch;
    }

    /** Only the records at these indices, in this order. */
    select(indices) {
        const batch = this._copy();
        const pick = (list) => (list === null ? null : indices.map((index) => list[index]));
        batch._rows = this._rows === null ? Array.from(indices) : pick(this._rows);
        batch._keyPieces = pick(this._keyPieces);
        batch._valuePieces = pick(this._valuePieces);
        const outside = batch._rows.find((row) => !(row >= 0 && row < this._size));
        if (outside !== undefined) {
            throw new RangeError(`there is no record ${outside} in a batch of ${this._size}`);
        }
        return batch;
    }

    _copy() {
        const batch = Object.create(Batch.prototype);
        return Object.assign(batch, this);
    }

    _list(read) {
        const list = new Array(this.length);
        for (let index = 0; index < list.length; index++) {
            list[index] = read(this.record(index));
        }
        return list;
    }

    _read(column, serde, what) {
        const rows = this._rows;
        const list = new Array(this.length);
        for (let index = 0; index < list.length; index++) {
            list[index] = column.as(rows === null ? index : rows[index], serde, what);
        }
        return list;
    }

    _pieces(values, serde) {
        if (values.length !== this.length) {
            throw new RangeError(`${values.length} values for ${this.length} records`);
        }
        const pieces = new Array(values.length);
        for (let index = 0; index < values.length; index++) {
            pieces[index] = encode(values[index], serde);
        }
        return pieces;
    }

    _timestampAt(row) {
        this._times ??= wordsOf(this._columns.timestamps);
        return timestampAt(this._times, row);
    }

    _headersAt(row) {
        if (this._columns.headers.length === 0) {
            return NO_HEADERS;
        }
        this._packedHeaders ??= splitHeaders(this._columns.headers);
        const packed = this._packedHeaders.get(row);
        return packed === undefined ? NO_HEADERS : Headers._fromPacked(packed);
    }
}

/** The entries of the headers column by their row. */
function splitHeaders(column) {
    const view = new DataView(column.buffer, column.byteOffset, column.length);
    const entries = new Map();
    for (let at = 0; at < column.length;) {
        const end = at + 8 + view.getUint32(at + 4, true);
        entries.set(view.getUint32(at, true), column.subarray(at + 8, end));
        at = end;
    }
    return entries;
}
